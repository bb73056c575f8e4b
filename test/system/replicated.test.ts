/**
 * Replicated storage for real: Ceph on file-backed disks in a network namespace, a QEMU guest that boots from it, and
 * a writer whose acknowledged writes are noted outside. Disks stop, die and are replaced; nothing may be lost.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { usedComponent } from '../report/components.ts';
import { run } from '../../appliance/host/exec.ts';
import { silentLogger } from '../../appliance/host/logger.ts';
import { createQemuHypervisor } from '../../appliance/qemu/hypervisor.ts';
import { newId } from '../../appliance/resources/identity.ts';
import type { Guest, Hypervisor } from '../../appliance/vm/hypervisor.ts';
import type { DiskWish, VolumeDriver } from '../../storage/driver.ts';
import { describeVolumeDriverContract } from '../contract/volume-driver.ts';
import { cephMissing } from '../helpers/ceph-missing.ts';
import { eventually } from '../helpers/eventually.ts';
import { inside, namespacesMissing, runInside } from '../helpers/netns.ts';
import { driverUnderTest, makeCephBox, qemuIo, type CephBox } from '../helpers/rbd-pool.ts';
import { writeTinyGuest } from '../helpers/tiny-guest.ts';

const mib = 2 ** 20;
const writer = fileURLToPath(new URL('../helpers/verify_load.py', import.meta.url));

describe.skipIf(inside || (namespacesMissing() ?? cephMissing()) !== undefined)('replicated storage', () => {
  it('loses nothing', { timeout: 300_000 }, async () => {
    expect(await runInside(fileURLToPath(import.meta.url), 290_000)).toContain('passed');
  });
});

const figure = (text: string): void => void process.stdout.write(`figure: ${text}\n`);

describe.runIf(inside)('inside', () => {
  let box: CephBox;
  let driver: VolumeDriver;
  let hypervisor: Hypervisor;
  const guests: Guest[] = [];
  const children: ChildProcess[] = [];
  const uid = 1_900_000_321;

  beforeAll(async () => {
    box = await makeCephBox();
    driver = box.driver();
    const started = Date.now();
    await driver.open();
    figure(`cluster of two disks and pool in ${Date.now() - started} ms`);
    const vms = join(box.base, 'vms');
    mkdirSync(vms, { mode: 0o711 });
    hypervisor = createQemuHypervisor({ vms, dataDir: box.base, accel: 'tcg', logger: silentLogger() });
  }, 120_000);

  afterAll(async () => {
    for (const child of children) child.kill('SIGKILL');
    for (const guest of guests) await guest.kill().catch(() => undefined); // Ended by the test already.
    await hypervisor?.close();
    await box?.tearDown();
  }, 60_000);

  describeVolumeDriverContract('rbd', () => driverUnderTest(box));

  const imageId = newId();

  const boot = async (): Promise<Guest> => {
    const volumeId = newId();
    const started = performance.now();
    await driver.create({ id: volumeId, size: 64 * mib, source: { imageId } });
    figure(`clone of an image in ${Math.round(performance.now() - started)} ms`);
    const graph = await driver.blockdev(volumeId, 'd0', { uid, gid: uid });
    const guest = await hypervisor.launch({
      id: newId(),
      title: 'default/replicated',
      epoch: 1,
      cpus: { sockets: 1, cores: 1, threads: 1 },
      memory: 64 * mib,
      firmware: 'bios',
      disks: [{ name: 'root', index: 0, kind: 'disk', bus: 'virtio', graph, bootOrder: 1 }],
      nics: [],
      graphics: false,
      uid,
    });
    guests.push(guest);
    const stream = await guest.openConsole('serial');
    let text = '';
    stream.on('data', (chunk: Buffer) => (text += String(chunk)));
    await eventually(() => text.includes('guest ready'), { timeout: 20_000 });
    stream.destroy();
    return guest;
  };

  const health = async () => {
    const found = await driver.health?.();
    if (!found) throw new Error('no health');
    return found;
  };

  /** Waits until the pool says that a disk is down. */
  const untilDown = async (): Promise<string> => {
    await eventually(async () => (await health()).disks.some(({ state }) => state === 'down'), {
      timeout: 30_000,
      interval: 200,
    });
    return (await health()).message;
  };

  const osdPid = async (path: string): Promise<number> => {
    const disk = (await health()).disks.find((one) => one.path === path);
    return (await box.cluster.pidOf(disk?.name ?? '')) as number;
  };

  /** Starts the writer; `end` stops it and checks every acknowledged write. */
  const verifyLoad = async () => {
    const volumeId = newId();
    await driver.create({ id: volumeId, size: 16 * mib, source: { blank: true } });
    const { conf, user } = await box.cluster.guestAccess('replicated', undefined);
    const journal = join(box.base, `journal-${volumeId}`);
    const argv = (mode: string) => [writer, mode, conf, user, 'replicated', `vol-${volumeId}.g1`, journal];
    const child = spawn('/usr/bin/python3', argv('write'), { stdio: ['pipe', 'pipe', 'inherit'] });
    children.push(child);
    const writes = async () => (await readFile(journal, 'utf8').catch(() => '')).split('\n').length;
    await eventually(async () => (await writes()) > 20);
    return {
      writes,
      /** Waits until the writer gets `more` further writes through. */
      async goesOn(more = 50) {
        const before = await writes();
        await eventually(async () => (await writes()) > before + more, { timeout: 40_000 });
      },
      async end(): Promise<{ writes: number; lost: number; stallMs: number }> {
        const ended = new Promise((resolve) => child.once('exit', resolve));
        child.stdin.end();
        await ended;
        const { stdout } = await run(['/usr/bin/python3', ...argv('check')]);
        return JSON.parse(stdout) as { writes: number; lost: number; stallMs: number };
      },
    };
  };

  it('boots a guest from a cloned image, unprivileged', async () => {
    usedComponent({ component: 'Ceph', mode: 'real', note: 'disks are files' });
    const file = join(box.base, 'tiny.raw');
    await writeTinyGuest(file);
    await driver.importImage(imageId, file);
    const guest = await boot();
    expect(await readFile(`/proc/${guest.pid}/status`, 'utf8')).toMatch(/^Seccomp:\s+2$/m);
    expect(await readFile(`/proc/${guest.pid}/cmdline`, 'utf8')).not.toMatch(/AQ[A-Za-z0-9+/]{30,}==/);
    const [volume] = await driver.list();
    await expect(driver.delete(volume?.id as string)).rejects.toThrow('open in a running VM');
  });

  it('survives a disk that stops, then one that dies for good and is replaced', { timeout: 200_000 }, async () => {
    const [first, second] = box.wishes as [DiskWish, DiskWish];
    const load = await verifyLoad();

    const stopped = await osdPid(first.path);
    process.kill(stopped, 'SIGSTOP');
    try {
      await load.goesOn();
      figure(`while stopped: ${await untilDown()}`);
    } finally {
      process.kill(stopped, 'SIGCONT');
    }
    await eventually(async () => (await health()).state === 'ok', { timeout: 60_000, interval: 500 });

    await rename(second.path, `${second.path}.dead`);
    process.kill(await osdPid(second.path), 'SIGKILL');
    await load.goesOn();
    figure(`while dead: ${await untilDown()}`);

    const started = Date.now();
    const fresh = box.disk('disk2');
    driver = box.driver({ disks: [first, fresh] });
    await driver.open();
    await eventually(
      async () => {
        const { state, disks } = await health();
        return state === 'ok' && disks.length === 2 && disks.every((disk) => disk.state === 'up');
      },
      { timeout: 120_000, interval: 500 },
    );
    figure(`disk replaced, all copies there again after ${Date.now() - started} ms`);
    expect((await health()).disks.map(({ path }) => path).toSorted()).toEqual([first.path, fresh.path].toSorted());

    const result = await load.end();
    figure(`${result.writes} acknowledged writes, ${result.lost} lost, worst stall ${result.stallMs} ms`);
    expect(result.lost).toBe(0);
    expect(result.writes).toBeGreaterThan(200);
    expect(result.stallMs).toBeLessThan(20_000);
    expect(await guests[0]?.state()).toBe('running');
    await boot();
  });

  it('comes back after the service was restarted, and after all daemons were killed', { timeout: 120_000 }, async () => {
    const id = newId();
    await driver.create({ id, size: 16 * mib, source: { blank: true } });
    await qemuIo(driver, id, 'write -P 7 0 1M', 'flush');
    const wishes = (await health()).disks.map((disk): DiskWish => ({ id: disk.id, path: disk.path }));
    const pid = await osdPid(wishes[0]?.path as string);

    await box.restart();
    driver = box.driver({ disks: wishes });
    await driver.open();
    expect(await osdPid(wishes[0]?.path as string)).toBe(pid);

    const pids = await Promise.all(
      ['mon.alone', 'mgr.alone', ...(await health()).disks.map(({ name }) => name)].map((name) => box.cluster.pidOf(name)),
    );
    for (const one of pids) process.kill(one as number, 'SIGKILL');
    await delay(100);
    await eventually(async () => (await health()).state === 'ok', { timeout: 60_000, interval: 500 });
    expect(await qemuIo(driver, id, 'read -P 7 0 1M')).not.toContain('verification failed');
  });

  it('refuses a disk that holds something, and one twice', async () => {
    const [first] = (await health()).disks;
    const used = box.disk('used');
    await run(['sh', '-c', 'truncate -s 3G "$1" && printf LUKS | dd of="$1" conv=notrunc status=none', 'sh', used.path]);
    await expect(box.cluster.ensure([{ id: first?.id as string, path: first?.path as string }, used])).rejects.toThrow(
      'holds an encrypted volume',
    );
    const twice = { id: randomUUID(), path: first?.path as string };
    await expect(box.cluster.ensure([{ id: first?.id as string, path: first?.path as string }, twice])).rejects.toThrow(
      'named twice',
    );
  });
});
