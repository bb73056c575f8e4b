/** Real QEMUs, with a guest that is one boot sector (test/helpers/tiny-guest.S). No network but QEMU's own NAT. */
import { mkdirSync } from 'node:fs';
import { chmod, chown, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../../appliance/host/logger.ts';
import { bootId, readProcess } from '../../appliance/host/process-info.ts';
import { createQemuHypervisor } from '../../appliance/qemu/hypervisor.ts';
import { probeKvm } from '../../appliance/qemu/probe.ts';
import { readLaunchRecord, runDirOf } from '../../appliance/qemu/run-dir.ts';
import { newId } from '../../appliance/resources/identity.ts';
import type { Guest, GuestDisk, GuestSpec, Hypervisor } from '../../appliance/vm/hypervisor.ts';
import { describeHypervisorContract, type HypervisorWorld } from '../contract/hypervisor.ts';
import { eventually } from '../helpers/eventually.ts';
import { running } from '../helpers/running.ts';
import { writeTinyGuest } from '../helpers/tiny-guest.ts';

/** Where we are root, guests run under a uid of their own, as in the product. */
const uid = process.getuid?.() === 0 ? 1_900_000_123 : undefined;

async function makeWorld() {
  const base = await mkdtemp(join(tmpdir(), 'croft-q-'));
  await chmod(base, 0o711);
  const vms = join(base, 'vms');
  const dataDir = join(base, 'data');
  for (const path of [vms, dataDir]) mkdirSync(path, { mode: 0o711 });
  const hypervisors: Hypervisor[] = [];
  let disks = 0;

  const hypervisor = (): Hypervisor => {
    const made = createQemuHypervisor({ vms, dataDir, accel: 'tcg', logger: silentLogger() });
    hypervisors.push(made);
    return {
      accelerator: () => made.accelerator(),
      versions: () => made.versions(),
      adopt: () => made.adopt(),
      launch: (spec) => made.launch({ ...spec, uid }),
      forget: (id) => made.forget(id),
      close: () => made.close(),
    };
  };

  const disk = async (name: string, index: number, bus: GuestDisk['bus'] = 'virtio'): Promise<GuestDisk> => {
    const filename = join(base, `disk${disks++}.raw`);
    await writeTinyGuest(filename);
    if (uid !== undefined) await chown(filename, uid, uid);
    const nodes = [
      { driver: 'file', 'node-name': `d${index}-file`, filename },
      { driver: 'raw', 'node-name': `d${index}`, file: `d${index}-file` },
    ];
    return { name, index, kind: 'disk', bus, graph: { nodes, top: `d${index}` } };
  };

  const untilReady = (guest: Guest) => untilSerial(guest, 'guest ready');
  const type = async (guest: Guest, key: string) => {
    const stream = await guest.openConsole('serial');
    stream.end(key);
  };
  const tearDown = async () => {
    // QEMU's monitor serves one client: whoever holds it lets go first.
    for (const made of hypervisors) await made.close();
    const last = hypervisor();
    for (const guest of (await last.adopt()).guests) await guest.kill();
    await last.close();
    await rm(base, { recursive: true, force: true });
  };
  return {
    base,
    vms,
    hypervisor,
    disk,
    untilReady,
    powerOffFromInside: (guest: Guest) => type(guest, 'Q'),
    panicFromInside: (guest: Guest) => type(guest, 'P'),
    crash: async (guest: Guest) => void process.kill(guest.pid, 'SIGKILL'),
    tearDown,
  } satisfies HypervisorWorld & Record<string, unknown>;
}

async function untilSerial(guest: Guest, words: string): Promise<void> {
  const stream = await guest.openConsole('serial');
  let text = '';
  stream.on('data', (chunk: Buffer) => (text += String(chunk)));
  await eventually(() => text.includes(words), { timeout: 20_000 });
  stream.destroy();
}

describeHypervisorContract('QEMU', makeWorld);

describe('real QEMU', () => {
  let world: Awaited<ReturnType<typeof makeWorld>>;
  afterEach(() => world.tearDown());

  const specOf = async (more: Partial<GuestSpec> = {}): Promise<GuestSpec> => ({
    id: newId(),
    title: 'default/a,b',
    epoch: 3,
    cpus: { sockets: 1, cores: 2, threads: 1 },
    memory: 64 * 2 ** 20,
    firmware: 'bios',
    disks: [{ ...(await world.disk('root', 0)), bootOrder: 1 }],
    nics: [],
    graphics: true,
    ...more,
  });

  test('runs unprivileged, under seccomp, and is recorded before it runs', async () => {
    world = await makeWorld();
    const guest = await world.hypervisor().launch(await specOf());
    const status = await readFile(`/proc/${guest.pid}/status`, 'utf8');
    expect(/^Seccomp:\s+2$/m.test(status)).toBe(true);
    if (uid !== undefined) expect(status).toMatch(new RegExp(`^Uid:\\s+${uid}\\s+${uid}`, 'm'));
    const dir = runDirOf(world.vms, guest.id);
    const record = await readLaunchRecord(dir);
    expect(record).toMatchObject({ id: guest.id, epoch: 3, pid: guest.pid, bootId: await bootId() });
    expect(record?.startTime).toBe((await readProcess(guest.pid))?.startTime);
    expect((await stat(dir.io)).mode & 0o777).toBe(0o700);
    expect((await stat(dir.control)).mode & 0o077).toBe(0);
    const vnc = await guest.openConsole('vnc');
    const [greeting] = (await eventually(() => (vnc.read() ? ['RFB'] : false))) as string[];
    expect(greeting).toBe('RFB');
    vnc.destroy();
  });

  test('keeps what the guest printed in a log', async () => {
    world = await makeWorld();
    const guest = await world.hypervisor().launch(await specOf());
    await world.untilReady(guest);
    await eventually(async () => (await readFile(runDirOf(world.vms, guest.id).serialLog, 'utf8')).includes('guest ready'));
  });

  test('boots with UEFI, its variables kept', async () => {
    world = await makeWorld();
    const spec = await specOf({ firmware: 'efi', memory: 256 * 2 ** 20 });
    const guest = await world.hypervisor().launch(spec);
    expect(await guest.state()).toBe('running');
    expect((await stat(join(world.base, 'data', 'efi', `${spec.id}.fd`))).size).toBe(540_672);
  });

  test('SATA, SCSI, a CD and an e1000e start; SATA is refused while the guest runs', async () => {
    world = await makeWorld();
    const disks = [
      { ...(await world.disk('root', 0, 'sata')), bootOrder: 1 },
      await world.disk('data', 1, 'scsi'),
      { ...(await world.disk('cd', 2, 'sata')), kind: 'cdrom' as const },
    ];
    for (const node of disks[2]?.graph?.nodes ?? []) node['read-only'] = true;
    const guest = await world
      .hypervisor()
      .launch(await specOf({ disks, nics: [{ name: 'lan', index: 0, mac: '52:54:00:00:00:09', model: 'e1000e' }] }));
    await world.untilReady(guest);
    expect((await guest.disks()).toSorted()).toEqual(['cd', 'data', 'root']);
    await expect(guest.attachDisk(await world.disk('late', 3, 'sata'))).rejects.toMatchObject({ code: 'invalid-state' });
  });

  test('a CD is inserted, changed and ejected while the guest runs; Secure Boot, a zone and enlightenments start', async () => {
    world = await makeWorld();
    const drive = { name: 'cd', index: 1, kind: 'cdrom', bus: 'sata' } as const;
    const medium = async (name: string) => {
      const { graph } = await world.disk(name, 1);
      const nodes =
        graph?.nodes.map((node) => ({ ...node, 'node-name': `${node['node-name']}-${name}`, 'read-only': true })) ?? [];
      const [file, raw] = nodes as [(typeof nodes)[0], (typeof nodes)[0]];
      return { nodes: [file, { ...raw, file: file['node-name'] }], top: raw['node-name'] };
    };
    const disks = [{ ...(await world.disk('root', 0, 'sata')), bootOrder: 1 }, drive];
    const more = {
      timezone: 'Asia/Tokyo',
      hyperv: { relaxed: {} },
      firmware: 'efi',
      secureBoot: true,
      memory: 256 * 2 ** 20,
    } as const;
    const guest = await world.hypervisor().launch(await specOf({ disks, ...more }));
    expect((await guest.disks()).toSorted()).toEqual(['cd', 'root']);
    expect((await guest.topNodes()).has('cd')).toBe(false);
    await guest.changeMedium('cd', await medium('a'));
    expect((await guest.topNodes()).get('cd')).toBe('d1-a');
    await guest.changeMedium('cd', await medium('b'));
    expect((await guest.topNodes()).get('cd')).toBe('d1-b');
    await guest.changeMedium('cd', undefined);
    expect((await guest.topNodes()).has('cd')).toBe(false);
    const nodes = await guest.qmp<{ 'node-name': string }[]>('query-named-block-nodes', { flat: true });
    expect(nodes.filter((node) => node['node-name'].startsWith('d1'))).toEqual([]);
    expect(await readFile(`/proc/${guest.pid}/environ`, 'utf8')).toContain('TZ=Asia/Tokyo');
  });

  test('figures are read from it, and its control group bounds it: killed for want of memory is told apart', async () => {
    world = await makeWorld();
    const guest = await world.hypervisor().launch(await specOf());
    await world.untilReady(guest);
    const stats = await guest.stats();
    expect(stats.vcpuSeconds).toHaveLength(2);
    expect(stats.cpuSeconds).toBeGreaterThan(0);
    expect(stats.residentBytes).toBeGreaterThan(8 * 2 ** 20);
    expect(stats.disks.root?.readBytes).toBeGreaterThan(0);
    const group = ['/sys/fs/cgroup/memory', '/sys/fs/cgroup'].map((root) => join(root, 'croft.slice', `vm-${guest.id}`));
    const found = (await Promise.all(group.map(async (path) => ((await stat(path).catch(() => undefined)) ? path : '')))).find(
      Boolean,
    );
    if (found === undefined || uid === undefined) return console.log('no control groups here: limits are not tested');
    expect((await readFile(join(found, 'cgroup.procs'), 'utf8')).split('\n')).toContain(String(guest.pid));
    const [usage, limit] = found.includes('/memory/')
      ? ['memory.usage_in_bytes', 'memory.limit_in_bytes']
      : ['memory.current', 'memory.max'];
    await writeFile(join(found, limit), String(Number(await readFile(join(found, usage), 'utf8')) + 8 * 2 ** 20));
    const exits: unknown[] = [];
    guest.subscribe((event) => void (event.type === 'exit' && exits.push(event.exit)));
    const greedy = { 'qom-type': 'memory-backend-ram', id: 'greedy', size: 256 * 2 ** 20, prealloc: true };
    await expect(guest.qmp('object-add', greedy)).rejects.toThrow();
    await eventually(() => exits.length > 0, { timeout: 10_000 });
    expect(exits).toEqual(['oom-killed']);
    await world.hypervisor().forget(guest.id);
    expect(await stat(found).catch(() => undefined)).toBeUndefined();
  });

  test("says QEMU's own words when it cannot start, and leaves nothing", async () => {
    world = await makeWorld();
    const spec = await specOf();
    const graph = spec.disks[0]?.graph;
    if (!graph) throw new Error('The spec has no disk.');
    graph.nodes[0] = {
      driver: 'file',
      'node-name': 'd0-file',
      filename: '/nowhere/disk.raw',
    };
    await expect(world.hypervisor().launch(spec)).rejects.toMatchObject({
      code: 'command-failed',
      message: expect.stringContaining("Could not open '/nowhere/disk.raw'"),
    });
    expect(await stat(runDirOf(world.vms, spec.id).path).catch(() => undefined)).toBeUndefined();
  });

  test('a failed hot-plug leaves no node behind', async () => {
    world = await makeWorld();
    const guest = await world.hypervisor().launch(await specOf());
    const bad = await world.disk('data', 99);
    await expect(guest.attachDisk(bad)).rejects.toMatchObject({ code: 'qmp-failed' });
    const nodes = await guest.qmp<{ 'node-name': string }[]>('query-named-block-nodes');
    expect(nodes.filter((node) => node['node-name'].startsWith('d99'))).toEqual([]);
  });

  test('a stopped QEMU is unresponsive, and can be killed', async () => {
    world = await makeWorld();
    const guest = await world.hypervisor().launch(await specOf());
    process.kill(guest.pid, 'SIGSTOP');
    expect(await guest.state()).toBe('unresponsive');
    const begin = Date.now();
    await guest.kill();
    expect(Date.now() - begin).toBeLessThan(5_000);
    expect(await running(guest.pid)).toBe(false);
  });

  test('ends that came while nobody looked are told apart', async () => {
    world = await makeWorld();
    const first = world.hypervisor();
    const [off, panic, crash, elsewhere] = (await Promise.all(
      [1, 2, 3, 4].map(async () => first.launch(await specOf({ graphics: false }))),
    )) as [Guest, Guest, Guest, Guest];
    for (const guest of [off, panic, crash]) await world.untilReady(guest);
    await world.powerOffFromInside(off);
    await world.panicFromInside(panic);
    await Promise.all([
      eventually(async () => (await off.state()) === 'shutdown'),
      eventually(async () => (await panic.state()) === 'panicked'),
    ]);
    await first.close();
    process.kill(crash.pid, 'SIGKILL');
    await eventually(async () => (await readProcess(crash.pid)) === undefined);
    // As if the box had been restarted since.
    const dir = runDirOf(world.vms, elsewhere.id);
    const record = await readLaunchRecord(dir);
    await writeFile(dir.launchFile, JSON.stringify({ ...record, bootId: 'another' }));
    const adoption = await world.hypervisor().adopt();
    const exits = Object.fromEntries(adoption.ended.map(({ id, exit }) => [id, exit]));
    expect(exits).toEqual({
      [off.id]: 'shutdown',
      [panic.id]: 'panicked',
      [crash.id]: 'crashed',
      [elsewhere.id]: 'node-rebooted',
    });
    expect(adoption.guests).toEqual([]);
    // It does run, and its record speaks of another boot: reported, never killed.
    expect(adoption.unknown).toEqual([{ pid: elsewhere.pid, uuid: elsewhere.id }]);
    expect(await readProcess(elsewhere.pid)).toBeDefined();
    process.kill(elsewhere.pid, 'SIGKILL');
  });

  test('the probe runs where nothing is accelerated, and its verdict on KVM is a sentence', async () => {
    world = await makeWorld();
    expect(await probeKvm('qemu-system-x86_64', 'tcg', 20_000)).toEqual({ name: 'tcg', reason: 'a test kernel ran under tcg' });
    const verdict = await probeKvm('qemu-system-x86_64');
    expect(verdict.reason).not.toBe('');
    console.log(`accelerator here: ${verdict.name}: ${verdict.reason}`);
  });
});
