/** Fetches a bundle to the state partition: it is checked there like any other file before a slot is touched. */
import { createWriteStream } from 'node:fs';
import { mkdir, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CroftError, messageOf } from '../../appliance/errors.ts';

/** ms: a release over a slow line. */
const downloadTimeout = 6 * 3600_000;

export type DownloadOptions = {
  signal?: AbortSignal;
  /** Bytes that came, and how many the server announced. */
  progress?: (done: number, total: number | undefined) => void;
};

/** @throws CroftError `download-failed`; what came is removed then. The signal's reason when it is aborted */
export async function download(url: string, file: string, { signal, progress }: DownloadOptions = {}): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const deadline = AbortSignal.timeout(downloadTimeout);
  try {
    const response = await fetch(url, { signal: signal ? AbortSignal.any([signal, deadline]) : deadline });
    if (!response.ok || !response.body) throw new Error(`the server answered ${response.status} ${response.statusText}`);
    const announced = Number(response.headers.get('content-length') ?? Number.NaN);
    let done = 0;
    const count = new Transform({
      transform(chunk: Buffer, _encoding, next) {
        done += chunk.length;
        progress?.(done, Number.isNaN(announced) ? undefined : announced);
        next(null, chunk);
      },
    });
    await pipeline(Readable.fromWeb(response.body), count, createWriteStream(file));
    const handle = await open(file, 'r+');
    await handle.sync();
    await handle.close();
  } catch (cause) {
    await rm(file, { force: true });
    signal?.throwIfAborted();
    throw new CroftError('download-failed', `${url} could not be fetched: ${messageOf(cause)}`, { cause });
  }
}
