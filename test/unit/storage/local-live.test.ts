/** The local driver beside a running QEMU, and after crashes in the middle of what it does. */
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { newId } from '../../../appliance/resources/identity.ts';
import { longChain } from '../../../storage/local/shorten.ts';
import { eventually } from '../../helpers/eventually.ts';
import { maxChain } from '../../../storage/local/generations.ts';
import { rejectsWith, runHostSteps } from '../../contract/volume-driver.ts';
import { startBlockQemu, type BlockQemu } from '../../helpers/block-qemu.ts';
import { setupLocal } from '../../helpers/local-pool.ts';
import type { HostStep, Step, VolumeDriver } from '../../../storage/driver.ts';

const mib = 2 ** 20;
type Setup = Awaited<ReturnType<typeof setupLocal>>;

describe('local volumes of a running guest', () => {
  let pool: Setup;
  let driver: VolumeDriver;
  let guest: BlockQemu | undefined;
  let id: string;

  beforeEach(async () => {
    pool = await setupLocal();
    driver = pool.driver;
    await driver.open();
    id = newId();
    await driver.create({ id, size: 16 * mib, source: { blank: true } });
  });
  afterEach(async () => {
    await guest?.kill();
    guest = undefined;
    await pool.cleanup();
  });

  const plug = async (): Promise<{ qemu: BlockQemu; top: string }> => {
    guest = await startBlockQemu();
    const graph = await driver.blockdev(id, 'vda', undefined);
    await guest.open(graph);
    return { qemu: guest, top: graph.top };
  };
  const unplug = async (): Promise<void> => {
    await guest?.kill();
    guest = undefined;
  };
  const overlayOf = (steps: Step[]): string => {
    const found = steps.find((step) => 'qmp' in step && step.qmp.execute === 'blockdev-snapshot');
    if (!found || !('qmp' in found)) throw new Error('no blockdev-snapshot step');
    return String(found.qmp.arguments.overlay);
  };
  const restart = async (): Promise<VolumeDriver> => {
    driver = pool.reopen();
    await driver.open();
    return driver;
  };

  /** Runs a job of `shorten` to its end. */
  const shortenOnce = async (qemu: BlockQemu, top: string): Promise<string | undefined> => {
    const plan = await driver.shorten?.(id, top);
    if (!plan) return undefined;
    await plan.before.run();
    await qemu.runSteps([plan.stream]);
    await eventually(async () => {
      const [job] = (await qemu.execute('query-jobs')) as { status: string; error?: string }[];
      expect(job?.error).toBeUndefined();
      return job?.status === 'concluded';
    });
    await driver.shortened?.(id, plan.job);
    await qemu.execute('job-dismiss', { id: plan.job });
    return plan.job;
  };

  it('folds the layer of a deleted snapshot into the one above while the guest runs', async () => {
    const { qemu, top } = await plug();
    let node = top;
    for (const [index, name] of ['a', 'b', 'c'].entries()) {
      await qemu.io(`write -P ${index + 1} ${index}M 1M`);
      const steps = await driver.snapshot(id, name, node);
      node = overlayOf(steps);
      await qemu.runSteps(steps);
    }
    expect(await driver.shorten?.(id, node)).toBeUndefined();
    await driver.deleteSnapshot(id, 'b');
    // Into a frozen layer: the head isn't touched.
    expect(await shortenOnce(qemu, node)).toBe(`shorten.${id}.3.0`);
    expect(await driver.shorten?.(id, node)).toBeUndefined();
    await driver.deleteSnapshot(id, 'c');
    expect(await shortenOnce(qemu, node)).toBe(`shorten.${id}.4.0`);
    await driver.deleteSnapshot(id, 'a');
    expect(await shortenOnce(qemu, node)).toBe(`shorten.${id}.4.none`);
    expect((await readdir(join(pool.root, 'volumes', id))).filter((name) => name.startsWith('gen-'))).toEqual(['gen-4.qcow2']);
    for (const index of [0, 1, 2]) await qemu.io(`read -P ${index + 1} ${index}M 1M`);
    await unplug();
    await restart();
    const again = await plug();
    for (const index of [0, 1, 2]) await again.qemu.io(`read -P ${index + 1} ${index}M 1M`);
  });

  it('loses nothing when QEMU dies in the middle, and begins anew', async () => {
    const { qemu, top } = await plug();
    await qemu.io('write -P 7 0 8M');
    const steps = await driver.snapshot(id, 'a', top);
    await qemu.runSteps(steps);
    await driver.deleteSnapshot(id, 'a');
    const plan = await driver.shorten?.(id, overlayOf(steps));
    if (!plan) throw new Error('nothing to shorten');
    await plan.before.run();
    await qemu.execute('block-stream', { ...plan.stream.qmp.arguments, speed: 65536 });
    await unplug();
    await restart();
    const again = await plug();
    await again.qemu.io('read -P 7 0 8M');
    expect(await shortenOnce(again.qemu, again.top)).toBe(plan.job);
    await again.qemu.io('read -P 7 0 8M');
  });

  it('gives a head on a long chain of snapshots a chain of its own, and records nothing that is not so', async () => {
    const { qemu, top } = await plug();
    let node = top;
    for (let index = 0; index < longChain - 1; index++) {
      await qemu.io(`write -P ${index + 1} ${index}M 1M`);
      const steps = await driver.snapshot(id, `s${index}`, node);
      node = overlayOf(steps);
      await qemu.runSteps(steps);
    }
    // A job that never ran: the file says otherwise.
    await expect(driver.shortened?.(id, `shorten.${id}.${longChain}.none`)).rejects.toThrow(/left as it is/);
    expect(await shortenOnce(qemu, node)).toBe(`shorten.${id}.${longChain}.none`);
    expect(await driver.shorten?.(id, node)).toBeUndefined();
    for (let index = 0; index < longChain - 1; index++) await qemu.io(`read -P ${index + 1} ${index}M 1M`);
    expect((await driver.get(id))?.snapshots).toHaveLength(longChain - 1);
    await unplug();
    await driver.restore(id, 's1');
    const restored = await plug();
    await restored.qemu.io('read -P 1 0 1M');
    await restored.qemu.io('read -P 0 2M 1M');
  });

  it('refuses to delete, restore or clone what is open', async () => {
    await runHostSteps(await driver.snapshot(id, 'a', undefined));
    await plug();
    await rejectsWith(driver.delete(id), 'in-use');
    await rejectsWith(driver.restore(id, 'a'), 'in-use');
    await rejectsWith(driver.create({ id: newId(), size: 16 * mib, source: { volumeId: id } }), 'in-use');
    await unplug();
    await driver.delete(id);
    expect(await readdir(join(pool.root, 'volumes'))).toEqual([]);
  });

  it('snapshots while it is written to, grows, and restores when it is stopped', async () => {
    const { qemu, top } = await plug();
    await qemu.io('write -P 1 0 1M');
    const steps = await driver.snapshot(id, 'a', top);
    await qemu.runSteps(steps);
    const overlay = overlayOf(steps);
    await qemu.io('write -P 2 0 1M');
    await qemu.runSteps(await driver.grow(id, 32 * mib, overlay));
    expect(await driver.get(id)).toMatchObject({ size: 32 * mib, snapshots: [{ id: 'a', size: 16 * mib }] });
    expect((await driver.blockdev(id, 'vda', undefined)).top).toBe(overlay);
    await unplug();
    expect(await pool.reads(driver, id, 0, mib, 2)).toBe(true);
    await driver.restore(id, 'a');
    expect(await pool.reads(driver, id, 0, mib, 1)).toBe(true);
  });

  it('bounds the chain while the guest runs, with a way out', async () => {
    let { top } = await plug();
    for (let layer = 2; layer <= maxChain; layer++) {
      const steps = await driver.snapshot(id, `s${layer}`, top);
      await guest?.runSteps(steps);
      top = overlayOf(steps);
    }
    await rejectsWith(driver.snapshot(id, 'too-many', top), 'invalid-state');
    await unplug();
    for (let layer = 2; layer <= maxChain; layer++) await driver.deleteSnapshot(id, `s${layer}`);
    expect((await driver.blockdev(id, 'vda', undefined)).nodes).toHaveLength(2);
    await runHostSteps(await driver.snapshot(id, 'again', undefined));
  });

  describe('a live snapshot cut off', () => {
    /** Runs the first `count` steps, then the service dies: a new driver opens the pool. */
    const cutAfter = async (count: number): Promise<{ top: string; steps: Step[] }> => {
      const { qemu, top } = await plug();
      await qemu.io('write -P 1 0 1M');
      const steps = await driver.snapshot(id, 'a', top);
      await qemu.runSteps(steps.slice(0, count));
      return { top, steps };
    };

    it.each([1, 2, 3])('after step %i, before QEMU moved on: nothing is lost, and it can be repeated', async (count) => {
      const { top } = await cutAfter(count);
      await restart();
      expect((await driver.get(id))?.snapshots).toEqual([]);
      await guest?.io('write -P 4 1M 1M');
      const steps = await driver.snapshot(id, 'a', top);
      await guest?.runSteps(steps);
      await guest?.io('write -P 5 0 1M');
      expect((await driver.get(id))?.snapshots).toMatchObject([{ id: 'a' }]);
      await unplug();
      expect(await pool.reads(driver, id, 0, mib, 5)).toBe(true);
      await driver.restore(id, 'a');
      expect(await pool.reads(driver, id, 0, mib, 1)).toBe(true);
      expect(await pool.reads(driver, id, mib, mib, 4)).toBe(true);
    });

    it('after QEMU moved on: repeating it only writes the record', async () => {
      const { steps } = await cutAfter(4);
      await restart();
      await guest?.io('write -P 2 0 1M');
      const rest = await driver.snapshot(id, 'a', overlayOf(steps));
      expect(rest).toHaveLength(1);
      await (rest[0] as HostStep).run();
      await unplug();
      expect(await pool.reads(driver, id, 0, mib, 2)).toBe(true);
      await driver.restore(id, 'a');
      expect(await pool.reads(driver, id, 0, mib, 1)).toBe(true);
    });

    it('after QEMU moved on and died too: what was written to the new layer is found again', async () => {
      await cutAfter(4);
      await guest?.io('write -P 2 0 1M');
      await guest?.io('flush');
      await unplug();
      await restart();
      expect(await pool.reads(driver, id, 0, mib, 2)).toBe(true);
      expect((await driver.get(id))?.snapshots).toMatchObject([{ id: 'a' }]);
    });

    it('with all dead and nothing written: the untouched layer goes', async () => {
      await cutAfter(1);
      await unplug();
      await restart();
      expect(await pool.reads(driver, id, 0, mib, 1)).toBe(true);
      expect((await readdir(join(pool.root, 'volumes', id))).toSorted()).toEqual(['gen-1.qcow2', 'volume.json']);
    });
  });

  it('removes what unfinished work left, and nothing else', async () => {
    const unfinished = join(pool.root, 'volumes', newId());
    const foreign = join(pool.root, 'volumes', newId());
    for (const directory of [unfinished, foreign]) await mkdir(directory);
    await writeFile(join(unfinished, 'gen-1.qcow2'), 'half');
    await writeFile(join(foreign, 'letters.txt'), 'mine');
    const own = join(pool.root, 'volumes', id);
    const orphan = await readFile(join(own, 'gen-1.qcow2'));
    await writeFile(join(own, 'gen-9.qcow2'), orphan);
    await writeFile(join(own, 'volume.json.0123abcd.tmp'), '{');
    await writeFile(join(pool.root, 'images', `${newId()}.tmp`), 'half');
    await restart();
    expect((await readdir(own)).toSorted()).toEqual(['gen-1.qcow2', 'volume.json']);
    expect(await readdir(join(pool.root, 'images'))).toEqual([]);
    await expect(stat(unfinished)).rejects.toThrow('ENOENT');
    expect(await readFile(join(foreign, 'letters.txt'), 'utf8')).toBe('mine');
  });

  it('gives the guest its files and no more', async () => {
    if (process.getuid?.() !== 0) return;
    const imageId = newId();
    await driver.importImage(imageId, await pool.imageFile(8 * mib, 3));
    const cloneId = newId();
    await driver.create({ id: cloneId, size: 8 * mib, source: { imageId } });
    await runHostSteps(await driver.snapshot(cloneId, 'a', undefined));
    const owner = { uid: 1_900_000_123, gid: 1_900_000_123 };
    const graph = await driver.blockdev(cloneId, 'vda', owner);
    const files = graph.nodes.filter((node) => node.driver === 'file');
    const seen = await Promise.all(
      files.map(async (node) => {
        const { uid, mode } = await stat(String(node.filename));
        return { uid, mode: (mode & 0o777).toString(8), readOnly: node['read-only'] };
      }),
    );
    expect(seen).toEqual([
      { uid: 0, mode: '444', readOnly: true },
      { uid: owner.uid, mode: '400', readOnly: true },
      { uid: owner.uid, mode: '600', readOnly: false },
    ]);
    expect(graph.nodes.every((node) => String(node['node-name']).length <= 31)).toBe(true);
  });

  it('keeps the reserve', async () => {
    const { createLocalDriver } = await import('../../../storage/local/driver.ts');
    const full = createLocalDriver({ path: join(pool.root, 'full'), reserve: 2 ** 52 });
    await full.open();
    await rejectsWith(full.create({ id: newId(), size: mib, source: { blank: true } }), 'insufficient-storage');
  });
});
