/**
 * Uploads of images: bytes that come over the API in pieces, in order, and stay where the last piece ended.
 *
 * An upload is a directory's two files: `upload.json` (its size, when it began) and `upload.part` (what has come; its
 * length is the offset). So a cut connection, a killed client and a restarted service all go on by asking for the
 * offset. Every piece is on disk before it is answered. A later piece ends an earlier one that still hangs on a dead
 * connection. What was begun reserves its space; what nobody touches for a day is dropped.
 */
import { mkdir, open, readdir, readFile, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { CroftError, isCroftError } from '../../appliance/errors.ts';
import { writeFileAtomic } from '../../appliance/host/files.ts';
import type { ImageUploads, UploadState } from '../../appliance/ports.ts';
import { humanBytes } from '../../appliance/resources/quantity.ts';
import type { Progress } from '../driver.ts';

export type UploadOptions = {
  /** One directory in it for each image, by id. */
  directory: string;
  /** Bytes one may have. */
  maxSize: number;
  /** ms without a byte until an upload is dropped. Default a day. */
  maxAge?: number;
  /** Bytes of the file system kept free; default 5 %, at most 10 GiB. */
  reserve?: number;
};

export type Uploads = ImageUploads & {
  /** Calls back with an image's id when an upload begins, has ended or is dropped. */
  onChange: (imageId: string) => void;
  /** Resolves with the file when all bytes are there. @throws CroftError `upload-expired`; the signal's reason */
  completed(imageId: string, options: { signal: AbortSignal; progress?: Progress }): Promise<string>;
  /** Drops what is too old; @returns ids dropped. */
  expire(): Promise<string[]>;
  stop(): Promise<void>;
};

type Record = { size: number; startedAt: string };
type Running = { cut: AbortController; done: Promise<unknown> };

const day = 24 * 60 * 60 * 1000;
const expiryInterval = 10 * 60 * 1000;
const maxReserve = 10 * 2 ** 30;

export function createUploads(options: UploadOptions): Uploads {
  const { directory, maxSize, maxAge = day } = options;
  const running = new Map<string, Running>();
  const waiting = new Map<string, Set<() => void>>();
  const folder = (id: string): string => {
    if (!/^[0-9a-z][0-9a-z-]{0,63}$/.test(id)) throw new Error(`${JSON.stringify(id)} cannot name a directory`);
    return join(directory, id);
  };
  const partOf = (id: string): string => join(folder(id), 'upload.part');
  const recordOf = (id: string): string => join(folder(id), 'upload.json');

  const changed = (id: string): void => {
    uploads.onChange(id);
    for (const wake of waiting.get(id) ?? []) wake();
  };

  async function state(id: string): Promise<UploadState | undefined> {
    const record = await readRecord(recordOf(id));
    if (!record) return undefined;
    const part = await stat(partOf(id)).catch(() => undefined); // none came yet
    const touched = part?.mtimeMs ?? Date.parse(record.startedAt);
    return { size: record.size, offset: part?.size ?? 0, expiresAt: new Date(touched + maxAge).toISOString() };
  }

  async function drop(id: string): Promise<void> {
    await cut(id);
    await rm(recordOf(id), { force: true });
    await rm(partOf(id), { force: true });
    changed(id);
  }

  /** Ends a piece that is still coming. */
  async function cut(id: string): Promise<void> {
    const before = running.get(id);
    before?.cut.abort();
    await before?.done.catch(() => undefined); // its own caller was told
    if (running.get(id) === before) running.delete(id);
  }

  async function begin(id: string, size: number): Promise<UploadState> {
    if (size > maxSize) throw new CroftError('too-large', `size: ${humanBytes(size)}; ${humanBytes(maxSize)} are allowed.`);
    const present = await state(id);
    if (present && present.size !== size) {
      throw new CroftError(
        'conflict',
        `size: an upload of ${humanBytes(present.size)} (${present.size} bytes) is under way, not of ${size} bytes.`,
        { fix: ['Go on with that file, or delete the image and add it again.'] },
      );
    }
    if (present) return present;
    await assertSpace(size);
    await mkdir(folder(id), { recursive: true, mode: 0o711 });
    await rm(partOf(id), { force: true });
    await writeFileAtomic(recordOf(id), JSON.stringify({ size, startedAt: new Date().toISOString() } satisfies Record), 0o600);
    changed(id);
    return (await state(id)) as UploadState;
  }

  /** Free space less what others have still to send. */
  async function assertSpace(size: number): Promise<void> {
    const { bavail, blocks, bsize } = await statfs(directory);
    const others = await Promise.all((await readdir(directory)).map(state));
    const promised = others.reduce((sum, other) => sum + (other ? other.size - other.offset : 0), 0);
    const reserve = options.reserve ?? Math.min(blocks * bsize * 0.05, maxReserve);
    const free = Math.max(0, bavail * bsize - promised - reserve);
    if (size <= free) return;
    throw new CroftError(
      'insufficient-storage',
      `size: ${humanBytes(size)} do not fit; ${humanBytes(free)} are free for uploads.`,
    );
  }

  async function append(id: string, offset: number, bytes: AsyncIterable<Uint8Array>): Promise<UploadState> {
    // Nothing may come between the last look and our claim: two writers would mix their bytes.
    while (running.has(id)) await cut(id);
    const own: Running = { cut: new AbortController(), done: Promise.resolve() };
    running.set(id, own);
    const done = write(id, offset, bytes, own.cut.signal);
    own.done = done;
    try {
      await done;
    } finally {
      if (running.get(id) === own) running.delete(id);
    }
    const now = await state(id);
    if (!now) throw new CroftError('not-found', 'The upload was dropped meanwhile.');
    changed(id);
    return now;
  }

  async function write(id: string, offset: number, bytes: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
    const before = await state(id);
    if (!before) throw new CroftError('not-found', 'No upload was begun; POST its size first.');
    if (before.offset !== offset) {
      throw new CroftError('conflict', `Upload-Offset: ${before.offset} bytes are here, the piece begins at ${offset}.`, {
        fix: [`Send what comes from byte ${before.offset} on.`],
      });
    }
    const handle = await open(partOf(id), 'a', 0o600);
    try {
      let at = offset;
      for await (const chunk of bytes) {
        if (signal.aborted) throw new CroftError('conflict', 'A later piece of this upload took over.');
        if (at + chunk.length > before.size)
          throw new CroftError('too-large', `More bytes came than the ${before.size} announced.`);
        await handle.appendFile(chunk);
        at += chunk.length;
        for (const wake of waiting.get(id) ?? []) wake();
      }
    } catch (error) {
      if (isCroftError(error)) throw error;
      if (['ENOSPC', 'EDQUOT', 'EIO'].includes((error as NodeJS.ErrnoException).code ?? '')) {
        throw new CroftError('insufficient-storage', 'No space for the rest of the upload.', { cause: error });
      }
      // The connection broke. What came is kept: the client asks for the offset and goes on.
    } finally {
      await handle.sync();
      await handle.close();
    }
  }

  async function completed(id: string, { signal, progress }: { signal: AbortSignal; progress?: Progress }): Promise<string> {
    for (;;) {
      signal.throwIfAborted();
      const { promise, resolve } = Promise.withResolvers<void>();
      const wakers = waiting.get(id) ?? new Set();
      waiting.set(id, wakers.add(resolve));
      signal.addEventListener('abort', () => resolve(), { once: true });
      try {
        const now = await state(id);
        if (!now)
          throw new CroftError('upload-expired', `The upload was dropped: ${maxAge / 3_600_000} hours passed without a byte.`);
        progress?.(now.offset, now.size);
        if (now.offset === now.size && !running.has(id)) return partOf(id);
        await promise;
      } finally {
        wakers.delete(resolve);
        if (wakers.size === 0) waiting.delete(id);
      }
    }
  }

  async function expire(): Promise<string[]> {
    const gone: string[] = [];
    for (const id of await readdir(directory)) {
      const now = await state(id);
      if (!now || now.offset === now.size || running.has(id) || Date.parse(now.expiresAt) > Date.now()) continue;
      await drop(id);
      gone.push(id);
    }
    return gone;
  }

  // A failed look is repeated at the next one.
  const timer = setInterval(() => void expire().catch(() => undefined), expiryInterval).unref();

  const uploads: Uploads = {
    onChange: () => undefined,
    begin,
    state,
    append,
    drop,
    completed,
    expire,
    async stop() {
      clearInterval(timer);
      await Promise.all([...running.keys()].map(cut));
    },
  };
  return uploads;
}

async function readRecord(path: string): Promise<Record | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Record;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || (error as NodeJS.ErrnoException).code === 'ENOTDIR')
      return undefined;
    throw error;
  }
}
