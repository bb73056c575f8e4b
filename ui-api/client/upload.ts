/**
 * Sends an image's bytes in pieces and goes on where they ended, whatever breaks in between: the connection, the
 * service, this program (which then begins here again). For browsers too: it imports nothing of Node.
 */
import type { Client } from './client.ts';
import { ApiProblem, isAbort, Unreachable } from './problem.ts';
import { pathSegment } from './client.ts';

export type UploadSource = {
  /** Bytes in all. */
  size: number;
  /** A browser sends no streams over HTTP/1 and reads files by and by: bytes, or the promise of them. */
  read(offset: number, length: number): Uint8Array | AsyncIterable<Uint8Array> | Promise<Uint8Array>;
};

export type SendOptions = {
  /** Bytes that have arrived, of `source.size`. */
  progress?: (done: number, total: number) => void;
  signal?: AbortSignal;
  /** ms without a byte arriving until it gives up. Default a minute: a restart of the service fits in. */
  patience?: number;
  /** Bytes of the first piece. Default 8 MiB. */
  piece?: number;
  /** ms between tries. Default 1 s. */
  pause?: number;
};

const mib = 2 ** 20;
const smallest = mib / 4;
const largest = 64 * mib;
/** ms that a piece should take: the API gives a request two minutes. */
const quick = 5_000;
const slow = 20_000;

/** The bytes of an image. As sendPieces. */
export const sendUpload = (client: Client, name: string, source: UploadSource, options: SendOptions = {}): Promise<void> =>
  sendPieces(client, `/v1/images/${pathSegment(name)}/upload`, source, options);

/**
 * Sends to a path of the API that takes pieces. Resolves when all bytes have arrived.
 * @throws ApiProblem, Unreachable once patience has run out; the signal's AbortError
 */
export async function sendPieces(client: Client, path: string, source: UploadSource, options: SendOptions = {}): Promise<void> {
  const { progress, signal, patience = 60_000, pause = 1_000 } = options;
  const { body: begun } = await client.request<{ offset: number }>('POST', path, { body: { size: source.size }, signal });
  let { offset } = begun;
  let piece = options.piece ?? 8 * mib;
  let arrived = Date.now();
  while (offset < source.size) {
    progress?.(offset, source.size);
    const length = Math.min(piece, source.size - offset);
    const started = Date.now();
    try {
      const headers = { 'upload-offset': String(offset), 'content-length': String(length) };
      const contentType = 'application/offset+octet-stream';
      const body = await source.read(offset, length);
      const answer = await client.request<{ offset: number }>('PATCH', path, { body, contentType, headers, signal });
      if (answer.body.offset > offset) arrived = Date.now();
      offset = answer.body.offset;
      const took = Date.now() - started;
      if (took < quick) piece = Math.min(piece * 2, largest);
      else if (took > slow) piece = Math.max(piece / 2, smallest);
    } catch (error) {
      if (!worthAnotherTry(error) || Date.now() - arrived > patience) throw error;
      piece = Math.max(piece / 2, smallest);
      await new Promise((resolve) => setTimeout(resolve, pause));
      signal?.throwIfAborted();
      const now = await whereItEnded(client, path, source.size, signal);
      if (now === undefined) continue;
      if (now > offset) arrived = Date.now();
      offset = now;
    }
  }
  progress?.(source.size, source.size);
}

/** A broken connection, a service that restarts, a piece that another one overtook; not a refusal. */
function worthAnotherTry(error: unknown): boolean {
  if (isAbort(error)) return false;
  if (error instanceof Unreachable) return true;
  return error instanceof ApiProblem && (error.status >= 500 ? error.status !== 507 : [408, 409, 429].includes(error.status));
}

/** Undefined while nobody answers. */
async function whereItEnded(client: Client, path: string, size: number, signal?: AbortSignal): Promise<number | undefined> {
  try {
    return (await client.request<{ offset: number }>('GET', path, { signal })).body.offset;
  } catch (error) {
    // All of it had arrived, only the answer was lost: the image is being made of it already.
    if (error instanceof ApiProblem && error.code === 'invalid-state') return size;
    if (worthAnotherTry(error)) return undefined;
    throw error;
  }
}
