/** What every VolumeDriver must do. Drivers differ in `setup` only: how to make one and how a guest's reads and writes are done. */
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isCroftError } from '../../appliance/errors.ts';
import { run } from '../../appliance/host/exec.ts';
import { newId } from '../../appliance/resources/identity.ts';
import type { HostStep, Step, VolumeDriver } from '../../storage/driver.ts';
import { inspectImage } from '../../storage/images/inspect.ts';

export type DriverUnderTest = {
  driver: VolumeDriver;
  /** A fresh instance on the same pool, as after a restart; not opened yet. */
  reopen: () => VolumeDriver;
  /** Fills `length` bytes at `offset` with `byte`, as a stopped guest's disk would have it. */
  write: (driver: VolumeDriver, id: string, offset: number, length: number, byte: number) => Promise<void>;
  /** True when all these bytes are `byte`. */
  reads: (driver: VolumeDriver, id: string, offset: number, length: number, byte: number) => Promise<boolean>;
  /** A raw or flat qcow2 file of `size` bytes, filled with `byte` in its first MiB, ready for importImage. */
  imageFile: (size: number, byte: number) => Promise<string>;
  cleanup: () => Promise<void>;
};

const mib = 2 ** 20;

/** Runs host steps; a stopped guest must need no others. */
export async function runHostSteps(steps: Step[]): Promise<void> {
  for (const step of steps) {
    expect(step).toHaveProperty('host');
    await (step as HostStep).run();
  }
}

export const rejectsWith = async (promise: Promise<unknown>, code: Parameters<typeof isCroftError>[1]): Promise<void> => {
  const error = await promise.then(
    () => new Error('resolved'),
    (reason: unknown) => reason,
  );
  expect(isCroftError(error, code), `${String(error)} should have code ${code}`).toBe(true);
};

