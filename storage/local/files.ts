/** The directory of a local pool: names, modes, and what the driver asks of the file system and of qemu-img. */
import { constants } from 'node:fs';
import { chmod, chown, open, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Value } from 'typebox/value';
import { writeFileAtomic } from '../../appliance/host/files.ts';
import { run } from '../../appliance/host/exec.ts';
import { isCroftError } from '../../appliance/errors.ts';
import { type Layer, VolumeRecord } from './record.ts';

export type PoolFiles = ReturnType<typeof poolFiles>;

/** Ids become file names: refuse anything else than what ids look like. */
export function assertId(id: string): void {
  if (!/^[0-9a-z][0-9a-z-]{0,63}$/.test(id)) throw new Error(`${JSON.stringify(id)} cannot name a file of a pool`);
}

export const generationFile = /^gen-(\d+)\.qcow2$/;

/** Paths of one pool. */
export const poolFiles = (root: string) => {
  const volumes = join(root, 'volumes');
  const images = join(root, 'images');
  const volume = (id: string): string => join(volumes, id);
  const image = (id: string): string => join(images, `${id}.qcow2`);
  return {
    root,
    volumes,
    images,
    volume,
    image,
    /** Its presence means: deleted, but clones still lie on it. */
    imageTombstone: (id: string): string => join(images, `${id}.deleted`),
    record: (id: string): string => join(volumes, id, 'volume.json'),
    layer: (layer: Layer): string =>
      'image' in layer ? image(layer.image) : join(volume(layer.volume), `gen-${layer.generation}.qcow2`),
    /** As a qcow2 header names it, relative to the file in volume `id`: the pool can move. */
    backing: (id: string, layer: Layer): string => {
      if ('image' in layer) return `../../images/${layer.image}.qcow2`;
      return layer.volume === id ? `gen-${layer.generation}.qcow2` : `../${layer.volume}/gen-${layer.generation}.qcow2`;
    },
  };
};

export async function readRecord(path: string): Promise<VolumeRecord | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  return Value.Parse(VolumeRecord, JSON.parse(text));
}

export const writeRecord = (path: string, record: VolumeRecord): Promise<void> =>
  writeFileAtomic(path, `${JSON.stringify(record, null, 1)}\n`, 0o600);

/** Makes a qcow2 file of `size` bytes, on `backing` if given (a path as the header is to name it). Existing content is lost. */
export async function createQcow2(path: string, size: number, backing?: string): Promise<void> {
  await rm(path, { force: true });
  // -u: the backing file is our own and its size is known; qemu-img need not open it.
  const onTop = backing === undefined ? [] : ['-u', '-b', backing, '-F', 'qcow2'];
  await run(['qemu-img', 'create', '-q', '-f', 'qcow2', ...onTop, path, String(size)]);
  await chmod(path, 0o600);
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** True while a QEMU (or qemu-img) has the file open for writing. */
export async function isLocked(path: string): Promise<boolean> {
  try {
    await run(['qemu-img', 'info', '-f', 'qcow2', '--output=json', path]);
    return false;
  } catch (error) {
    if (isCroftError(error, 'command-failed') && /another process using the image/.test(error.message)) return true;
    throw error;
  }
}

/** Facts of a qcow2 header (qemu docs/interop/qcow2.txt): `size` in bytes; `pristine` when nothing was ever written. */
export async function readQcow2(path: string): Promise<{ size: number; pristine: boolean }> {
  const handle = await open(path, 'r');
  try {
    const header = Buffer.alloc(72);
    await handle.read(header, 0, header.length, 0);
    if (header.readUInt32BE(0) !== 0x514649fb) throw new Error(`${path} is not a qcow2 file`);
    const entries = header.readUInt32BE(36);
    const table = Buffer.alloc(Math.min(entries * 8, 32 * 1024 * 1024));
    await handle.read(table, 0, table.length, Number(header.readBigUInt64BE(40)));
    return { size: Number(header.readBigUInt64BE(24)), pristine: table.every((byte) => byte === 0) };
  } finally {
    await handle.close();
  }
}

/** Bytes a file takes on disk; 0 when there is none. */
export async function allocated(path: string): Promise<number> {
  try {
    return (await stat(path)).blocks * 512;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
    throw error;
  }
}

/** Whether files of this directory can be opened past the page cache (tmpfs, some overlays: no). */
export async function supportsDirect(directory: string): Promise<boolean> {
  const probe = join(directory, `.probe-${process.pid}`);
  try {
    const handle = await open(probe, constants.O_CREAT | constants.O_RDWR | constants.O_DIRECT, 0o600);
    await handle.close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EINVAL') return false;
    throw error;
  } finally {
    await rm(probe, { force: true });
  }
}

/** Gives a file to a guest's uid (`mode` 0600 head, 0400 frozen), or to all readers of the box when others share it. */
export async function grant(path: string, owner: { uid: number; gid: number } | undefined, mode: number): Promise<void> {
  if (owner) await chown(path, owner.uid, owner.gid);
  await chmod(path, mode);
}
