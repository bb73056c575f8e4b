/**
 * Uplinks with real packets: two boxes, each in a network namespace with two NICs, on a switch that isn't theirs. The
 * NICs are veth pairs; the outside switch is a plain Open vSwitch, set up by hand as a person would set up theirs.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLogger } from '../../appliance/host/logger.ts';
import { newId } from '../../appliance/resources/identity.ts';
import type { ObservedMember } from '../../network/driver.ts';
import { findSwitch, type SwitchServer } from '../../network/ovs/server.ts';
import type { UplinkWish } from '../../network/uplinks/admit.ts';
import type { Segment } from '../../network/wish.ts';
import { eventually } from '../helpers/eventually.ts';
import { attempt, FakeGuest, must } from '../helpers/fake-guest.ts';
import { inside, insideMark, namespacesMissing, runInside } from '../helpers/netns.ts';
import type { BoxRequest, BoxSetup } from '../helpers/uplink-box.ts';

const missing = namespacesMissing();

describe.skipIf(inside || missing !== undefined)('uplinks', () => {
  it('carry VLANs between boxes', { timeout: 300_000 }, async () => {
    expect(await runInside(fileURLToPath(import.meta.url), 290_000)).toContain('passed');
  });
});

const segment = (name: string, more: Partial<Segment>): Segment => ({
  id: newId(),
  name,
  isolated: false,
  dhcp: false,
  nat: false,
  reservations: [],
  ...more,
});

class Box {
  readonly namespace: string;
  readonly #child: ChildProcess;
  readonly #answers: AsyncIterator<string>;

  constructor(namespace: string, setup: BoxSetup) {
    this.namespace = namespace;
    const script = fileURLToPath(new URL('../helpers/uplink-box.ts', import.meta.url));
    // `ip netns exec` has mounts of its own: guests' namespaces made there would not be seen here.
    const argv = [`--net=/run/netns/${namespace}`, process.execPath, script, JSON.stringify(setup)];
    this.#child = spawn('nsenter', argv, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#answers = createInterface({ input: this.#child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
  }

  async answer<T>(): Promise<T> {
    const { value, done } = await this.#answers.next();
    if (done) throw new Error(`the box in ${this.namespace} ended`);
    return JSON.parse(value) as T;
  }

  ask<T>(request: BoxRequest): Promise<T> {
    this.#child.stdin?.write(`${JSON.stringify(request)}\n`);
    return this.answer<T>();
  }

  members = (uplink: string) => this.ask<ObservedMember[]>({ members: uplink });
  kill = () => this.#child.kill('SIGKILL');
}

describe.runIf(inside)('inside', () => {
  // Outside, this block is read but not run.
  const directory = inside ? mkdtempSync(join(tmpdir(), 'croft-o-')) : '';
  const prefix = process.env[insideMark] as string;
  const names = ['a', 'b'] as const;
  const guestOf = (box: string, network: string) => `${prefix}-${box}-${network}`;
  const guest = (box: string, network: string) => new FakeGuest(guestOf(box, network), 'none', '');
  const boxes = {} as Record<'a' | 'b', Box>;
  let outside: SwitchServer;
  const vsctl = (...argv: string[]) => must(['ovs-vsctl', `--db=unix:${outside.socket}`, '--timeout=10', ...argv]);
  const inBox = (box: string, ...argv: string[]) => must(['ip', 'netns', 'exec', `${prefix}-${box}`, ...argv]);
  const uplink = (more: Partial<UplinkWish> = {}): UplinkWish => ({ id: ids.uplink, name: 'lan', interfaces: ['eth1'], ...more });
  const ids = { uplink: newId() };
  const wish = (box: 'a' | 'b', ...uplinks: UplinkWish[]) => boxes[box].ask<{ error?: string }>({ uplinks });

  beforeAll(async () => {
    outside = (await findSwitch('own', join(directory, 'ovs'), silentLogger())) as SwitchServer;
    await vsctl('add-br', 'outside', '--', 'set', 'bridge', 'outside', `datapath_type=${outside.datapath}`);
    const segments = [
      segment('v20', { vlan: 20 }),
      segment('v30', { vlan: 30 }),
      segment('kept', { vlan: 40, isolated: true }),
      segment('plain', {}),
      segment('inner', { isolated: true }),
    ];
    for (const [at, name] of names.entries()) {
      const namespace = `${prefix}-${name}`;
      await must(['ip', 'netns', 'add', namespace]);
      await must(['ip', '-n', namespace, 'link', 'set', 'lo', 'up']);
      for (const nic of ['eth1', 'eth2']) {
        await must(['ip', 'link', 'add', `${name}${nic}`, 'type', 'veth', 'peer', 'name', nic, 'netns', namespace]);
        await must(['ip', 'link', 'set', `${name}${nic}`, 'up']);
        await must(['ip', '-n', namespace, 'link', 'set', nic, 'up']);
      }
      await vsctl('add-port', 'outside', `${name}eth1`);
      const guests = segments.map(({ name: network }, index) => ({
        namespace: guestOf(name, network),
        network,
        mac: `52:54:00:00:0${at}:0${index}`,
      }));
      boxes[name] = new Box(namespace, { segments, guests });
      await boxes[name].answer();
      for (const [index, { name: network }] of segments.entries()) {
        await guest(name, network).run('ip', 'address', 'add', `10.${20 + index}.0.${at + 1}/24`, 'dev', 'eth0');
        await guest(name, network).run('ip', 'address', 'add', `fd00:${20 + index}::${at + 1}/64`, 'dev', 'eth0', 'nodad');
      }
    }
  }, 120_000);

  afterAll(async () => {
    for (const name of names) {
      boxes[name]?.kill();
      const pids = (await attempt(['ip', 'netns', 'pids', `${prefix}-${name}`])) ?? '';
      for (const pid of pids.split('\n').filter(Boolean)) process.kill(Number(pid), 'SIGKILL');
      for (const network of ['v20', 'v30', 'kept', 'plain', 'inner'])
        await attempt(['ip', 'netns', 'delete', guestOf(name, network)]);
      await attempt(['ip', 'netns', 'delete', `${prefix}-${name}`]);
    }
    await outside?.stop();
    rmSync(directory, { recursive: true, force: true });
  }, 60_000);

  const reaches = (network: string, address: string) =>
    eventually(() => guest('a', network).reaches(address), { timeout: 20_000 });

  it('join one VLAN of two boxes, by ping, TCP with data and IPv6, and keep isolated networks in', async () => {
    expect(await guest('a', 'v20').pings('10.20.0.2')).toBe(false);
    await wish('a', uplink());
    await wish('b', uplink());
    await reaches('v20', '10.20.0.2');
    expect(await guest('a', 'v20').fetches('[fd00:20::2]')).toBe(true);
    await reaches('v30', '10.21.0.2');
    await reaches('plain', '10.23.0.2');
    expect(await guest('a', 'kept').pings('10.22.0.2')).toBe(false);
    expect(await guest('a', 'inner').pings('10.24.0.2')).toBe(false);
    // The same addresses on the other VLAN: VLANs stay apart out there too.
    await guest('a', 'v30').run('ip', 'address', 'add', '10.20.0.9/24', 'dev', 'eth0');
    expect(
      await guest('a', 'v30').attempt(['busybox', 'arping', '-c', '1', '-w', '1', '-I', 'eth0', '10.20.0.2']),
    ).toBeUndefined();
  });

  it('carry only the VLANs they are told', async () => {
    await wish('a', uplink({ vlans: [20] }));
    await reaches('v20', '10.20.0.2');
    expect(await guest('a', 'v30').pings('10.21.0.2')).toBe(false);
    expect(await guest('a', 'plain').pings('10.23.0.2')).toBe(false);
  });

  it('send the native VLAN untagged, and one VLAN only as access', async () => {
    await wish('a', uplink({ vlans: [30], native: 20 }));
    await vsctl('set', 'port', 'aeth1', 'vlan_mode=native-untagged', 'tag=20');
    await reaches('v20', '10.20.0.2');
    await reaches('v30', '10.21.0.2');
    await wish('a', uplink({ access: 30 }));
    await vsctl('set', 'port', 'aeth1', 'vlan_mode=access', 'tag=30');
    await reaches('v30', '10.21.0.2');
    expect(await guest('a', 'v20').pings('10.20.0.2')).toBe(false);
    await vsctl('clear', 'port', 'aeth1', 'vlan_mode', '--', 'clear', 'port', 'aeth1', 'tag');
  });

  it('set the MTU of the NIC, and give it back', async () => {
    await wish('a', uplink({ mtu: 1400 }));
    expect(await inBox('a', 'cat', '/sys/class/net/eth1/mtu')).toBe('1400\n');
    expect(await inBox('a', 'cat', '/proc/sys/net/ipv6/conf/eth1/disable_ipv6')).toBe('1\n');
    await wish('a');
    expect(await inBox('a', 'cat', '/sys/class/net/eth1/mtu')).toBe('1500\n');
    expect(await inBox('a', 'cat', '/proc/sys/net/ipv6/conf/eth1/disable_ipv6')).toBe('0\n');
    expect(await guest('a', 'v20').pings('10.20.0.2')).toBe(false);
    await wish('a', uplink());
    await reaches('v20', '10.20.0.2');
  });

  it('come back when somebody takes them away', async () => {
    const { socket } = await boxes.a.ask<{ socket: string }>({ uplinks: [uplink()] });
    const port = (await inBox('a', 'ovs-vsctl', `--db=unix:${socket}`, 'list-ports', 'croft0'))
      .split('\n')
      .find((name) => name.startsWith('cu'));
    await inBox('a', 'ovs-vsctl', `--db=unix:${socket}`, 'del-port', 'croft0', port as string);
    await reaches('v20', '10.20.0.2');
  });

  it('go on over the other leg of a bond when one loses its link', async () => {
    await vsctl('add-port', 'outside', 'aeth2');
    await wish('a', uplink({ interfaces: ['eth1', 'eth2'] }));
    await eventually(async () => (await boxes.a.members('lan')).every(({ up }) => up));
    await reaches('v20', '10.20.0.2');
    for (const leg of ['aeth1', 'aeth2']) {
      const losses = guest('a', 'v20').losses('10.20.0.2', 6);
      await must(['ip', 'link', 'set', leg, 'down']);
      const lost = await losses;
      process.stdout.write(`figure: active-backup, ${leg} down: ${lost} of 30 packets lost\n`);
      expect(lost).toBeLessThan(15);
      expect((await boxes.a.members('lan')).filter(({ up }) => up)).toHaveLength(1);
      await must(['ip', 'link', 'set', leg, 'up']);
      await eventually(async () => (await boxes.a.members('lan')).every(({ up }) => up));
    }
    await vsctl('del-port', 'outside', 'aeth2');
  });

  it('negotiate LACP, and go on over what is left of it', async () => {
    await vsctl(
      'del-port',
      'outside',
      'aeth1',
      '--',
      'add-bond',
      'outside',
      'po1',
      'aeth1',
      'aeth2',
      'lacp=active',
      'bond_mode=balance-tcp',
      'other_config:lacp-time=fast',
    );
    await wish('a', uplink({ interfaces: ['eth1', 'eth2'], mode: 'lacp' }));
    await eventually(async () => (await boxes.a.members('lan')).every(({ negotiated }) => negotiated), { timeout: 20_000 });
    await reaches('v20', '10.20.0.2');
    const losses = guest('a', 'v20').losses('10.20.0.2', 8);
    await must(['ip', 'link', 'set', 'aeth1', 'down']);
    const lost = await losses;
    process.stdout.write(`figure: LACP, one leg down: ${lost} of 40 packets lost\n`);
    expect(lost).toBeLessThan(25);
    await reaches('v20', '10.20.0.2');
    await must(['ip', 'link', 'set', 'aeth1', 'up']);
  });

  it('refuse a NIC that is on another bridge', async () => {
    const { socket } = await boxes.b.ask<{ socket: string }>({ uplinks: [uplink()] });
    await inBox(
      'b',
      'ovs-vsctl',
      `--db=unix:${socket}`,
      'add-br',
      'theirs',
      '--',
      'set',
      'bridge',
      'theirs',
      `datapath_type=${outside.datapath}`,
      '--',
      'add-port',
      'theirs',
      'eth2',
    );
    expect((await wish('b', uplink({ interfaces: ['eth1', 'eth2'] }))).error).toContain(
      "eth2 is on the bridge theirs already and is not Croft's",
    );
    await wish('b', uplink());
    await inBox('b', 'ovs-vsctl', `--db=unix:${socket}`, 'del-br', 'theirs');
    await reaches('v20', '10.20.0.2');
  });

  it('leave nothing behind', async () => {
    for (const name of names) {
      expect(await boxes[name].ask({ end: true })).toEqual([]);
      // The kernel takes the switch's devices away while its process ends.
      await eventually(async () => {
        const links = JSON.parse(await inBox(name, 'ip', '-j', 'link')) as { ifname: string }[];
        expect(links.map(({ ifname }) => ifname).toSorted()).toEqual(['eth1', 'eth2', 'lo']);
      });
    }
  });
});
