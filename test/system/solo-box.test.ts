/**
 * One box, alone, as a person meets it: the service, real QEMU guests, a real switch with real packets, driven
 * by the CLI. The parts follow each other on one box; each leaves it in the state the next begins with.
 */
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createBox, signIn, type TestBox } from '../helpers/box.ts';
import { eventually } from '../helpers/eventually.ts';
import { machineState, stateDifferences } from '../helpers/machine-state.ts';
import { running } from '../helpers/running.ts';
import { tinyImage } from '../helpers/tiny-image.ts';
import { usedComponent } from '../report/components.ts';

/** Who is on which network. */
const guests = { nat: 'default', red1: 'red', red2: 'red', blue: 'blue' } as const;
type GuestName = keyof typeof guests;
const names = Object.keys(guests) as GuestName[];

let box: TestBox;
let before: Awaited<ReturnType<typeof machineState>>;
const address = {} as Record<GuestName, string>;

const addressOf = async (name: string): Promise<string> => {
  await box.croft(['vm', 'wait', name, 'ip', '--timeout', '120s']);
  return (await box.vm(name)).addresses[0] as string;
};

/** Ping, and 1 MiB over TCP whose sum the receiver compares: ping alone passes where checksums are broken. */
const reaches = async (from: GuestName, to: string): Promise<{ ping: boolean; tcp: boolean }> => {
  const ping = await box.guest(from, `ping -c 1 -W 2 ${to} >/dev/null`);
  // busybox's own `wget -T` ends with a segmentation fault in Debian 12's static build, hence `timeout`.
  const fetch = `timeout 8 wget -q -O /tmp/blob http://${to}/blob && timeout 4 wget -q -O - http://${to}/blob.sha256 | cut -c1-64 >/tmp/want`;
  const tcp = await box.guest(from, `${fetch} && sha256sum /tmp/blob | cut -c1-64 | cmp -s - /tmp/want`);
  return { ping: ping.code === 0, tcp: tcp.code === 0 };
};
const yes = { ping: true, tcp: true };
const no = { ping: false, tcp: false };

beforeAll(async () => {
  const image = await tinyImage();
  box = await createBox();
  before = await machineState({ namespace: box.namespace });
  console.log(`service ready after ${(await box.start()).toFixed(0)} ms`);
  await box.croft(['image', 'add', image, '--name', 'tiny-test', '--timeout', '60s']);
  for (const [name, vlan] of [
    ['red', 20],
    ['blue', 30],
  ] as const) {
    await box.croft(['network', 'create', name, '--vlan', String(vlan), '--address', `10.99.${vlan}.1/24`, '--dhcp']);
  }
}, 120_000);

afterAll(async () => {
  await box?.dispose();
}, 60_000);

describe('four guests on three networks', () => {
  it('start, take addresses and answer on the serial console', { timeout: 240_000 }, async () => {
    for (const name of names) {
      await box.croft([
        'vm',
        'create',
        name,
        '--image',
        'tiny-test',
        '--cpus',
        '1',
        '--memory',
        '128Mi',
        '--network',
        guests[name],
      ]);
    }
    for (const name of names) {
      await signIn(box, name);
      address[name] = await addressOf(name);
    }
    expect((await box.guest('red1', 'hostname')).output).toContain('red1');
    // What /v1 calls vda is vda in the guest: the root's partitions are on it, the seed is not.
    expect((await box.guest('red1', 'test -b /dev/vda3 && ! test -b /dev/vdb1')).code).toBe(0);
    usedComponent({ component: 'QEMU', mode: 'real', note: 'TCG' });
    usedComponent({ component: 'Open vSwitch', mode: 'real', note: 'userspace datapath' });
    usedComponent({ component: 'dnsmasq', mode: 'real' });
    usedComponent({ component: 'nftables', mode: 'real' });
  });

  it('reach each other on one VLAN only, by ping and by TCP', { timeout: 240_000 }, async () => {
    expect(await reaches('red1', address.red2)).toEqual(yes);
    expect(await reaches('red1', address.blue)).toEqual(no);
    expect(await reaches('red1', address.nat)).toEqual(no);
    expect(await reaches('blue', address.red1)).toEqual(no);
    expect(await reaches('nat', address.red1)).toEqual(no);
  });

  it('change reach when a NIC is moved, without a reboot', { timeout: 240_000 }, async () => {
    const pid = await box.pidOf('blue');
    await box.croft(['vm', 'set-network', 'blue', '--nic', 'nic0', '--network', 'red']);
    address.blue = await eventually(
      async () => {
        const [first] = (await box.vm('blue')).addresses;
        if (!first?.startsWith('10.99.20.')) throw new Error(`blue has ${first}`);
        return first;
      },
      { timeout: 60_000, interval: 500 },
    );
    await eventually(async () => expect(await reaches('blue', address.red1)).toEqual(yes), { timeout: 60_000 });
    expect(await box.pidOf('blue')).toBe(pid);
  });
});

