/** Images of a local pool: immutable files that volumes lie on. */
import { chmod, copyFile, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CroftError } from '../../appliance/errors.ts';
import { run } from '../../appliance/host/exec.ts';
import { syncDirectory, writeFileAtomic } from '../../appliance/host/files.ts';
import type { Progress } from '../driver.ts';
import { inspectImage } from '../images/inspect.ts';
import { allocated, assertId, readQcow2 } from './files.ts';
import { exists, type LocalPool } from './pool.ts';

const convertDeadline = 2 * 60 * 60 * 1000;

export type ImageInfo = { size: number; used: number };

export async function getImage(pool: LocalPool, imageId: string): Promise<ImageInfo | undefined> {
  assertId(imageId);
  if (await exists(pool.files.imageTombstone(imageId))) return undefined;
  return readImage(pool, imageId);
}

async function readImage(pool: LocalPool, imageId: string): Promise<ImageInfo | undefined> {
  const path = pool.files.image(imageId);
  if (!(await exists(path))) return undefined;
  return { size: (await readQcow2(path)).size, used: await allocated(path) };
}

/** See VolumeDriver.importImage. A file with a qcow2 header must be flat; any other is taken as raw, never guessed further. */
export async function importImage(pool: LocalPool, imageId: string, file: string, progress?: Progress): Promise<ImageInfo> {
  assertId(imageId);
  return pool.locks.with([`image:${imageId}`], async () => {
    const target = pool.files.image(imageId);
    const present = await readImage(pool, imageId);
    if (!present) await takeIn(pool, imageId, file, progress);
    // A tombstone goes last: until then the image is not there for anybody.
    await rm(pool.files.imageTombstone(imageId), { force: true });
    await rm(file, { force: true });
    return { size: (await readQcow2(target)).size, used: await allocated(target) };
  });
}

async function takeIn(pool: LocalPool, imageId: string, file: string, progress?: Progress): Promise<void> {
  const { format } = await inspectImage(file);
  const temporary = join(pool.files.images, `${imageId}.tmp`);
  await rm(temporary, { force: true });
  if (format === 'qcow2') await moveInto(file, temporary);
  else await convertRaw(file, temporary, progress);
  const handle = await open(temporary, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
  await chmod(temporary, 0o444);
  await rename(temporary, pool.files.image(imageId));
  await syncDirectory(pool.files.images);
}

async function moveInto(file: string, temporary: string): Promise<void> {
  try {
    await rename(file, temporary);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
    await copyFile(file, temporary);
  }
}

async function convertRaw(file: string, temporary: string, progress?: Progress): Promise<void> {
  await run(['qemu-img', 'convert', '-p', '-f', 'raw', '-O', 'qcow2', file, temporary], {
    timeout: convertDeadline,
    onLine: (line) => {
      const percent = /\(([\d.]+)\/100%\)/.exec(line)?.[1];
      if (percent) progress?.(Number(percent), 100);
    },
  });
}

/** See VolumeDriver.exportImage. */
export async function exportImage(
  pool: LocalPool,
  imageId: string,
  { file, signal }: { file: string; signal?: AbortSignal },
): Promise<void> {
  await pool.locks.with([`image:${imageId}`], async () => {
    if (!(await getImage(pool, imageId))) throw new CroftError('not-found', `There is no image ${imageId} in this pool.`);
    await run(['qemu-img', 'convert', '-f', 'qcow2', '-O', 'raw', pool.files.image(imageId), file], {
      timeout: convertDeadline,
      ...(signal ? { signal } : {}),
    });
  });
}

/** Hides the image; its bytes go with the last volume that lies on it. */
export async function deleteImage(pool: LocalPool, imageId: string): Promise<void> {
  assertId(imageId);
  await pool.locks.with([`image:${imageId}`], async () => {
    if (!(await exists(pool.files.image(imageId)))) return;
    await writeFileAtomic(pool.files.imageTombstone(imageId), '');
    await pool.collect();
  });
}
