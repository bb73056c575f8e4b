/** A file of this machine → an image of the box, over the API. Typed again after an interruption, it goes on. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { ApiProblem } from '../client/problem.ts';
import { sendUpload } from '../client/upload.ts';
import type { ImageCreate } from '../client/types.ts';
import { CliError, exitCodes, usageError } from './exit.ts';
import { bytes } from './output/values.ts';
import type { Session } from './session.ts';

/** Makes the image unless it waits for these very bytes already, then sends them. @throws CliError, ApiProblem, Unreachable */
export async function uploadFile(session: Session, file: string, wish: Omit<ImageCreate, 'source'>): Promise<void> {
  const size = await sizeOf(file);
  const checksum = wish.checksum ?? (await digest(session, file, size));
  await ensureImage(session, { ...wish, checksum, source: { upload: {} } });
  const started = Date.now();
  await sendUpload(
    session.client,
    wish.name,
    { size, read: (offset, length) => createReadStream(file, { start: offset, end: offset + length - 1 }) },
    {
      signal: session.io.signal,
      progress: (done, total) => {
        const speed = done / Math.max(1, (Date.now() - started) / 1000);
        session.progress.update(`Image ${wish.name}: sent ${bytes(done)} of ${bytes(total)}, ${bytes(Math.round(speed))}/s`);
      },
    },
  );
}

async function sizeOf(file: string): Promise<number> {
  const stats = await stat(file).catch((error: Error) => {
    throw usageError(`${file} cannot be read: ${error.message}`);
  });
  if (!stats.isFile()) throw usageError(`${file} is not a regular file.`);
  if (stats.size === 0) throw usageError(`${file} is empty.`);
  return stats.size;
}

async function digest(session: Session, file: string, size: number): Promise<string> {
  const hash = createHash('sha256');
  let done = 0;
  for await (const chunk of createReadStream(file, { signal: session.io.signal })) {
    hash.update(chunk as Buffer);
    done += (chunk as Buffer).length;
    session.progress.update(`${file}: checksum ${Math.round((done / size) * 100)} %`);
  }
  return `sha256:${hash.digest('hex')}`;
}

async function ensureImage(session: Session, body: ImageCreate): Promise<void> {
  const { images } = session.client;
  try {
    await images.create(body, session.project);
  } catch (error) {
    if (!(error instanceof ApiProblem) || error.code !== 'already-exists') throw error;
    const present = await images.get(body.name, undefined, session.io.signal);
    const waits = 'upload' in present.source && ['pending', 'fetching'].includes(present.state);
    if (!waits) throw error;
    if (present.checksum !== body.checksum) {
      throw new CliError(exitCodes.conflict, `Image ${body.name} waits for other bytes (${present.checksum ?? 'no checksum'}).`, [
        `Delete it first: croft image delete ${body.name}`,
      ]);
    }
    session.say(`Image ${body.name}: going on with the upload that was begun.`);
  }
}
