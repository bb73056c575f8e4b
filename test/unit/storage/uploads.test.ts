/** Images sent over the API: from the client's pieces to a ready image, with everything in between breaking. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { run } from '../../../appliance/host/exec.ts';
import { image } from '../../../appliance/resources/croft-kinds.ts';
import { createUploads, type Uploads } from '../../../storage/images/uploads.ts';
import { createClient } from '../../../ui-api/client/client.ts';
import { nodeTransport } from '../../../ui-api/client/node-transport.ts';
import { sendUpload } from '../../../ui-api/client/upload.ts';
import { runCli } from '../cli/run-cli.ts';
import { eventually } from '../../helpers/eventually.ts';
import { startStorageApi, type StorageApi } from '../../helpers/storage-api.ts';

const sha256 = (bytes: Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

describe('uploads', () => {
  let root: string;
  let uploads: Uploads;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'croft-up-'));
    uploads = createUploads({ directory: root, maxSize: 1_000_000, reserve: 0, maxAge: 60_000 });
  });
  afterEach(async () => {
    await uploads.stop();
    await rm(root, { recursive: true, force: true });
  });

  async function* pieces(...chunks: (Buffer | Error)[]) {
    for (const chunk of chunks) {
      if (chunk instanceof Error) throw chunk;
      yield chunk;
    }
  }
  const part = (): Promise<Buffer> => readFile(join(root, 'i1/upload.part'));

  it('grows piece by piece, and keeps what came before a connection broke', async () => {
    expect(await uploads.begin('i1', 10)).toMatchObject({ size: 10, offset: 0 });
    expect(await uploads.append('i1', 0, pieces(Buffer.from('abc')))).toMatchObject({ offset: 3 });
    expect(await uploads.append('i1', 3, pieces(Buffer.from('de'), new Error('cut')))).toMatchObject({ offset: 5 });
    expect(await uploads.begin('i1', 10)).toMatchObject({ offset: 5 });
    expect(await uploads.append('i1', 5, pieces(Buffer.from('fghij')))).toMatchObject({ offset: 10 });
    expect(String(await part())).toBe('abcdefghij');
    expect(await uploads.completed('i1', { signal: AbortSignal.timeout(1000) })).toBe(join(root, 'i1/upload.part'));
  });

  it('refuses wrong offsets, other sizes, too many bytes, and what was never begun', async () => {
    await expect(uploads.append('i1', 0, pieces())).rejects.toMatchObject({ code: 'not-found' });
    await expect(uploads.begin('i1', 1_000_001)).rejects.toMatchObject({ code: 'too-large' });
    await uploads.begin('i1', 4);
    await expect(uploads.begin('i1', 5)).rejects.toMatchObject({ code: 'conflict' });
    await expect(uploads.append('i1', 2, pieces(Buffer.from('x')))).rejects.toThrow(/0 bytes are here, the piece begins at 2/);
    await expect(uploads.append('i1', 0, pieces(Buffer.from('12345')))).rejects.toMatchObject({ code: 'too-large' });
    expect(await uploads.state('i1')).toMatchObject({ offset: 0 });
    await expect(uploads.begin('../x', 5)).rejects.toThrow(/cannot name a directory/);
  });

  it('refuses what does not fit beside what others have still to send', async () => {
    const huge = createUploads({ directory: root, maxSize: 2 ** 60 });
    await expect(huge.begin('i1', 2 ** 55)).rejects.toMatchObject({ code: 'insufficient-storage' });
    expect(await readdir(root)).toEqual([]);
    await huge.stop();
  });

  it('lets a new piece take over from one that hangs on a dead connection', async () => {
    await uploads.begin('i1', 6);
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    async function* hanging() {
      yield Buffer.from('abc');
      await released;
      yield Buffer.from('XYZ');
    }
    const first = uploads.append('i1', 0, hanging());
    const refused = expect(first).rejects.toMatchObject({ code: 'conflict' });
    await eventually(async () => expect((await part()).length).toBe(3));
    const second = uploads.append('i1', 3, pieces(Buffer.from('def')));
    release();
    await refused;
    expect(await second).toMatchObject({ offset: 6 });
    expect(String(await part())).toBe('abcdef');
  });

  it('drops what nobody touched for too long, and tells who waits', async () => {
    await uploads.begin('i1', 6);
    await uploads.append('i1', 0, pieces(Buffer.from('abc')));
    const waiting = uploads.completed('i1', { signal: AbortSignal.timeout(5000) });
    const told = expect(waiting).rejects.toMatchObject({ code: 'upload-expired' });
    expect(await uploads.expire()).toEqual([]);
    const old = new Date(Date.now() - 61_000);
    await utimes(join(root, 'i1/upload.part'), old, old);
    expect(await uploads.expire()).toEqual(['i1']);
    await told;
    expect(await readdir(join(root, 'i1'))).toEqual([]);
  });
});

describe('from client to image', () => {
  let root: string;
  let box: StorageApi;
  let port = 0;
  let proxy: Server | undefined;
  const sockets = new Set<Socket>();

  const start = async (): Promise<void> => {
    box = await startStorageApi(root, port);
    port = box.port;
  };
  const stop = (): Promise<void> => box.close();
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'croft-upload-'));
    port = 0;
    await start();
  });
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    proxy?.close();
    proxy = undefined;
    await stop();
    await rm(root, { recursive: true, force: true });
  });

  /** Passes on, and cuts each connection after some bytes; `cuts` counts. */
  const cutting = async (bytes: () => number): Promise<{ url: string; cuts: () => number }> => {
    let cuts = 0;
    proxy = createServer((near) => {
      const far = connect(port, '127.0.0.1');
      let left = bytes();
      for (const socket of [near, far]) {
        sockets.add(socket);
        socket.on('error', () => undefined);
        socket.on('close', () => [near, far].forEach((each) => each.destroy()));
      }
      near.on('data', (chunk: Buffer) => {
        left -= chunk.length;
        if (left >= 0) return void far.write(chunk);
        cuts += 1;
        far.write(chunk.subarray(0, chunk.length + left), () => near.destroy());
      });
      far.pipe(near);
    });
    await new Promise<void>((resolve) => proxy?.listen(0, '127.0.0.1', resolve));
    return { url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`, cuts: () => cuts };
  };
  const clientAt = (baseUrl: string) => createClient({ transport: nodeTransport({ baseUrl }), token: box.secret });
  const makeDisk = async (format: string): Promise<Buffer> => {
    const raw = join(root, 'raw.img');
    const file = join(root, `disk.${format}`);
    await writeFile(raw, Buffer.concat([randomBytes(3 * 2 ** 20), Buffer.alloc(2 ** 20)]));
    const options = format === 'vmdk' ? ['-o', 'subformat=streamOptimized'] : [];
    await run(['qemu-img', 'convert', '-f', 'raw', '-O', format, ...options, raw, file]);
    return readFile(file);
  };
  const ready = async () => {
    const status = await eventually(
      async () => {
        const found = (await box.store.get(image, 'd'))?.status;
        expect(['Ready', 'Failed']).toContain(found?.phase);
        return found;
      },
      { timeout: 20_000 },
    );
    return status;
  };
  const create = (body: Buffer, checksum = sha256(body)) =>
    clientAt(`http://127.0.0.1:${port}`).images.create({ name: 'd', source: { upload: {} }, checksum });
  const source = (body: Buffer) => ({
    size: body.length,
    read: (offset: number, length: number) => body.subarray(offset, offset + length),
  });

  it('arrives over connections that are cut again and again, and its task shows it', async () => {
    const body = await makeDisk('qcow2');
    await create(body);
    const { url, cuts } = await cutting(() => 200_000 + Math.floor(Math.random() * 400_000));
    await sendUpload(clientAt(url), 'd', source(body), { piece: 2 ** 20, pause: 1 });
    expect(cuts()).toBeGreaterThan(2);
    expect(await ready()).toMatchObject({ phase: 'Ready', message: '', virtualSize: 4 * 2 ** 20 });
    const [task] = box.box.tasks.list();
    expect(task).toMatchObject({ verb: 'image.import', state: 'succeeded', target: { name: 'd' } });
    // Scratch space is gone.
    expect(await readdir(join(root, 'box/image-work'))).toEqual([]);
  }, 60_000);

  it('goes on after the service was restarted in the middle', async () => {
    const body = await makeDisk('vmdk');
    await create(body);
    const client = clientAt(`http://127.0.0.1:${port}`);
    const half = body.length >> 1;
    let restarted: Promise<void> | undefined;
    const sending = sendUpload(client, 'd', source(body), {
      piece: 2 ** 18,
      pause: 20,
      progress: (done) => {
        restarted ??= done > half ? stop().then(start) : undefined;
      },
    });
    await sending;
    expect(restarted).toBeDefined();
    await restarted;
    expect(await ready()).toMatchObject({ phase: 'Ready', virtualSize: 4 * 2 ** 20 });
  }, 60_000);

  it('refuses bytes with another digest, and hostile ones, and keeps nothing of them', async () => {
    const good = await makeDisk('qcow2');
    await create(good, sha256(Buffer.from('other')));
    await sendUpload(clientAt(`http://127.0.0.1:${port}`), 'd', source(good));
    expect(await ready()).toMatchObject({ phase: 'Failed', message: expect.stringMatching(/expected was sha256/) });
    await expect(sendUpload(clientAt(`http://127.0.0.1:${port}`), 'd', source(good))).rejects.toMatchObject({
      code: 'invalid-state',
    });
    await clientAt(`http://127.0.0.1:${port}`).images.remove('d');
    await eventually(async () => expect(await box.store.get(image, 'd')).toBeUndefined());
    expect(await readdir(join(root, 'box/image-work'))).toEqual([]);

    const evil = join(root, 'evil.qcow2');
    await run(['qemu-img', 'create', '-q', '-f', 'qcow2', '-u', '-b', '/etc/shadow', '-F', 'raw', evil, '1M']);
    const bytes = await readFile(evil);
    await create(bytes);
    await sendUpload(clientAt(`http://127.0.0.1:${port}`), 'd', source(bytes));
    expect(await ready()).toMatchObject({ phase: 'Failed', message: 'The qcow2 image has a backing file.' });
  }, 60_000);

  it('is one command, which goes on where it was interrupted', async () => {
    await makeDisk('qcow2');
    await run(['xz', '-k', join(root, 'disk.qcow2')]);
    const env = { CROFT_HOST: `http://127.0.0.1:${port}`, CROFT_TOKEN: box.secret };
    const file = join(root, 'disk.qcow2.xz');
    const body = await readFile(file);
    await create(body);
    await box.storage.uploads.begin((await box.store.get(image, 'd'))?.metadata.labels?.['croft.io/id'] ?? '', body.length);
    const { code, stderr } = await runCli(['image', 'add', file, '--name', 'd'], { env });
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringMatching(/going on with the upload[^]*Image d is ready/) });
    expect((await runCli(['image', 'add', file, '--name', 'd'], { env })).code).toBe(5);
    const other = await runCli(['image', 'add', join(root, 'nothing.qcow2'), '--upload'], { env });
    expect(other).toMatchObject({ code: 2, stderr: expect.stringContaining('there is no such file here') });
  }, 60_000);

  it('answers requests that make no sense by what would be right', async () => {
    const base = `http://127.0.0.1:${port}/v1/images`;
    const headers = { authorization: `Bearer ${box.secret}`, 'content-type': 'application/offset+octet-stream' };
    const patch = async (name: string, more: Record<string, string>, body = 'x') => {
      const answer = await fetch(`${base}/${name}/upload`, { method: 'PATCH', headers: { ...headers, ...more }, body });
      return { status: answer.status, ...((await answer.json()) as { code: string; detail: string }) };
    };
    expect(await patch('d', { 'upload-offset': '0' })).toMatchObject({ status: 404 });
    await create(Buffer.from('x'));
    expect(await patch('d', {})).toMatchObject({ status: 400, detail: expect.stringContaining('Upload-Offset: null') });
    expect(await patch('d', { 'upload-offset': '-1' })).toMatchObject({ status: 400 });
    expect(await patch('d', { 'upload-offset': '0' })).toMatchObject({
      status: 404,
      detail: expect.stringContaining('POST its size'),
    });
    expect(await patch('d', { 'upload-offset': '0', 'content-type': 'application/json' }, '{}')).toMatchObject({ status: 415 });
    const url = await fetch(base, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'u', source: { url: 'http://127.0.0.1:1/x' } }),
    });
    expect(url.status).toBe(201);
    expect(await patch('u', { 'upload-offset': '0' })).toMatchObject({
      status: 409,
      detail: 'Image u takes no upload: its source is not upload.',
    });
  });
});
