/**
 * Files out of an image that is a tar archive: the kernel and initrd of a VM's direct boot. The archive came in as any
 * image does, so what is read here is the pool's own copy of it, of which only headers are looked at. Files are taken out
 * once and kept in the image's scratch directory, which goes with the image.
 */
import { createHash } from 'node:crypto';
import { constants, createReadStream, createWriteStream } from 'node:fs';
import { access, chmod, mkdir, open, rename, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { CroftError } from '../../appliance/errors.ts';
import { readTar, type TarEntry } from '../../appliance/host/tar-read.ts';
import type { VolumeDriver, VolumeResolver } from '../driver.ts';
import { createLocks } from '../locks.ts';

/** A whole system may be in it. */
const maxEntries = 200_000;
/** As many names as an error can bear. */
const named = 12;

const plain = (path: string): string => path.replace(/^(\.?\/)+/, '');
const fileNameOf = (path: string): string => createHash('sha256').update(plain(path)).digest('hex').slice(0, 32);

export type ArchiveFilesOptions = {
  /** Holds a scratch directory for each image. */
  directory: string;
  pool: (name: string) => VolumeDriver;
};

/** See VolumeResolver.filesOf. */
export function createArchiveFiles({ directory, pool }: ArchiveFilesOptions): VolumeResolver['filesOf'] {
  const locks = createLocks();
  return (image, paths) => {
    const files = join(directory, image.id, 'files');
    return locks.with([image.id], async () => {
      const targets = paths.map((path) => ({ path, file: join(files, fileNameOf(path)) }));
      const missing = [];
      for (const target of targets) if (!(await exists(target.file))) missing.push(target);
      if (missing.length > 0) await takeOut(pool(image.pool), image.id, files, missing);
      return targets.map(({ file }) => file);
    });
  };
}

const exists = (path: string): Promise<boolean> =>
  access(path, constants.R_OK).then(
    () => true,
    () => false,
  );

async function takeOut(driver: VolumeDriver, id: string, files: string, wanted: { path: string; file: string }[]): Promise<void> {
  if (!driver.exportImage) {
    throw new CroftError('invalid-state', `Files cannot be taken out of an image in a pool of kind ${driver.name}.`);
  }
  await mkdir(files, { recursive: true, mode: 0o711 });
  const archive = join(files, 'archive.tar');
  try {
    await driver.exportImage(id, { file: archive });
    const handle = await open(archive, 'r');
    try {
      const entries = await entriesOf(handle);
      for (const { path, file } of wanted) await copyOut(archive, mustHave(entries, path), file);
    } finally {
      await handle.close();
    }
  } finally {
    await rm(archive, { force: true });
  }
}

async function entriesOf(handle: FileHandle): Promise<Map<string, TarEntry>> {
  const { size } = await handle.stat();
  const read = async (offset: number, length: number): Promise<Buffer> => {
    const bytes = Buffer.alloc(length);
    const { bytesRead } = await handle.read(bytes, 0, length, offset);
    return bytes.subarray(0, bytesRead);
  };
  const entries = await readTar(read, size, maxEntries);
  return new Map(entries.map((entry) => [plain(entry.name), entry]));
}

function mustHave(entries: ReadonlyMap<string, TarEntry>, path: string): TarEntry {
  const found = entries.get(plain(path));
  if (found) return found;
  const names = [...entries.keys()];
  const some = names.slice(0, named).join(', ');
  const known = names.length === 0 ? 'no files' : `${some}${names.length > named ? `, … (${names.length} in all)` : ''}`;
  throw new CroftError('not-found', `There is no plain file ${path} in the archive; it has ${known}.`);
}

async function copyOut(archive: string, { offset, size }: TarEntry, file: string): Promise<void> {
  if (size === 0) throw new CroftError('invalid-input', 'A file of the archive that is to be booted is empty.');
  const temporary = `${file}.new`;
  await pipeline(
    createReadStream(archive, { start: offset, end: offset + size - 1 }),
    createWriteStream(temporary, { mode: 0o644, flush: true }),
  );
  // Whatever the umask is: each guest's QEMU opens it under its own user.
  await chmod(temporary, 0o644);
  await rename(temporary, file);
}
