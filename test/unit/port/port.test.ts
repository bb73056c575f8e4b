import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Duplex, Readable } from 'node:stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { CroftError } from '../../../appliance/errors.ts';
import { silentLogger } from '../../../appliance/host/logger.ts';
import { connectPort, type RemoteBox } from '../../../appliance/port/client.ts';
import { servePort } from '../../../appliance/port/server.ts';
import { combineTasks } from '../../../appliance/port/tasks.ts';
import type { BoxPort, ImageUploads, VmExports } from '../../../appliance/ports.ts';
import { openBoxStore, type BoxStore } from '../../../appliance/store/box/box-store.ts';
import { eventually } from '../../helpers/eventually.ts';

const logger = silentLogger();
const vm = { name: 'web', namespace: 'default' };
const about = { verb: 'image.build', target: { kind: 'Image', name: 'tiny' } };

let directory: string;
let box: BoxStore;
let own: BoxStore;
let server: { close(): Promise<void> } | undefined;
let remote: RemoteBox;

/** A guest's console that answers in capitals. */
const echo = (): Duplex =>
  new Duplex({
    read: () => undefined,
    write(chunk, _encoding, done) {
      this.push(String(chunk).toUpperCase());
      done();
    },
  });

const samples = new Set<(at: number) => void>();
const port: BoxPort = {
  act: async (key, action) => {
    if (action === 'reset') throw new CroftError('invalid-state', `${key.name} is stopped.`, { fix: ['Start it.'] });
    if (action === 'pause') throw new TypeError('inner matters');
  },
  openConsole: async (key) => {
    if (key.name !== 'web') throw new CroftError('not-found', `There is no VM ${key.name}.`);
    return echo();
  },
  screenshot: async () => Buffer.from([0x89, 0x50, 0xff]),
  explain: async () => ({ state: 'running', sentence: 'It runs.', next: [], evidence: [] }),
  capacity: async () => ({ memoryFree: 1, memoryTotal: 2, cpus: 3 }),
  stats: async () => [],
  guestLists: async () => ({ users: [], filesystems: [] }),
  history: async (subject) => ({ subject }) as never,
  recentUse: async () => ({ 'vm-1': { range: 'line' } as never }),
  nics: async () => [{ name: 'eth1', mtu: 1500, addresses: [] }],
  onSample: (listener) => {
    samples.add(listener);
    return () => samples.delete(listener);
  },
};

const exports: VmExports = {
  begin: async () => 'export-1',
  get: async () => undefined,
  list: async () => [],
  read: async (id, start, end) => {
    if (id !== 'export-1') throw new CroftError('not-found', 'There is no such export.');
    return Readable.from([Buffer.from('0123456789').subarray(start, end)]);
  },
  remove: async () => undefined,
};

let received = '';
const uploads: ImageUploads = {
  begin: async (_id, size) => {
    if (size > 100) throw new CroftError('too-large', 'Too large.');
    return { size, offset: 0, expiresAt: '' };
  },
  state: async (id) => (id === 'known' ? { size: 9, offset: received.length, expiresAt: '' } : undefined),
  append: async (id, offset, bytes) => {
    if (id !== 'known') throw new CroftError('not-found', 'There is no such upload.');
    for await (const chunk of bytes) received += Buffer.from(chunk).toString();
    return { size: 9, offset: offset + received.length, expiresAt: '' };
  },
  drop: async () => undefined,
};

const path = (): string => join(directory, 'box.sock');
const serve = async (): Promise<void> => {
  server = await servePort(path(), undefined, { port, uploads, exports, tasks: box.tasks, events: box.events, logger });
};

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'croft-port-'));
  box = openBoxStore(join(directory, 'box.db'));
  own = openBoxStore(join(directory, 'own.db'));
  box.events.record({ type: 'Normal', reason: 'First', message: 'One.', about: { kind: 'Image', name: 'tiny' } });
  await box.tasks.run(about, async () => undefined);
  await serve();
  remote = connectPort(path(), logger);
  await remote.ready;
});
afterEach(async () => {
  remote.close();
  await server?.close();
  await box.close();
  await own.close();
  await rm(directory, { recursive: true, force: true });
});

test('only the owner may connect', async () => {
  expect((await stat(path())).mode & 0o777).toBe(0o600);
});

test('answers come back, bytes and errors of the catalogue too; what went wrong inside does not', async () => {
  expect(await remote.port.capacity()).toEqual({ memoryFree: 1, memoryTotal: 2, cpus: 3 });
  expect((await remote.port.explain(vm)).sentence).toBe('It runs.');
  expect([...(await remote.port.screenshot(vm))]).toEqual([0x89, 0x50, 0xff]);
  await remote.port.act(vm, 'unpause');
  await expect(remote.port.act(vm, 'reset')).rejects.toMatchObject({
    code: 'invalid-state',
    message: 'web is stopped.',
    fix: ['Start it.'],
  });
  await expect(remote.port.act(vm, 'pause')).rejects.toMatchObject({
    code: 'internal',
    message: expect.not.stringContaining('inner'),
  });
});

