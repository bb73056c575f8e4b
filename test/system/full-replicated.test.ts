/**
 * A replicated pool that runs full under a real guest, on real Ceph: the writer is paused with numbers before Ceph makes
 * its clients wait. Then Ceph is filled up from outside until it is full by its own words: deleting still works, and the
 * guest goes on by itself and has lost nothing.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createBox, signIn, type TestBox } from '../helpers/box.ts';
import { cephMissing } from '../helpers/ceph-missing.ts';
import { eventually } from '../helpers/eventually.ts';
import { tinyImage } from '../helpers/tiny-image.ts';
import { usedComponent } from '../report/components.ts';

const mib = 2 ** 20;
const figure = (text: string): void => void process.stdout.write(`figure: ${text}\n`);

describe.skipIf(cephMissing() !== undefined)('a replicated pool that runs full', () => {
  let box: TestBox;
  let conf = '';

  const ceph = async <T>(...args: string[]): Promise<T> =>
    JSON.parse(
      (await box.inside(['timeout', '30', 'ceph', '-c', conf, ...args, '--format', 'json'], { timeout: 40_000 })).stdout,
    ) as T;
  const free = async (): Promise<number> => {
    const { pools } = await ceph<{ pools: { name: string; stats: { max_avail: number } }[] }>('df');
    return pools.find(({ name }) => name === 'replicated')?.stats.max_avail ?? 0;
  };
  const checks = async (): Promise<string[]> => Object.keys((await ceph<{ checks: object }>('health')).checks);
  const isFull = async (): Promise<boolean> => (await checks()).some((check) => check === 'OSD_FULL' || check === 'POOL_FULL');
  const explain = async (): Promise<string> => (await box.croft(['vm', 'explain', 'a'])).stdout;
  const bench = (image: string, bytes: number) => [
    'rbd',
    '-c',
    conf,
    'bench',
    '--io-type',
    'write',
    '--io-size',
    '4M',
    '--io-threads',
    '2',
    '--io-total',
    String(bytes),
    image,
  ];
  const imageOf = async (volume: string): Promise<string> => {
    const { id } = JSON.parse((await box.croft(['volume', 'show', volume, '-o', 'json'])).stdout) as { id: string };
    return `replicated/vol-${id}.g1`;
  };

  beforeAll(async () => {
    const image = await tinyImage();
    box = await createBox();
    conf = join(box.directory, 'data/ceph/ceph.conf');
    await box.start();
    const disks = ['a', 'b'].flatMap((name) => ['--disk', join(box.directory, `osd-${name}`)]);
    await box.croft(['pool', 'init', 'replicated', ...disks, '--size', '2Gi', '--timeout', '150s']);
    await box.croft(['image', 'add', image, '--name', 'tiny-test', '--timeout', '60s']);
    const disk = 'size=512Mi,name=data,pool=replicated';
    await box.croft(['vm', 'create', 'a', '--image', 'tiny-test', '--cpus', '1', '--memory', '192Mi', '--disk', disk]);
    for (const name of ['ballast', 'more']) await box.croft(['volume', 'create', name, '--size', '2Gi', '--pool', 'replicated']);
    await signIn(box, 'a');
  }, 240_000);

  afterAll(async () => {
    await box?.dispose();
  }, 90_000);

  it('pauses its writer before Ceph is full; deleting frees a full one, and the writer goes on', {
    timeout: 500_000,
  }, async () => {
    usedComponent({ component: 'Ceph', mode: 'real', note: 'disks are files' });
    const device = 'D=/dev/$(grep -lx 1048576 /sys/block/vd*/size | cut -d/ -f4)';
    const made = await box.guest('a', 'dd if=/dev/urandom of=/tmp/x bs=1M count=60 2>/dev/null; sha256sum </tmp/x', '120s');
    const sum = /[0-9a-f]{64}/.exec(made.output)?.[0];
    expect(sum).toBeDefined();

    // Ballast, so that the guest has little left to take: 150 MiB beyond the reserve.
    const reserve = 512 * mib;
    const ballast = await imageOf('ballast');
    const bytes = Math.floor(((await free()) - reserve - 150 * mib) / (4 * mib)) * 4 * mib;
    await box.inside(bench(ballast, bytes) as [string, ...string[]], { timeout: 200_000 });
    figure(`ballast of ${Math.round(bytes / mib)} MiB leaves ${Math.round((await free()) / mib)} MiB`);

    // Twice over: at first blocks that nobody has written, which take space, then the ones that are read afterwards.
    const passes = 'for k in 420 360 300 240 180 120 60 0';
    const write = `${passes}; do for i in $(seq 0 59); do dd if=/tmp/x of=$D bs=1M count=1 skip=$i seek=$((k+i)) conv=fsync 2>/dev/null; done; done`;
    const writing = box.guest('a', `${device}; ${write}`, '460s');
    await eventually(async () => (await box.vm('a')).state === 'paused', { timeout: 120_000, interval: 500 });
    const told = (await explain()).split('\n')[0] ?? '';
    figure(told);
    expect(told).toMatch(/pool replicated has .* free and keeps [\d.]+ MiB in reserve/);
    expect(await isFull()).toBe(false);
    expect(await free()).toBeGreaterThan(0);

    // Somebody beside Croft fills it for good; that client then waits for ever.
    const filler = bench(await imageOf('more'), 2000 * mib);
    const outside = spawn('ip', ['netns', 'exec', box.namespace, ...filler], { stdio: 'ignore' });
    try {
      await eventually(isFull, { timeout: 120_000, interval: 1_000 });
      figure(`Ceph says: ${(await checks()).join(', ')}`);
      expect((await box.vm('a')).state).toBe('paused');
    } finally {
      const gone = new Promise((resolve) => outside.once('exit', resolve));
      outside.kill('SIGKILL');
      await gone;
    }
    const started = performance.now();
    // What held it open is gone; Ceph believes so after some seconds.
    await eventually(() => box.croft(['volume', 'delete', 'ballast', '--yes', '--timeout', '90s']), {
      timeout: 120_000,
      interval: 3_000,
    });
    await eventually(async () => (await box.vm('a')).state === 'running', { timeout: 60_000, interval: 500 });
    figure(`deleted, and the guest goes on, after ${Math.round(performance.now() - started)} ms`);
    expect((await writing).code).toBe(0);
    const read = `${device}; echo 3 >/proc/sys/vm/drop_caches; dd if=$D bs=1M count=60 2>/dev/null | sha256sum`;
    expect((await box.guest('a', read, '90s')).output).toContain(sum);
    expect(await isFull()).toBe(false);
  });
});
