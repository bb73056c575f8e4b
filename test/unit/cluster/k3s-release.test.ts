/** The download path against a server of this test: right, wrong, missing and truncated files. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  digestOf,
  downloadRelease,
  lockRelease,
  readLock,
  thisArchitecture,
  writeLock,
  type Fetch,
} from '../../../appliance/cluster/k3s-release.ts';
import { fetchFile } from '../../../storage/images/fetch.ts';

const directory = mkdtempSync(join(tmpdir(), 'croft-k3s-release-'));
const sha256 = (content: Buffer): string => createHash('sha256').update(content).digest('hex');
const fetch: Fetch = (options) => fetchFile({ ...options, attempts: 3, retryDelay: 5 });

let server: Server;
let base: string;
/** What the server has; `cut`: bytes after which it hangs up, once. */
let files: Map<string, Buffer>;
let cut: number | undefined;
let asked: string[];

const program = randomBytes(300_000);
const images = randomBytes(500_000);

beforeAll(async () => {
  server = createServer((request, response) => {
    const name = (request.url ?? '').slice(1);
    asked.push(`${name} ${request.headers.range ?? ''}`.trim());
    const content = files.get(name);
    if (!content) return void response.writeHead(404).end();
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const rest = content.subarray(from);
    const range = from > 0 ? { 'content-range': `bytes ${from}-${content.length - 1}/${content.length}` } : {};
    response.writeHead(from > 0 ? 206 : 200, { etag: `"${sha256(content)}"`, 'content-length': rest.length, ...range });
    if (cut === undefined || from > 0) return void response.end(rest);
    // The reader is given time to take what was sent: a reset would take it away.
    response.write(rest.subarray(0, cut), () => setTimeout(() => response.destroy(), 100));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.close();
  rmSync(directory, { recursive: true, force: true });
});

let scratch: string;
beforeEach(() => {
  scratch = mkdtempSync(join(directory, 'x-'));
  asked = [];
  cut = undefined;
  files = new Map([
    ['k3s', program],
    ['k3s-arm64', randomBytes(10)],
    ['k3s-airgap-images-amd64.tar.zst', images],
    ['k3s-airgap-images-arm64.tar.zst', randomBytes(10)],
  ]);
  for (const architecture of ['amd64', 'arm64']) {
    const text = [...files].map(([name, content]) => `${sha256(content)}  ${name}\n`).join('');
    files.set(`sha256sum-${architecture}.txt`, Buffer.from(text));
  }
});

const lock = () => lockRelease({ version: 'v1.0.0+k3s1', base, fetch, directory: scratch, allowOwnAddresses: true });
const download = async () =>
  downloadRelease({ lock: await lock(), architecture: 'amd64', directory: scratch, fetch, allowOwnAddresses: true });

describe('k3s.lock', () => {
  it('is written from the release’s own checksums, and read again', async () => {
    const written = await lock();
    expect(written).toMatchObject({
      version: 'v1.0.0+k3s1',
      files: { amd64: { k3s: { name: 'k3s', sha256: sha256(program) } } },
    });
    const path = join(scratch, 'k3s.lock');
    await writeLock(path, written);
    expect(await readLock(path)).toEqual(written);
  });

  it('says in one sentence that there is none', async () => {
    await expect(readLock(join(scratch, 'k3s.lock'))).rejects.toThrow(
      /^No k3s release is pinned here: write k3s\.lock with `croft k3s lock` where there is internet, or name a k3s program with --k3s FILE\.$/,
    );
  });

  it.each(['', '{}', '{"version":"v1","base":"x","files":{"amd64":{"k3s":{"name":"../k3s","sha256":"00"}}}}'])(
    'is not taken when it is damaged: %j',
    async (text) => {
      writeFileSync(join(scratch, 'k3s.lock'), text);
      await expect(readLock(join(scratch, 'k3s.lock'))).rejects.toThrow('is no k3s.lock');
    },
  );

  it('is not written from a release that lacks a file', async () => {
    files.set('sha256sum-arm64.txt', Buffer.from('nothing\n'));
    await expect(lock()).rejects.toThrow('sha256sum-arm64.txt has no digest of k3s-arm64');
    files.delete('sha256sum-arm64.txt');
    await expect(lock()).rejects.toThrow('the server answered 404');
  });
});

describe('a download', () => {
  it('is what the lock names, and is not fetched twice', async () => {
    const first = await download();
    expect(readFileSync(first.binary)).toEqual(program);
    expect(readFileSync(first.images[0] as string)).toEqual(images);
    asked = [];
    expect(await download()).toEqual(first);
    expect(asked.filter((each) => !each.startsWith('sha256sum'))).toEqual([]);
  });

  it('goes on where the connection broke', async () => {
    cut = 100_000;
    const { binary } = await download();
    expect(readFileSync(binary)).toEqual(program);
    expect(asked.some((each) => /^k3s bytes=\d+-$/.test(each))).toBe(true);
  });

  it('is refused when it is another file, and begins anew then', async () => {
    const pinned = await lock();
    files.set('k3s', randomBytes(300_000));
    const again = () =>
      downloadRelease({ lock: pinned, architecture: 'amd64', directory: scratch, fetch, allowOwnAddresses: true });
    await expect(again()).rejects.toThrow('checksum');
    files.set('k3s', program);
    expect(readFileSync((await again()).binary)).toEqual(program);
  });

  it('fails clearly when the file is missing, or ends early each time', async () => {
    const pinned = await lock();
    files.delete('k3s');
    const again = () =>
      downloadRelease({ lock: pinned, architecture: 'amd64', directory: scratch, fetch, allowOwnAddresses: true });
    await expect(again()).rejects.toThrow('k3s: the server answered 404');
    files.set('k3s', program.subarray(0, 1000));
    await expect(again()).rejects.toThrow('checksum');
  });

  it('is refused from the box’s own addresses unless a test allows it', async () => {
    await expect(lockRelease({ base, fetch, directory: scratch })).rejects.toThrow('that is refused');
  });
});

it('knows machines and checksum files', () => {
  expect([thisArchitecture('x64'), thisArchitecture('arm64')]).toEqual(['amd64', 'arm64']);
  expect(() => thisArchitecture('mips')).toThrow('mips');
  const digest = 'a'.repeat(64);
  expect(digestOf(`${digest} *k3s\n${'b'.repeat(64)}  k3s-arm64\n`, 'k3s')).toBe(digest);
  expect(digestOf(`${digest}  k3s-arm64\n`, 'k3s')).toBeUndefined();
});
