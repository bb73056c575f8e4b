import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CroftError } from '../../../appliance/errors.ts';
import { silentLogger } from '../../../appliance/host/logger.ts';
import type { EventRecord, Events } from '../../../appliance/reconcile/events.ts';
import { network as networkKind } from '../../../appliance/resources/croft-kinds.ts';
import { idLabel, newId, tapName } from '../../../appliance/resources/identity.ts';
import { editObject } from '../../../appliance/store/edit.ts';
import { openSqliteStore } from '../../../appliance/store/sqlite.ts';
import type { ResourceStore } from '../../../appliance/store/store.ts';
import { startNetwork, type NetworkService } from '../../../network/reconciler.ts';
import { simHost, SimSwitchDriver } from '../../../network/sim.ts';
import { eventually } from '../../helpers/eventually.ts';

describe('startNetwork', () => {
  let directory: string;
  let store: ResourceStore;
  let service: NetworkService;
  let driver: SimSwitchDriver;
  let recorded: Omit<EventRecord, 'seq' | 'at'>[];
  const host = simHost();

  const start = (simulated: { driver: SimSwitchDriver; host: typeof host } | undefined, ovs = 'own') => {
    const events = { record: (event) => void recorded.push(event), list: () => [], subscribe: () => () => {} } satisfies Events;
    const config = { ovs, data: directory, run: join(directory, 'run') };
    const paths = { ovs: join(directory, 'ovs') };
    return startNetwork({ store, events, logger: silentLogger(), config, paths, ...(simulated ? { simulated } : {}) });
  };
  const ready = async (name: string) =>
    (await store.get(networkKind, name))?.status?.conditions?.find((condition) => condition.type === 'Ready');

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'croft-r-'));
    store = openSqliteStore({ path: join(directory, 'store.db') });
    driver = new SimSwitchDriver();
    recorded = [];
    service = await start({ driver, host });
  });

  afterEach(async () => {
    await service.close();
    await store.close();
    rmSync(directory, { recursive: true, force: true });
  });

  it('has the default network, ready, when it has started', async () => {
    expect((await store.get(networkKind, 'default'))?.spec).toEqual({
      isolated: true,
      address: '10.43.0.1/24',
      dhcp: true,
      nat: true,
    });
    await eventually(async () => (await ready('default'))?.status === 'True');
    expect(service.plugger.mode).toBe('tap');
  });

  it('plugs a NIC into a network that was just made, and shows its lease', async () => {
    await store.create(networkKind, { metadata: { name: 'v20' }, spec: { vlan: 20 } });
    await eventually(async () => (await ready('v20'))?.status === 'True');
    expect((await store.get(networkKind, 'v20'))?.metadata.labels?.[idLabel]).toBeDefined();
    const vmId = newId();
    const wish = { vmId, index: 0, nic: 'net', mac: '52:54:00:00:00:01', uid: undefined, linkUp: true };
    await service.plugger.plug({ ...wish, network: 'v20' });
    expect(driver.ports.get(tapName(vmId, 0))?.vlan).toBe(20);
    await service.plugger.plug({ ...wish, network: 'default' });
    await eventually(async () => (await store.get(networkKind, 'default'))?.status?.leases?.[0]?.mac === wish.mac);
    await service.plugger.unplugAll(vmId);
    await eventually(async () => (await store.get(networkKind, 'default'))?.status?.leases?.length === 0);
  });

  it('refuses what cannot be in one sentence, once, and keeps what was', async () => {
    await store.create(networkKind, { metadata: { name: 'a' }, spec: { vlan: 20 } });
    await store.create(networkKind, { metadata: { name: 'b' }, spec: { vlan: 30 } });
    await eventually(async () => (await ready('b'))?.status === 'True');
    await editObject(store, networkKind, { name: 'b' }, (network) => {
      network.spec.vlan = 20;
    });
    await eventually(async () => (await ready('b'))?.status === 'False');
    expect(await ready('b')).toMatchObject({ reason: 'Invalid', message: "vlan 20 is the network a's already." });
    expect(recorded.filter((event) => event.about.name === 'b')).toHaveLength(1);
    const vmId = newId();
    await service.plugger.plug({
      vmId,
      index: 0,
      nic: 'net',
      mac: '52:54:00:00:00:01',
      network: 'b',
      uid: undefined,
      linkUp: true,
    });
    expect(driver.ports.get(tapName(vmId, 0))?.vlan).toBe(30);
  });

  it('says when the switch fails, and when it is back', async () => {
    driver.failure = new CroftError('unavailable', 'the switch is away');
    await store.create(networkKind, { metadata: { name: 'v20' }, spec: { vlan: 20 } });
    await eventually(async () => (await ready('v20'))?.message === 'the switch is away');
    driver.failure = undefined;
    await eventually(async () => (await ready('v20'))?.status === 'True');
  });

  it('falls back to user-mode networking, and says why', async () => {
    await service.close();
    service = await start(undefined, 'none');
    expect(service.plugger.mode).toBe('user');
    expect(service.components()[0]).toMatchObject({ state: 'missing', message: expect.stringContaining('user-mode networking') });
    await store.create(networkKind, { metadata: { name: 'v20' }, spec: { vlan: 20 } });
    await eventually(async () => (await ready('v20'))?.reason === 'NoSwitch');
  });
});