export function describeVolumeDriverContract(name: string, setup: () => Promise<DriverUnderTest>): void {
  describe(`VolumeDriver ${name}`, () => {
    let under: DriverUnderTest;
    let driver: VolumeDriver;
    const blank = (id: string, size = 16 * mib) => driver.create({ id, size, source: { blank: true } });
    const snapshot = async (id: string, snapshotId: string) => runHostSteps(await driver.snapshot(id, snapshotId, undefined));

    beforeEach(async () => {
      under = await setup();
      driver = under.driver;
      await driver.open();
    });
    afterEach(() => under.cleanup());

    describe('volumes', () => {
      it('makes a blank volume once, whatever the number of calls', async () => {
        const id = newId();
        const made = await blank(id);
        expect(made).toMatchObject({ id, size: 16 * mib, snapshots: [] });
        expect(await blank(id)).toMatchObject({ id, size: 16 * mib });
        expect((await driver.list()).map((volume) => volume.id)).toEqual([id]);
        expect(await under.reads(driver, id, 0, mib, 0)).toBe(true);
      });

      it('keeps volumes and what was written across a restart', async () => {
        const id = newId();
        await blank(id);
        await under.write(driver, id, mib, mib, 7);
        const again = under.reopen();
        await again.open();
        expect(await again.get(id)).toMatchObject({ id, size: 16 * mib });
        expect(await under.reads(again, id, mib, mib, 7)).toBe(true);
      });

      it('refuses sizes that are no disk', async () => {
        for (const size of [0, -512, 1000.5, 1000]) await rejectsWith(blank(newId(), size), 'invalid-input');
      });

      it('deletes idempotently', async () => {
        const id = newId();
        await blank(id);
        await driver.delete(id);
        await driver.delete(id);
        expect(await driver.get(id)).toBeUndefined();
        expect(await driver.list()).toEqual([]);
      });

      it('counts what guests could fill', async () => {
        await blank(newId());
        await blank(newId(), 8 * mib);
        const usage = await driver.usage();
        expect(usage.provisioned).toBe(24 * mib);
        expect(usage.capacity).toBeGreaterThan(0);
        expect(usage.free).toBeLessThanOrEqual(usage.capacity);
      });
    });

    describe('images', () => {
      it('takes a file in and clones it at once, independent of each other', async () => {
        const imageId = newId();
        expect(await driver.importImage(imageId, await under.imageFile(8 * mib, 3))).toMatchObject({ size: 8 * mib });
        const [first, second] = [newId(), newId()];
        for (const id of [first, second]) await driver.create({ id, size: 16 * mib, source: { imageId } });
        await under.write(driver, first, 0, mib, 9);
        expect(await under.reads(driver, first, 0, mib, 9)).toBe(true);
        expect(await under.reads(driver, second, 0, mib, 3)).toBe(true);
        expect(await under.reads(driver, second, 8 * mib, 8 * mib, 0)).toBe(true);
      });

      it('imports idempotently', async () => {
        const imageId = newId();
        await driver.importImage(imageId, await under.imageFile(8 * mib, 3));
        await driver.importImage(imageId, await under.imageFile(8 * mib, 4));
        const id = newId();
        await driver.create({ id, size: 8 * mib, source: { imageId } });
        expect(await under.reads(driver, id, 0, mib, 3)).toBe(true);
      });

      it('keeps a deleted image for its clones only', async () => {
        const imageId = newId();
        await driver.importImage(imageId, await under.imageFile(8 * mib, 3));
        const id = newId();
        await driver.create({ id, size: 8 * mib, source: { imageId } });
        await driver.deleteImage(imageId);
        await driver.deleteImage(imageId);
        expect(await driver.getImage(imageId)).toBeUndefined();
        await rejectsWith(driver.create({ id: newId(), size: 8 * mib, source: { imageId } }), 'not-found');
        expect(await under.reads(driver, id, 0, mib, 3)).toBe(true);
        const again = under.reopen();
        await again.open();
        expect(await under.reads(again, id, 0, mib, 3)).toBe(true);
      });

      it('refuses a volume smaller than its image, and an unknown image', async () => {
        const imageId = newId();
        await driver.importImage(imageId, await under.imageFile(8 * mib, 3));
        await rejectsWith(driver.create({ id: newId(), size: 4 * mib, source: { imageId } }), 'invalid-input');
        await rejectsWith(driver.create({ id: newId(), size: 4 * mib, source: { imageId: newId() } }), 'not-found');
      });
    });

    describe('grow', () => {
      it('grows, keeps the data, and never shrinks', async () => {
        const id = newId();
        await blank(id);
        await under.write(driver, id, 0, mib, 5);
        await runHostSteps(await driver.grow(id, 32 * mib, undefined));
        expect(await driver.get(id)).toMatchObject({ size: 32 * mib });
        expect(await under.reads(driver, id, 0, mib, 5)).toBe(true);
        expect(await under.reads(driver, id, 16 * mib, 16 * mib, 0)).toBe(true);
        expect(await driver.grow(id, 32 * mib, undefined)).toEqual([]);
        await rejectsWith(driver.grow(id, 16 * mib, undefined), 'invalid-input');
      });
    });

    describe('snapshots', () => {
      it('brings back what was there, again and again', async () => {
        const id = newId();
        await blank(id);
        await under.write(driver, id, 0, mib, 1);
        await snapshot(id, 'a');
        await under.write(driver, id, 0, mib, 2);
        await snapshot(id, 'b');
        await under.write(driver, id, 0, mib, 3);
        for (const [snapshotId, byte] of [
          ['a', 1],
          ['b', 2],
          ['a', 1],
        ] as const) {
          await driver.restore(id, snapshotId);
          expect(await under.reads(driver, id, 0, mib, byte)).toBe(true);
          await under.write(driver, id, 0, mib, 9);
        }
        expect((await driver.get(id))?.snapshots.map((one) => one.id)).toEqual(['a', 'b']);
      });

      it('snapshots once, whatever the number of calls', async () => {
        const id = newId();
        await blank(id);
        await snapshot(id, 'a');
        await under.write(driver, id, 0, mib, 2);
        await snapshot(id, 'a');
        expect((await driver.get(id))?.snapshots).toHaveLength(1);
        await driver.restore(id, 'a');
        expect(await under.reads(driver, id, 0, mib, 0)).toBe(true);
      });

      it('deletes snapshots in any order without harm to the others', async () => {
        const id = newId();
        await blank(id);
        for (const [index, snapshotId] of ['a', 'b', 'c'].entries()) {
          await under.write(driver, id, index * mib, mib, index + 1);
          await snapshot(id, snapshotId);
        }
        await driver.deleteSnapshot(id, 'b');
        await driver.deleteSnapshot(id, 'b');
        const holds = async (bytes: number[]) => {
          for (const [index, byte] of bytes.entries()) expect(await under.reads(driver, id, index * mib, mib, byte)).toBe(true);
        };
        await holds([1, 2, 3]);
        await driver.restore(id, 'a');
        await holds([1, 0, 0]);
        await driver.restore(id, 'c');
        await holds([1, 2, 3]);
        for (const snapshotId of ['a', 'c']) await driver.deleteSnapshot(id, snapshotId);
        await holds([1, 2, 3]);
        await rejectsWith(driver.restore(id, 'a'), 'not-found');
      });

      it('takes any number of snapshots one after the other when they are deleted again', async () => {
        const id = newId();
        await blank(id);
        for (let round = 1; round <= 12; round++) {
          await under.write(driver, id, 0, mib, round);
          await snapshot(id, `s${round}`);
          if (round > 2) await driver.deleteSnapshot(id, `s${round - 2}`);
        }
        expect(await under.reads(driver, id, 0, mib, 12)).toBe(true);
        await driver.restore(id, 's11');
        expect(await under.reads(driver, id, 0, mib, 11)).toBe(true);
      });
    });

    describe('clones', () => {
      it('clones a snapshot and the present state, and outlives its source', async () => {
        const id = newId();
        await blank(id);
        await under.write(driver, id, 0, mib, 1);
        await snapshot(id, 'a');
        await under.write(driver, id, 0, mib, 2);
        const [ofSnapshot, ofPresent] = [newId(), newId()];
        await driver.create({ id: ofSnapshot, size: 16 * mib, source: { volumeId: id, snapshotId: 'a' } });
        await driver.create({ id: ofPresent, size: 16 * mib, source: { volumeId: id } });
        await under.write(driver, id, 0, mib, 3);
        expect(await under.reads(driver, ofSnapshot, 0, mib, 1)).toBe(true);
        expect(await under.reads(driver, ofPresent, 0, mib, 2)).toBe(true);
        await driver.delete(id);
        expect((await driver.list()).map((volume) => volume.id).toSorted()).toEqual([ofSnapshot, ofPresent].toSorted());
        expect(await under.reads(driver, ofSnapshot, 0, mib, 1)).toBe(true);
        expect(await under.reads(driver, ofPresent, 0, mib, 2)).toBe(true);
        const again = under.reopen();
        await again.open();
        expect(await under.reads(again, ofPresent, 0, mib, 2)).toBe(true);
        for (const clone of [ofSnapshot, ofPresent]) await again.delete(clone);
        expect(await again.list()).toEqual([]);
      });

      it('refuses a source that is not there', async () => {
        await rejectsWith(driver.create({ id: newId(), size: 16 * mib, source: { volumeId: newId() } }), 'not-found');
        const id = newId();
        await blank(id);
        await rejectsWith(driver.create({ id: newId(), size: 16 * mib, source: { volumeId: id, snapshotId: 'x' } }), 'not-found');
      });
    });

    // Where a pool can: the simulated one has no bytes to give.
    describe('exports', () => {
      let directory: string;
      beforeEach(async () => {
        directory = await mkdtemp(join(tmpdir(), 'croft-export-'));
      });
      afterEach(() => rm(directory, { recursive: true, force: true }));
      const holds = async (file: string, format: string, offset: number, byte: number): Promise<boolean> => {
        const { stdout } = await run(['qemu-io', '-r', '-f', format, '-c', `read -P ${byte} ${offset} ${mib}`, file]);
        return !stdout.includes('verification failed');
      };

      it('writes a snapshot to a file of its own, flat, while the volume goes on', async () => {
        if (!driver.exportSnapshot) return;
        const id = newId();
        await blank(id);
        await under.write(driver, id, 0, mib, 1);
        await snapshot(id, 'first');
        await under.write(driver, id, mib, mib, 2);
        await snapshot(id, 'a');
        await under.write(driver, id, 0, mib, 3);
        for (const format of ['qcow2', 'vmdk'] as const) {
          const file = join(directory, `disk.${format}`);
          const shares: number[] = [];
          await driver.exportSnapshot(id, 'a', { file, format, progress: (done, total) => shares.push(done / total) });
          expect(await inspectImage(file)).toMatchObject({ format, virtualSize: 16 * mib });
          expect([await holds(file, format, 0, 1), await holds(file, format, mib, 2)]).toEqual([true, true]);
          expect(Math.max(0, ...shares)).toBeLessThanOrEqual(1);
        }
        // Again over what is there; and nothing of it stays in the pool.
        await driver.exportSnapshot(id, 'a', { file: join(directory, 'disk.qcow2'), format: 'qcow2' });
        await driver.deleteSnapshot(id, 'a');
        await driver.deleteSnapshot(id, 'first');
        await rejectsWith(driver.exportSnapshot(id, 'a', { file: join(directory, 'x'), format: 'qcow2' }), 'not-found');
        await driver.delete(id);
        expect(await driver.list()).toEqual([]);
      });

      it('writes an image to a file, byte by byte', async () => {
        if (!driver.exportImage) return;
        const id = newId();
        await driver.importImage(id, await under.imageFile(4 * mib, 7));
        const file = join(directory, 'image.raw');
        await driver.exportImage(id, { file });
        expect((await stat(file)).size).toBe(4 * mib);
        expect([await holds(file, 'raw', 0, 7), await holds(file, 'raw', mib, 0)]).toEqual([true, true]);
        await driver.deleteImage(id);
        await rejectsWith(driver.exportImage(id, { file }), 'not-found');
      });
    });
  });
}
