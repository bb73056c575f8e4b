/** A pool that runs full under a real guest: it is paused with numbers, loses nothing, and goes on when space returns. */
import { writeFile, rm, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { run } from '../../appliance/host/exec.ts';
import { createBox, signIn, type TestBox } from '../helpers/box.ts';
import { eventually } from '../helpers/eventually.ts';
import { tinyImage } from '../helpers/tiny-image.ts';

let box: TestBox;
let small = '';

const explain = async (): Promise<string> => (await box.croft(['vm', 'explain', 'a'])).stdout;

beforeAll(async () => {
  const image = await tinyImage();
  box = await createBox();
  small = join(box.directory, 'small');
  await mkdir(small, { mode: 0o711 });
  await run(['mount', '-t', 'tmpfs', '-o', 'size=96m,mode=711', 'tmpfs', small]);
  await box.start();
  await box.croft(['image', 'add', image, '--name', 'tiny-test', '--timeout', '60s']);
  const pool = { kind: 'pool', name: 'small', driver: 'local', path: join(small, 'pool'), reserve: 16 * 2 ** 20 };
  const manifest = join(box.directory, 'pool.json');
  await writeFile(manifest, JSON.stringify(pool));
  await box.croft(['apply', '-f', manifest]);
  const disk = 'size=128Mi,name=data,pool=small';
  await box.croft(['vm', 'create', 'a', '--image', 'tiny-test', '--cpus', '1', '--memory', '128Mi', '--disk', disk]);
  await signIn(box, 'a');
}, 180_000);

afterAll(async () => {
  // Lazily: the guest still has its disk open, and the box's directory is removed with it.
  await run(['umount', '-l', small], { okCodes: [32] });
  await box?.dispose();
}, 60_000);

it('pauses the writer below the reserve, says why, and lets it go on', { timeout: 240_000 }, async () => {
  const disk = 'D=/dev/$(grep -lx 262144 /sys/block/vd*/size | cut -d/ -f4)';
  // In the guest's memory first, so that what must arrive on the disk is known.
  const made = await box.guest('a', 'dd if=/dev/urandom of=/tmp/x bs=1M count=40 2>/dev/null; sha256sum </tmp/x', '90s');
  const sum = /[0-9a-f]{64}/.exec(made.output)?.[0];
  expect(sum).toBeDefined();
  const ballast = join(small, 'ballast');
  await writeFile(ballast, Buffer.alloc(60 * 2 ** 20));
  const writing = box.guest(
    'a',
    `${disk}; for i in $(seq 0 39); do dd if=/tmp/x of=$D bs=1M count=1 skip=$i seek=$i conv=fsync 2>/dev/null; sleep 1; done`,
    '200s',
  );
  await eventually(async () => (await box.vm('a')).state === 'paused', { timeout: 100_000 });
  const told = await explain();
  console.log(told.split('\n')[0]);
  expect(told).toMatch(/pool small has .* free and keeps 16 MiB in reserve/);
  await rm(ballast);
  await eventually(async () => (await box.vm('a')).state === 'running', { timeout: 30_000 });
  expect((await writing).code).toBe(0);
  const read = await box.guest(
    'a',
    `${disk}; echo 3 >/proc/sys/vm/drop_caches; dd if=$D bs=1M count=40 2>/dev/null | sha256sum`,
    '60s',
  );
  expect(read.output).toContain(sum);
});
