/**
 * An image server that misbehaves: drops the connection at random bytes, lies about lengths and ranges, sends garbage, stalls.
 * However it behaves, a download ends, in time, with exactly the file or with a coded error and no file under its name.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isCroftError } from '../../appliance/errors.ts';
import { randomOf } from '../../appliance/store/rough.ts';
import { fetchFile } from '../../storage/images/fetch.ts';
import type { Round } from './soak.ts';

type Manner = (request: IncomingMessage, response: ServerResponse, content: Buffer, random: () => number) => void;

const startOf = (request: IncomingMessage): number => Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);

function serve(
  request: IncomingMessage,
  response: ServerResponse,
  content: Buffer,
  { claim = content.length, end = content.length, etag = '"v1"' } = {},
): void {
  const start = startOf(request);
  const headers = { etag, 'content-length': String(Math.max(0, claim - start)) };
  if (start > 0) response.writeHead(206, { ...headers, 'content-range': `bytes ${start}-${claim - 1}/${claim}` });
  else response.writeHead(200, headers);
  const part = content.subarray(start, Math.max(start, end));
  if (end >= claim) response.end(part);
  else response.write(part, () => setTimeout(() => response.destroy(), 2));
}

const manners: Record<string, Manner> = {
  honest: (request, response, content) => serve(request, response, content),
  drops: (request, response, content, random) =>
    serve(request, response, content, { end: startOf(request) + Math.floor(random() * content.length) }),
  'ends at once': (request) => void request.socket.destroy(),
  'claims more': (request, response, content) => serve(request, response, content, { claim: content.length + 1_000 }),
  'claims less': (request, response, content) => {
    response.on('error', () => undefined);
    serve(request, response, content.subarray(0, content.length - 500), { claim: content.length - 500 });
  },
  'ignores ranges': (_request, response, content) => void response.writeHead(200, { etag: '"v1"' }).end(content),
  'wrong range': (request, response, content) => {
    const start = startOf(request);
    if (start === 0) return serve(request, response, content, { end: content.length >> 1 });
    response.writeHead(206, { etag: '"v1"', 'content-range': `bytes ${start + 7}-${content.length - 1}/${content.length}` });
    response.end(content.subarray(start + 7));
  },
  changes: (request, response, content, random) =>
    serve(request, response, content, { etag: `"v${Math.floor(random() * 3)}"`, end: Math.floor(random() * content.length * 2) }),
  garbage: (request) => void request.socket.end('HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n\0\x01garbage'),
  'not http': (request) => void request.socket.end('\x16\x03\x01 no\n'),
  busy: (_request, response) => void response.writeHead(503, { 'retry-after': '0' }).end('later'),
  missing: (_request, response) => void response.writeHead(404).end('gone'),
  'redirects to itself': (request, response) => void response.writeHead(302, { location: request.url ?? '/' }).end(),
  stalls: (request, response, content) => {
    response.writeHead(200, { 'content-length': String(content.length) });
    response.write(content.subarray(0, 10));
    request.socket.setTimeout(5_000, () => request.socket.destroy());
  },
};
const names = Object.keys(manners);

/** Ends within this, whatever the server does; ms. */
const limit = 20_000;

async function download(seed: number): Promise<string> {
  const random = randomOf(seed);
  const pick = (): string => names[Math.floor(random() * names.length)] as string;
  const content = Buffer.alloc(1 + Math.floor(random() * 300_000), Math.floor(random() * 256));
  content.writeUInt32LE(seed >>> 0, 0);
  const checksum = `sha256:${createHash('sha256').update(content).digest('hex')}`;
  // Some servers mend their manners, so that going on is tried as much as giving up.
  const script = Array.from({ length: 1 + Math.floor(random() * 4) }, pick).concat(random() < 0.6 ? ['honest'] : []);
  const root = await mkdtemp(join(tmpdir(), 'croft-soak-'));
  let asked = 0;
  const server = createServer((request, response) => {
    response.on('error', () => undefined);
    const manner = manners[script[Math.min(asked++, script.length - 1)] as string] as Manner;
    manner(request, response, content, random);
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const file = join(root, 'disk');
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(new Error('too slow')), limit);
  const told = `${script.join(', ')}`;
  try {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/disk.img`;
    const options = {
      url,
      file,
      checksum,
      maxSize: 1_000_000,
      allowOwnAddresses: true,
      attempts: 3,
      retryDelay: 1,
      idleTimeout: 150,
    };
    const outcome = await fetchFile({ ...options, signal: controller.signal }).then(
      () => undefined,
      (error: unknown) => error,
    );
    if (controller.signal.aborted) throw new Error(`${told}: did not end within ${limit} ms`);
    if (outcome === undefined) {
      if (!(await readFile(file)).equals(content)) throw new Error(`${told}: another file than was served`);
      return `${told}: fetched`;
    }
    if (!isCroftError(outcome)) throw new Error(`${told}: no coded error but ${String(outcome)}`, { cause: outcome });
    if (existsSync(file))
      throw new Error(`${told}: failed with ${outcome.code}, but left a file of ${(await stat(file)).size} bytes`);
    return `${told}: ${outcome.code}`;
  } finally {
    clearTimeout(timer);
    server.closeAllConnections();
    server.close();
    await rm(root, { recursive: true, force: true });
  }
}

export const openDownloads = async (): Promise<{ round: Round; close: () => Promise<void> }> => ({
  round: download,
  close: async () => undefined,
});
