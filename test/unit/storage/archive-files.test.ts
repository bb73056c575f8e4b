/** Files of a kernel image, through a real local pool: taken in as any image, taken out as plain files. */
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { tarEnd, tarHeader, tarPadding } from '../../../appliance/host/tar.ts';
import { newId } from '../../../appliance/resources/identity.ts';
import type { VolumeDriver } from '../../../storage/driver.ts';
import { createArchiveFiles } from '../../../storage/images/archive-files.ts';
import { convertImage } from '../../../storage/images/convert.ts';
import { createLocalDriver } from '../../../storage/local/driver.ts';

let root: string;
let driver: VolumeDriver;
const kernel = Buffer.alloc(300_001, 'k');
const initrd = Buffer.alloc(1_024, 'i');

const tar = (files: Record<string, Buffer>): Buffer =>
  Buffer.concat([
    ...Object.entries(files).flatMap(([name, content]) => [
      tarHeader(name, content.length, 0),
      content,
      tarPadding(content.length),
    ]),
    tarEnd(),
  ]);

/** As an Image of these bytes comes into the pool. */
async function takeIn(bytes: Buffer): Promise<string> {
  const id = newId();
  const [input, output] = [join(root, 'input'), join(root, 'flat.qcow2')];
  await writeFile(input, bytes);
  await convertImage({ input, workDir: join(root, 'convert'), output, maxSize: 2 ** 30 });
  await driver.importImage(id, output);
  return id;
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'croft-arch-'));
  driver = createLocalDriver({ path: join(root, 'pool'), reserve: 0 });
  await driver.open();
});
afterAll(() => rm(root, { recursive: true, force: true }));

it('takes files out of an archive once, readable by all users, and says what is in it otherwise', async () => {
  const id = await takeIn(gzipSync(tar({ './boot/vmlinuz': kernel, 'boot/initrd.img': initrd, empty: Buffer.alloc(0) })));
  const filesOf = createArchiveFiles({ directory: join(root, 'work'), pool: () => driver });
  const read = vi.spyOn(driver, 'exportImage');
  const image = { id, pool: 'local' };
  const [first, second] = await filesOf(image, ['/boot/vmlinuz', 'boot/initrd.img']);
  expect(await readFile(first as string)).toEqual(kernel);
  expect(await readFile(second as string)).toEqual(initrd);
  expect((await stat(first as string)).mode & 0o777).toBe(0o644);
  expect(await filesOf(image, ['boot/vmlinuz'])).toEqual([first]);
  expect(read).toHaveBeenCalledTimes(1);
  await expect(filesOf(image, ['boot/../etc/shadow'])).rejects.toThrow(
    /no plain file boot\/..\/etc\/shadow in the archive; it has boot\/vmlinuz, boot\/initrd.img, empty/,
  );
  await expect(filesOf(image, ['empty'])).rejects.toThrow('empty');
});

it('refuses an image that is no archive', async () => {
  const id = await takeIn(Buffer.alloc(4096, 'x'));
  const filesOf = createArchiveFiles({ directory: join(root, 'work'), pool: () => driver });
  await expect(filesOf({ id, pool: 'local' }, ['vmlinuz'])).rejects.toMatchObject({ code: 'invalid-input' });
  await expect(filesOf({ id: newId(), pool: 'local' }, ['vmlinuz'])).rejects.toMatchObject({ code: 'not-found' });
});
