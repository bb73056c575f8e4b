/** The network as the service starts it, on a real store, switch, dnsmasq and nftables in a network namespace. */
import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HostChanges } from '../../appliance/host/host-changes.ts';
import { silentLogger } from '../../appliance/host/logger.ts';
import { network as networkKind } from '../../appliance/resources/croft-kinds.ts';
import { newId, tapName } from '../../appliance/resources/identity.ts';
import { openSqliteStore } from '../../appliance/store/sqlite.ts';
import type { ResourceStore } from '../../appliance/store/store.ts';
import { DhcpServer } from '../../network/dhcp/server.ts';
import { parseCidr, type Cidr } from '../../network/ip.ts';
import { startNetwork, type NetworkService } from '../../network/reconciler.ts';
import { eventually } from '../helpers/eventually.ts';
import { must } from '../helpers/fake-guest.ts';
import { inside, namespacesMissing, runInside } from '../helpers/netns.ts';

const missing = namespacesMissing();

describe.skipIf(inside || missing !== undefined)('the network service', () => {
  it('starts, serves, restarts and leaves nothing', { timeout: 120_000 }, async () => {
    expect(await runInside(fileURLToPath(import.meta.url), 110_000)).toContain('passed');
  });
});

describe.runIf(inside)('inside', () => {
  // Outside, this block is read but not run.
  const directory = inside ? mkdtempSync(join(tmpdir(), 'croft-v-')) : '';
  if (inside) chmodSync(directory, 0o711);
  let store: ResourceStore;
  let service: NetworkService;

  const start = async () => {
    const began = Date.now();
    service = await startNetwork({
      store,
      events: { record: () => {}, list: () => [], subscribe: () => () => {} },
      logger: silentLogger(),
      config: { ovs: 'own', data: directory, run: join(directory, 'run') },
      paths: { ovs: join(directory, 'ovs') },
    });
    return Date.now() - began;
  };
  const ready = async (name: string) =>
    (await store.get(networkKind, name))?.status?.conditions?.find((condition) => condition.type === 'Ready')?.status;
  const state = async () => ({
    links: (JSON.parse(await must(['ip', '-j', 'link'])) as { ifname: string }[]).map((link) => link.ifname).toSorted(),
    routes: await must(['ip', 'route']),
    rules: await must(['nft', 'list', 'ruleset']),
    forward: await must(['cat', '/proc/sys/net/ipv4/ip_forward']),
  });

  beforeAll(() => {
    store = openSqliteStore({ path: join(directory, 'store.db') });
  });

  afterAll(async () => {
    await service?.dismantle();
    await store?.close();
    rmSync(directory, { recursive: true, force: true });
  });

  it('puts the machine back as it was', async () => {
    const before = await state();
    const first = await start();
    await eventually(async () => (await ready('default')) === 'True');
    const vmId = newId();
    const wish = { vmId, index: 0, nic: 'net', mac: '52:54:00:00:00:01', network: 'default', uid: 1_900_000_001, linkUp: true };
    const began = Date.now();
    expect(await service.plugger.plug(wish)).toEqual({ ifname: tapName(vmId, 0), offloads: false, mtu: 1500 });
    const plug = Date.now() - began;
    expect((await state()).links).toContain(tapName(vmId, 0));
    await service.close();
    const again = await start();
    expect((await state()).links).toContain(tapName(vmId, 0));
    await service.reap(new Set([vmId]));
    expect((await state()).links).toContain(tapName(vmId, 0));
    process.stdout.write(`figure: first start ${first} ms, with everything running ${again} ms, plug ${plug} ms\n`);
    await service.dismantle();
    expect(await new HostChanges(join(directory, 'host-changes.json')).restoreAll()).toEqual([]);
    expect(await state()).toEqual(before);
    expect(existsSync(join(directory, 'ovs', 'ovs-vswitchd.json'))).toBe(false);
  });

  it('says so when dnsmasq gives up right after its start', async () => {
    const broken = new DhcpServer({
      directory: join(directory, 'broken'),
      runDirectory: join(directory, 'run', 'broken'),
      user: { name: 'no-such-user', uid: 0, gid: 0 },
      logger: silentLogger(),
      onLeases: () => {},
    });
    await broken.load();
    const network = { name: 'broken', leg: 'lo', cidr: parseCidr('10.45.0.1/24') as Cidr, nat: false };
    await expect(broken.ensure(network, [], 1)).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('no-such-user'),
    });
    await broken.remove();
  });

  it('plugs a hundred NICs at once', async () => {
    await start();
    const began = Date.now();
    await Promise.all(
      Array.from({ length: 100 }, (_, index) =>
        service.plugger.plug({
          vmId: newId(),
          index: 0,
          nic: 'net',
          mac: `52:54:00:00:01:${index.toString(16).padStart(2, '0')}`,
          network: 'default',
          uid: undefined,
          linkUp: true,
        }),
      ),
    );
    process.stdout.write(`figure: 100 NICs in ${Date.now() - began} ms\n`);
    const leftover = (await state()).links.filter((name) => name.startsWith('ct'));
    expect(leftover).toHaveLength(100);
    await service.reap(new Set());
    expect((await state()).links.filter((name) => name.startsWith('ct'))).toEqual([]);
  });
});