test('a console is a stream of bytes in both directions; one that cannot be opened says why', async () => {
  const stream = await remote.port.openConsole(vm, 'serial');
  let said = '';
  stream.on('data', (bytes) => (said += String(bytes)));
  stream.write('hello ');
  stream.write('there');
  await eventually(() => said === 'HELLO THERE');
  stream.destroy();
  await expect(remote.port.openConsole({ ...vm, name: 'none' }, 'vnc')).rejects.toMatchObject({ code: 'not-found' });
});

test('bytes of an image go through; an upload that breaks off keeps what came; refusals come back', async () => {
  received = '';
  expect(await remote.uploads.begin('known', 9)).toMatchObject({ size: 9 });
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('some');
    throw new Error('connection lost');
  }
  expect(await remote.uploads.append('known', 0, broken())).toMatchObject({ offset: 4 });
  expect(await remote.uploads.state('known')).toMatchObject({ offset: 4 });
  expect(await remote.uploads.state('other')).toBeUndefined();
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (;;) yield Buffer.alloc(64 * 1024);
  }
  await expect(remote.uploads.append('other', 0, endless())).rejects.toMatchObject({ code: 'not-found' });
  await expect(remote.uploads.begin('known', 101)).rejects.toMatchObject({ code: 'too-large' });
});

test('a part of an export comes through; one that is gone says so', async () => {
  expect(await remote.exports.begin(vm, { format: 'ova' })).toBe('export-1');
  let text = '';
  for await (const chunk of await remote.exports.read('export-1', 2, 5)) text += Buffer.from(chunk).toString();
  expect(text).toBe('234');
  await expect(remote.exports.read('other', 0, 1)).rejects.toMatchObject({ code: 'not-found' });
  await expect(remote.port.cluster?.status()).rejects.toMatchObject({ code: 'unavailable' });
});

test('new samples of the history are told of', async () => {
  const told: number[] = [];
  remote.port.onSample((at) => told.push(at));
  for (const listener of samples) listener(42);
  await eventually(() => told.length === 1);
  expect(told).toEqual([42]);
});

test('the box’s tasks and events are there at once, and follow', async () => {
  const news: string[] = [];
  remote.events.subscribe(({ reason }) => news.push(reason));
  expect(remote.tasks.list()).toHaveLength(1);
  expect(remote.events.list({ kind: 'Image' }).map(({ reason }) => reason)).toEqual(['First']);
  expect(remote.events.list({ kind: 'Disk' })).toEqual([]);
  box.events.record({ type: 'Normal', reason: 'Second', message: 'Two.', about: { kind: 'Image', name: 'tiny' } });
  await eventually(() => news.length === 1);
  expect(remote.events.list().map(({ reason }) => reason)).toEqual(['Second', 'First']);
});

test('own tasks and the box’s are one list; both can be cancelled', async () => {
  const tasks = combineTasks(own.tasks, remote.tasks);
  const until = (handle: { signal: AbortSignal }): Promise<void> =>
    new Promise((_resolve, reject) => handle.signal.addEventListener('abort', () => reject(new Error('aborted'))));
  const running = [
    box.tasks.run({ ...about, id: 'there', cancellable: true }, until).catch(() => undefined),
    tasks.run({ ...about, id: 'here', cancellable: true }, until).catch(() => undefined),
  ];
  await eventually(() => tasks.list({ state: 'running' }).length === 2);
  for (const id of ['there', 'here']) await tasks.cancel(id);
  await Promise.all(running);
  await eventually(() => tasks.get('there')?.state === 'cancelled' && tasks.get('here')?.state === 'cancelled');
  await expect((async () => tasks.cancel('nowhere'))()).rejects.toMatchObject({ code: 'not-found' });
});

test('without the box, what is known stays and the rest is unavailable; afterwards all goes on, nothing told twice', async () => {
  const news: string[] = [];
  remote.events.subscribe(({ reason }) => news.push(reason));
  await server?.close();
  await expect(remote.port.capacity()).rejects.toMatchObject({ code: 'unavailable' });
  expect(remote.tasks.list()).toHaveLength(1);
  box.events.record({ type: 'Normal', reason: 'Meanwhile', message: 'Two.', about: { kind: 'Image', name: 'tiny' } });
  await serve();
  await eventually(() => news.length === 1, { timeout: 10_000 });
  expect(news).toEqual(['Meanwhile']);
});