describe('a killed service', () => {
  it('finds the same guests again, with console and network', { timeout: 120_000 }, async () => {
    const pids = await Promise.all(names.map((name) => box.pidOf(name)));
    await box.kill();
    console.log(`second start after ${(await box.start()).toFixed(0)} ms`);
    expect(await Promise.all(names.map((name) => box.pidOf(name)))).toEqual(pids);
    for (const name of names) await box.croft(['vm', 'wait', name, 'running', '--timeout', '20s']);
    expect((await box.guest('red1', 'hostname')).output).toContain('red1');
    expect(await reaches('red1', address.red2)).toEqual(yes);
  });

  it('learns what happened meanwhile: a guest that powered off, and one whose QEMU was killed', {
    timeout: 120_000,
  }, async () => {
    await box.croft(['vm', 'edit', 'nat', '--run-strategy', 'Manual']);
    await box.croft(['vm', 'edit', 'red2', '--run-strategy', 'Manual']);
    const [nat, red2] = [await box.pidOf('nat'), await box.pidOf('red2')];
    await box.guest('nat', '(sleep 2; poweroff) & true');
    await box.kill();
    process.kill(red2, 'SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, 8_000));
    await box.start();
    await box.croft(['vm', 'wait', 'nat', 'state=stopped', '--timeout', '30s']);
    await box.croft(['vm', 'wait', 'red2', 'state=stopped', '--timeout', '30s']);
    expect((await box.croft(['vm', 'explain', 'nat'])).stdout).toContain('powered itself off');
    expect((await box.croft(['vm', 'explain', 'red2'])).stdout).toContain('QEMU ended unexpectedly');
    // Gone, or dead and not yet collected by the machine's init.
    expect(await running(nat)).toBe(false);
  });
});

describe('stop, start, delete', () => {
  it('stops by the power button and starts again', { timeout: 120_000 }, async () => {
    await box.croft(['vm', 'stop', 'red1', '--timeout', '60s']);
    expect((await box.vm('red1')).state).toBe('stopped');
    await box.croft(['vm', 'start', 'red1']);
    await signIn(box, 'red1');
  });

  it('stops by force within ten seconds', { timeout: 60_000 }, async () => {
    const from = Date.now();
    await box.croft(['vm', 'stop', 'blue', '--force', '--timeout', '10s']);
    expect(Date.now() - from).toBeLessThan(10_000);
  });

  it('leaves nothing of a deleted VM: no process, tap, file or run directory', { timeout: 120_000 }, async () => {
    const ids = await Promise.all(names.map(async (name) => (await box.vm(name)).id));
    for (const name of names) await box.croft(['vm', 'delete', name, '--yes']);
    await eventually(async () => expect(await readdir(join(box.directory, 'data/pools/local/volumes'))).toEqual([]));
    const links = (await box.inside(['ip', '-br', 'link'])).stdout;
    expect(links).not.toMatch(/^ct/m);
    const processes = (await box.inside(['ps', '-eo', 'args'])).stdout;
    for (const id of ids) {
      expect(processes).not.toContain(id);
      expect(existsSync(join(box.directory, 'run/vms', id))).toBe(false);
    }
  });
});

describe('uninstall', () => {
  it('puts the machine back as it was', { timeout: 60_000 }, async () => {
    await box.croft(['uninstall', '--purge', '--force']);
    expect(stateDifferences(before, await machineState({ namespace: box.namespace }))).toEqual([]);
    expect(existsSync(join(box.directory, 'run'))).toBe(false);
  });
});
