/** Downloads against servers that misbehave. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { refusalOf } from '../../../storage/images/addresses.ts';
import { fetchFile, type FetchOptions } from '../../../storage/images/fetch.ts';

const content = randomBytes(1_000_000);
const digest = createHash('sha256').update(content).digest('hex');

describe('fetchFile', () => {
  let root: string;
  let server: Server;
  let handler: (request: IncomingMessage, response: ServerResponse) => void;
  let requests: IncomingMessage[];

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'croft-fetch-'));
    requests = [];
    server = createServer((request, response) => {
      requests.push(request);
      handler(request, response);
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
  });
  afterEach(async () => {
    server.closeAllConnections();
    server.close();
    await rm(root, { recursive: true, force: true });
  });

  const base = (): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const get = (more: Partial<FetchOptions> = {}) =>
    fetchFile({
      url: `${base()}/disk.img`,
      file: join(root, 'disk'),
      maxSize: 10_000_000,
      allowOwnAddresses: true,
      retryDelay: 1,
      idleTimeout: 300,
      ...more,
    });
  const arrived = async (): Promise<boolean> => (await readFile(join(root, 'disk'))).equals(content);

  /** Serves ranges properly, but ends each connection after at most `limit` bytes. */
  const breaking = (limit: number) => (request: IncomingMessage, response: ServerResponse) => {
    const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const headers = { etag: '"v1"', 'content-length': String(content.length - start) };
    if (start > 0)
      response.writeHead(206, { ...headers, 'content-range': `bytes ${start}-${content.length - 1}/${content.length}` });
    else response.writeHead(200, headers);
    const part = content.subarray(start, start + limit);
    if (start + limit >= content.length) response.end(part);
    // Ended, not reset: what was sent arrives, however late it is read.
    else response.write(part, () => response.socket?.end());
  };

  it('fetches, checks and tells progress', async () => {
    handler = breaking(Number.POSITIVE_INFINITY);
    const seen: number[] = [];
    const result = await get({ checksum: `sha256:${digest}`, progress: (done, total) => seen.push(done / total) });
    expect(result).toEqual({ size: content.length, checksum: `sha256:${digest}` });
    expect(seen.at(-1)).toBe(1);
    expect(await arrived()).toBe(true);
  });

  it('goes on where the connection broke, any number of times', async () => {
    handler = breaking(130_000);
    await get({ attempts: 2, checksum: `sha256:${digest}` });
    expect(await arrived()).toBe(true);
    expect(requests.length).toBeGreaterThan(6);
    expect(requests.at(-1)?.headers['if-range']).toBe('"v1"');
  });

  it('goes on after a restart, from the partial file', async () => {
    handler = breaking(400_000);
    const abort = new AbortController();
    await expect(get({ signal: abort.signal, progress: (done) => done > 300_000 && abort.abort() })).rejects.toThrow();
    handler = breaking(Number.POSITIVE_INFINITY);
    requests = [];
    await get();
    expect(requests[0]?.headers.range).toMatch(/^bytes=\d{5,}-$/);
    expect(await arrived()).toBe(true);
  });

  it('begins anew when the file changed meanwhile', async () => {
    handler = (request, response) => {
      if (requests.length === 1) return breaking(300_000)(request, response);
      // A server that sees another tag sends the whole.
      return void response.writeHead(200, { etag: '"v2"' }).end(content);
    };
    await get();
    expect(await arrived()).toBe(true);
  });

  it('gives up in words when nothing more comes', async () => {
    handler = (_request, response) => void response.writeHead(503).end();
    await expect(get({ attempts: 3 })).rejects.toMatchObject({
      code: 'download-failed',
      message: expect.stringContaining('503'),
    });
    expect(requests).toHaveLength(3);
    handler = () => undefined;
    await expect(get({ attempts: 1 })).rejects.toMatchObject({
      code: 'download-failed',
      message: expect.stringContaining('no byte for'),
    });
    handler = (_request, response) => void response.writeHead(404).end();
    await expect(get()).rejects.toMatchObject({ code: 'download-failed', message: expect.stringContaining('404') });
  });

  it('is not fooled about lengths', async () => {
    handler = (_request, response) => void response.writeHead(200, { 'content-length': '999999999' }).end();
    await expect(get()).rejects.toMatchObject({ code: 'too-large' });
    handler = (_request, response) => {
      response.writeHead(200);
      const pump = (): void => void (response.write(content, () => setImmediate(pump)) || undefined);
      pump();
    };
    await expect(get({ maxSize: 3_000_000 })).rejects.toMatchObject({ code: 'too-large' });
    handler = (_request, response) => {
      response.writeHead(200, { 'content-length': String(content.length) });
      response.write(content.subarray(0, 1000), () => response.destroy());
    };
    await expect(get({ attempts: 2 })).rejects.toMatchObject({ code: 'download-failed' });
  });

  it('refuses bytes with another checksum, and forgets them', async () => {
    handler = (_request, response) => void response.end('garbage');
    await expect(get({ checksum: `sha256:${digest}` })).rejects.toMatchObject({ code: 'checksum-mismatch' });
    handler = breaking(Number.POSITIVE_INFINITY);
    await get({ checksum: `sha512:${createHash('sha512').update(content).digest('hex')}` });
    expect(await arrived()).toBe(true);
  });

  it('follows redirects, but not for ever and not anywhere', async () => {
    handler = (request, response) => {
      if (request.url === '/disk.img') return void response.writeHead(302, { location: '/real' }).end();
      return breaking(Number.POSITIVE_INFINITY)(request, response);
    };
    await get();
    expect(await arrived()).toBe(true);
    handler = (_request, response) => void response.writeHead(302, { location: '/disk.img' }).end();
    await expect(get()).rejects.toMatchObject({ code: 'download-failed', message: expect.stringContaining('redirects') });
    handler = (_request, response) => void response.writeHead(302, { location: 'file:///etc/passwd' }).end();
    await expect(get()).rejects.toMatchObject({ code: 'invalid-input' });
  });

  it('refuses the box itself, by address and by name', async () => {
    const port = (server.address() as AddressInfo).port;
    for (const host of ['127.0.0.1', 'localhost', '[::1]', '[::ffff:127.0.0.1]', '0.0.0.0', '2130706433']) {
      await expect(get({ url: `http://${host}:${port}/x`, allowOwnAddresses: false, attempts: 1 })).rejects.toMatchObject({
        code: 'download-failed',
        message: expect.stringContaining('refused'),
      });
    }
    expect(requests).toHaveLength(0);
    await expect(get({ url: 'http://user:pass@example.org/x' })).rejects.toMatchObject({ code: 'invalid-input' });
  });
});

describe('refusalOf', () => {
  it.each([
    '127.9.9.9',
    '169.254.169.254',
    'fe80::1',
    '::',
    '::1',
    '224.0.0.1',
    '255.255.255.255',
    '::ffff:7f00:1',
    '64:ff9b::7f00:1',
    '10.9.9.9',
  ])('refuses %s', (address) => expect(refusalOf(address, ['10.9.9.9'])).toBeDefined());
  it.each(['93.184.215.14', '10.1.2.3', '2606:2800:21f::1'])('allows %s', (address) =>
    expect(refusalOf(address, ['10.9.9.9'])).toBeUndefined(),
  );
});
