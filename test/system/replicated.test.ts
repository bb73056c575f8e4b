/**
 * Replicated storage for real: Ceph on file-backed disks in a network namespace, a QEMU guest that boots from it, and
 * a writer whose acknowledged writes are noted outside. Disks stop, die and are replaced; nothing may be lost.
 */
import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { readFile, rename, stat } from 'node:fs/promises';
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
import { deepest } from '../../storage/rbd/flatten.ts';
import { describeVolumeDriverContract } from '../contract/volume-driver.ts';
import { cephMissing } from '../helpers/ceph-missing.ts';
import { eventually } from '../helpers/eventually.ts';
import { inside, namespacesMissing, runInside } from '../helpers/netns.ts';
import { driverUnderTest, makeCephBox, qemuIo, type CephBox } from '../helpers/rbd-pool.ts';
import { startVerifyLoad, type VerifyLoad } from '../helpers/verify-load.ts';
import { writeTinyGuest } from '../helpers/tiny-guest.ts';

const mib = 2 ** 20;

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
  const loads: VerifyLoad[] = [];
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
    for (const load of loads) load.kill();
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

  /** Names of a volume's images. */
  const heads = async (id: string): Promise<string[]> =>
    (await (await box.cluster.bridge()).listImages({ pool: 'replicated' })).filter((name) => name.startsWith(`vol-${id}.`));

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
    const load = await startVerifyLoad(box, driver);
    loads.push(load);

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

  it('gives a volume bytes of its own when it lies on too many others', { timeout: 120_000 }, async () => {
    const id = newId();
    await driver.create({ id, size: 16 * mib, source: { blank: true } });
    const depths = async () => Object.values(await (await box.cluster.bridge()).depths({ pool: 'replicated' }, await heads(id)));
    for (let generation = 1; generation <= deepest + 2; generation++) {
      await qemuIo(driver, id, `write -P ${generation} ${generation}M 1M`, 'flush');
      const snapshotId = newId();
      for (const step of await driver.snapshot(id, snapshotId, undefined)) if ('host' in step) await step.run();
      await driver.restore(id, snapshotId);
    }
    await eventually(async () => Math.max(...(await depths())) <= deepest, { timeout: 60_000, interval: 300 });
    for (let generation = 1; generation <= deepest + 2; generation++) {
      expect(await qemuIo(driver, id, `read -P ${generation} ${generation}M 1M`)).not.toContain('verification failed');
    }
    await driver.delete(id);
  });

  it('writes to a file what changed between snapshots, and puts it on another volume', { timeout: 60_000 }, async () => {
    const [from, to] = [newId(), newId()];
    for (const id of [from, to]) await driver.create({ id, size: 16 * mib, source: { blank: true } });
    const freeze = async (snapshotId: string) => {
      for (const step of await driver.snapshot(from, snapshotId, undefined)) if ('host' in step) await step.run();
    };
    const file = join(box.base, 'changes');
    await qemuIo(driver, from, 'write -P 1 0 8M', 'flush');
    await freeze('one');
    await qemuIo(driver, from, 'write -P 2 4M 64k', 'discard 0 4M', 'flush');
    await freeze('two');
    await driver.exportChanges?.(from, 'one', { file });
    await driver.importChanges?.(to, 'one', { file });
    expect(await qemuIo(driver, to, 'read -P 1 0 8M', 'read -P 0 8M 8M')).not.toContain('verification failed');
    await driver.exportChanges?.(from, 'two', { file, since: 'one' });
    expect((await stat(file)).size).toBeLessThan(5 * mib);
    await driver.importChanges?.(to, 'two', { file, since: 'one' });
    expect((await driver.get(to))?.snapshots.map(({ id }) => id)).toEqual(['one', 'two']);
    const said = await qemuIo(driver, to, 'read -P 0 0 4M', 'read -P 2 4M 64k', 'read -P 1 5M 3M');
    expect(said).not.toContain('verification failed');
    await expect(driver.exportChanges?.(from, 'three', { file })).rejects.toThrow('has no snapshot three');
    for (const id of [from, to]) await driver.delete(id);
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
