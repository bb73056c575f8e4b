/**
 * Storage's bad days, one fault a round: real Ceph of one mon, one mgr and two disks, and a client that writes all the
 * while, every acknowledged write noted outside. Oracles: the client goes on by itself, all copies come back, and no
 * acknowledged write is lost. Each disk is a file in a tmpfs of its own, so that it can run out of room, which its daemon
 * meets as an error of the disk.
 */
import { existsSync } from 'node:fs';
import { copyFile, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { randomUUID } from 'node:crypto';
import { dirname, join } from 'node:path';
import { run } from '../../appliance/host/exec.ts';
import { randomOf } from '../../appliance/store/rough.ts';
import type { DiskWish, PoolHealth, VolumeDriver } from '../../storage/driver.ts';
import { eventually } from '../helpers/eventually.ts';
import { makeCephBox } from '../helpers/rbd-pool.ts';
import { startVerifyLoad } from '../helpers/verify-load.ts';

const kinds = [
  'disk stopped',
  'disk stopped',
  'disk killed',
  'disk killed',
  'disk errors',
  'disk replaced',
  'mon killed',
  'mon stopped',
  'mgr killed',
  'all killed',
  'service',
  'packages',
] as const;
export type StorageFault = (typeof kinds)[number];

const gib = 2 ** 30;
const diskSize = 3 * gib;
/** A machine with many other things to do is slow, and slowness is judged elsewhere. */
const patience = { timeout: 120_000, interval: 300 };

/** Debian's libfaketime: a clock that a file steps. */
const fakeTime = '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1';
export const clockMissing = (): string | undefined => (existsSync(fakeTime) ? undefined : 'needs libfaketime');

const programs = ['ceph-mon', 'ceph-mgr', 'ceph-osd'];

/** Copies of Ceph's programs in a directory that comes first in PATH: they can be replaced as new packages replace them. */
async function takePrograms(base: string): Promise<() => Promise<void>> {
  const bin = join(base, 'bin');
  const put = async (): Promise<void> => {
    for (const program of programs) {
      await copyFile(join('/usr/bin', program), join(bin, `${program}.new`));
      await rename(join(bin, `${program}.new`), join(bin, program));
    }
  };
  await mkdir(bin);
  await put();
  process.env.PATH = `${bin}:${process.env.PATH}`;
  return put;
}

/** Gives the daemons a clock of their own. @returns what sets it, seconds from the real one */
async function takeClock(base: string): Promise<(seconds: number) => Promise<void>> {
  const [bin, clock] = [join(base, 'clocked'), join(base, 'clock')];
  const set = (seconds: number) => writeFile(clock, `${seconds < 0 ? '' : '+'}${seconds}s\n`);
  await set(0);
  await mkdir(bin);
  const env = [`LD_PRELOAD=${fakeTime}`, `FAKETIME_TIMESTAMP_FILE=${clock}`, 'FAKETIME_CACHE_DURATION=1'];
  for (const program of programs) {
    const script = `#!/bin/sh\nexec env ${env.join(' ')} FAKETIME_DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1 /usr/bin/${program} "$@"\n`;
    await writeFile(join(bin, program), script, { mode: 0o755 });
  }
  process.env.PATH = `${bin}:${process.env.PATH}`;
  return set;
}

/** `clock`: the daemons' clock can be stepped. */
export async function openStorageFaults({ clock = false } = {}) {
  const box = await makeCephBox();
  const path = process.env.PATH;
  const replacePrograms = await takePrograms(box.base);
  const setClock = clock ? await takeClock(box.base) : undefined;
  const slots = ['slot0', 'slot1'].map((name) => join(box.base, name));
  const mount = (slot: string, size: number | string, ...more: string[]) =>
    run(['mount', '-t', 'tmpfs', '-o', [`size=${size}`, 'mode=711', ...more].join(','), 'tmpfs', slot]);
  for (const slot of slots) {
    await mkdir(slot);
    await mount(slot, diskSize + gib);
  }
  let number = 0;
  const newDisk = (slot: string): DiskWish => ({ id: randomUUID(), path: join(slot, `disk${number++}`), size: diskSize });
  let wishes = slots.map(newDisk);
  let driver: VolumeDriver = box.driver({ disks: wishes });
  await driver.open();
  const load = await startVerifyLoad(box, driver);
  const worst = new Map<string, number>();

  const health = async (): Promise<PoolHealth> => (await driver.health?.()) as PoolHealth;
  const whole = () =>
    eventually(async () => {
      const { state, disks, message } = await health();
      if (state !== 'ok' || disks.length !== 2 || disks.some((disk) => disk.state !== 'up')) throw new Error(message);
    }, patience);
  const pidOf = async (name: string): Promise<number> => {
    const pid = await box.cluster.pidOf(name);
    if (pid === undefined) throw new Error(`${name} does not run`);
    return pid;
  };
  const osdOf = async ({ id }: DiskWish): Promise<string> =>
    (await health()).disks.find((disk) => disk.id === id)?.name ?? 'no such disk';

  const stopFor = async (pid: number, ms: number): Promise<void> => {
    process.kill(pid, 'SIGSTOP');
    try {
      await delay(ms);
      // A disk: noticed, and gone on without.
      await load.goesOn();
    } finally {
      process.kill(pid, 'SIGCONT');
    }
  };

  const faults: Record<StorageFault, (disk: DiskWish, random: () => number) => Promise<void>> = {
    'disk stopped': async (disk, random) => stopFor(await pidOf(await osdOf(disk)), 500 + random() * 15_000),
    'disk killed': async (disk) => void process.kill(await pidOf(await osdOf(disk)), 'SIGKILL'),
    'disk errors': async (disk) => {
      const pid = await pidOf(await osdOf(disk));
      const { stdout } = await run(['df', '--output=used', '--block-size=1', dirname(disk.path)]);
      const used = Number(stdout.trim().split('\n').at(-1)) + 2 ** 20;
      await mount(dirname(disk.path), used, 'remount');
      try {
        // The first block that it has not written before fails, and the daemon ends.
        await eventually(async () => (await box.cluster.pidOf(await osdOf(disk))) !== pid, { timeout: 60_000, interval: 200 });
        await load.goesOn();
      } finally {
        await mount(dirname(disk.path), diskSize + gib, 'remount');
      }
    },
    'disk replaced': async (disk) => {
      const pid = await pidOf(await osdOf(disk));
      await rename(disk.path, `${disk.path}.dead`);
      process.kill(pid, 'SIGKILL');
      await load.goesOn();
      wishes = wishes.map((wish) => (wish.id === disk.id ? newDisk(dirname(disk.path)) : wish));
      driver = box.driver({ disks: wishes });
      await driver.open();
      await driver.setDisks?.(wishes);
      await whole();
      await rm(`${disk.path}.dead`);
    },
    'mon killed': async () => void process.kill(await pidOf('mon.alone'), 'SIGKILL'),
    'mon stopped': async (_, random) => stopFor(await pidOf('mon.alone'), 500 + random() * 8_000),
    'mgr killed': async () => void process.kill(await pidOf('mgr.alone'), 'SIGKILL'),
    // As a power cut: all at once, and all start from what is on their disks.
    'all killed': async () => {
      const names = ['mon.alone', 'mgr.alone', ...(await health()).disks.map(({ name }) => name)];
      for (const pid of await Promise.all(names.map(pidOf))) process.kill(pid, 'SIGKILL');
    },
    packages: async () => {
      await replacePrograms();
      const names = ['mon.alone', 'mgr.alone', ...(await health()).disks.map(({ name }) => name)];
      const before = await Promise.all(names.map(pidOf));
      await eventually(
        async () => {
          // As the pool's controller does every few seconds.
          await driver.setDisks?.(wishes);
          const now = await Promise.all(names.map((name) => box.cluster.pidOf(name)));
          return now.every((pid, index) => pid !== undefined && pid !== before[index]);
        },
        { timeout: 180_000, interval: 1_000 },
      );
    },
    service: async () => {
      await box.restart();
      driver = box.driver({ disks: wishes });
      await driver.open();
    },
  };

  return {
    /** Steps the clock of mon, mgr and disks' daemons, under load. @returns the worst stall, ms */
    async step(seconds: number): Promise<number> {
      const before = await load.writes();
      await setClock?.(seconds);
      await delay(5_000);
      await load.goesOn(200);
      await whole();
      const { lost, writes } = await load.check();
      if (lost > 0) throw new Error(`${lost} acknowledged writes of ${writes} are lost`);
      return load.worstSince(before);
    },
    async round(seed: number): Promise<string> {
      const random = randomOf(seed);
      const kind = kinds[Math.floor(random() * kinds.length)] as StorageFault;
      const disk = wishes[Math.floor(random() * wishes.length)] as DiskWish;
      await whole();
      const before = await load.writes();
      await faults[kind](disk, random);
      await load.goesOn();
      await whole();
      const { lost, writes } = await load.check();
      const stall = await load.worstSince(before);
      worst.set(kind, Math.max(worst.get(kind) ?? 0, stall));
      if (lost > 0) throw new Error(`${kind}: ${lost} acknowledged writes of ${writes} are lost`);
      return `${kind}, worst stall ${stall} ms, ${writes} writes so far, none lost`;
    },
    /** By kind of fault, ms. */
    worst: (): Readonly<Record<string, number>> => Object.fromEntries(worst),
    async close(): Promise<void> {
      load.kill();
      process.env.PATH = path;
      await box.cluster.stopDaemons();
      for (const slot of slots) await run(['umount', '-l', slot], { okCodes: [0, 32] });
      await box.tearDown();
    },
  };
}
