/**
 * Disks that change their pool while their VM writes to them: a real guest on real QEMU, its acknowledged writes noted
 * outside. Moved, cancelled, cut off by a killed service; then closed. At each point there is one disk, with every write.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createBox, signIn, type TestBox } from '../helpers/box.ts';
import { eventually } from '../helpers/eventually.ts';
import { startGuestLoad } from '../helpers/guest-load.ts';
import { tinyImage } from '../helpers/tiny-image.ts';
import { usedComponent } from '../report/components.ts';

let box: TestBox;

const figure = (text: string): void => void process.stdout.write(`figure: ${text}\n`);

type Volume = { id: string; name: string; pool: string };
const volume = async (name: string): Promise<Volume> =>
  JSON.parse((await box.croft(['volume', 'show', name, '-o', 'json'])).stdout) as Volume;
const taskState = async (id: string): Promise<{ state: string; progress: number; error?: { detail: string } }> =>
  JSON.parse((await box.croft(['task', 'show', id, '-o', 'json'])).stdout) as never;

const untilMoving = (id: string) =>
  eventually(
    async () => {
      const { state, progress, error } = await taskState(id);
      if (state !== 'running') throw new Error(`the task is ${state}: ${error?.detail}`);
      return progress > 0;
    },
    { timeout: 60_000, interval: 300 },
  );

const pools: Record<string, string> = {};
/** The pools whose directory holds the volume. */
const holders = async (id: string): Promise<string[]> => {
  const found = await Promise.all(
    Object.entries(pools).map(async ([name, path]) => ((await readdir(join(path, 'volumes'))).includes(id) ? [name] : [])),
  );
  return found.flat();
};

const sumOfData = async (): Promise<string> => {
  const { output } = await box.guest(
    'm1',
    'echo 3 >/proc/sys/vm/drop_caches; dd if=/dev/vdb bs=1M skip=8 count=40 2>/dev/null | sha256sum',
  );
  return /[0-9a-f]{64}/.exec(output)?.[0] ?? 'none';
};

const dataVolume = async (): Promise<string> => {
  const { stdout } = await box.croft(['vm', 'show', 'm1', '-o', 'json']);
  const { disks } = JSON.parse(stdout) as { disks: { name: string; volume: string }[] };
  return disks.find(({ name }) => name === 'data')?.volume as string;
};

beforeAll(async () => {
  const image = await tinyImage();
  box = await createBox();
  await box.start();
  pools.local = join(box.directory, 'data', 'pools', 'local');
  pools.fast = join(box.directory, 'fast');
  await box.croft(['pool', 'create', 'fast', '--path', pools.fast]);
  await box.croft(['image', 'add', image, '--name', 'tiny-test', '--timeout', '60s']);
  await box.croft(['vm', 'create', 'm1', '--image', 'tiny-test', '--cpus', '1', '--memory', '160Mi']);
  await box.croft(['vm', 'attach', 'm1', '--size', '128Mi', '--name', 'data']);
  await signIn(box, 'm1');
  await box.guest('m1', 'dd if=/dev/urandom of=/dev/vdb bs=1M seek=8 count=40 conv=fsync', '120s');
}, 240_000);

afterAll(async () => {
  await box?.dispose();
}, 60_000);

describe('a disk under verify load', () => {
  it('moves, stays when it is cancelled, and arrives though the service is killed', { timeout: 400_000 }, async () => {
    usedComponent({ component: 'QEMU', mode: 'real', note: 'TCG' });
    const data = await dataVolume();
    const { id } = await volume(data);
    const before = await sumOfData();
    const pid = await box.pidOf('m1');
    const load = await startGuestLoad(box, 'm1', '/dev/vdb');

    const started = performance.now();
    await box.croft(['vm', 'move-disk', 'm1', 'data', '--pool', 'fast', '--timeout', '60s']);
    figure(`128 MiB moved live in ${Math.round(performance.now() - started)} ms`);
    expect(await volume(data)).toMatchObject({ pool: 'fast' });
    expect(await holders(id)).toEqual(['fast']);
    await load.goesOn();

    const slow = ['volume', 'move', data, '--pool', 'local', '--bandwidth', '2Mi'];
    const cancelled = (await box.croft([...slow, '--no-wait'])).stdout.trim();
    await untilMoving(cancelled);
    expect(await holders(id)).toEqual(expect.arrayContaining(['fast', 'local']));
    expect((await box.croft([...slow, '--no-wait'], { okCodes: [5] })).stderr).toContain('being moved already');
    await box.croft(['task', 'cancel', cancelled]);
    await eventually(async () => (await taskState(cancelled)).state === 'cancelled', { timeout: 30_000, interval: 300 });
    expect(await volume(data)).toMatchObject({ pool: 'fast' });
    expect(await holders(id)).toEqual(['fast']);
    await load.goesOn();

    const cut = (await box.croft(['volume', 'move', data, '--pool', 'local', '--bandwidth', '2Mi', '--no-wait'])).stdout.trim();
    await untilMoving(cut);
    await box.kill();
    const [seen, logged] = [await load.last(), await load.count()];
    await box.start();
    await load.goesOn();
    // It wrote while nobody was there to note it.
    expect((await load.last()) - seen).toBeGreaterThan((await load.count()) - logged + 5);
    await eventually(async () => (await taskState(cut)).state === 'succeeded', { timeout: 120_000, interval: 500 });
    expect(await volume(data)).toMatchObject({ pool: 'local' });
    expect(await holders(id)).toEqual(['local']);
    await load.goesOn();

    expect(await box.pidOf('m1')).toBe(pid);
    const result = await load.end();
    figure(`${result.writes} acknowledged writes, ${result.lost} lost, worst stall ${result.stallMs} ms`);
    expect(result.lost).toBe(0);
    expect(await sumOfData()).toBe(before);
  });

  it('can be moved back and forth, snapshotted in between, and the root disk too', { timeout: 200_000 }, async () => {
    const data = await dataVolume();
    await box.croft(['vm', 'move-disk', 'm1', 'root', '--pool', 'fast', '--timeout', '60s']);
    await box.croft(['vm', 'move-disk', 'm1', 'data', '--pool', 'fast', '--timeout', '60s']);
    await box.croft(['snapshot', 'create', 'm1', 's1']);
    const refused = await box.croft(['volume', 'move', data, '--pool', 'local'], { okCodes: [1] });
    expect(refused.stderr).toContain('has a snapshot, which would stay behind');
    await box.croft(['snapshot', 'delete', 'm1', 's1', '--yes']);
    await box.croft(['volume', 'move', data, '--pool', 'local', '--timeout', '60s']);
  });

  it('moves while the VM is stopped; a start waits for it', { timeout: 200_000 }, async () => {
    const data = await dataVolume();
    const before = await sumOfData();
    await box.croft(['vm', 'stop', 'm1']);
    const started = performance.now();
    await box.croft(['volume', 'move', data, '--pool', 'fast', '--no-wait']);
    await box.croft(['vm', 'start', 'm1', '--timeout', '90s']);
    figure(`moved closed and started in ${Math.round(performance.now() - started)} ms`);
    const { id } = await volume(data);
    expect(await volume(data)).toMatchObject({ pool: 'fast' });
    expect(await holders(id)).toEqual(['fast']);
    await signIn(box, 'm1');
    expect(await sumOfData()).toBe(before);
  });
});
