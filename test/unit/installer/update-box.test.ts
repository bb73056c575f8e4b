/** Updates as the box's service offers them: status, one at a time, aborted in each phase, and the way back. */
import { generateKeyPairSync } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { silentLogger } from '../../../appliance/host/logger.ts';
import { updateUpload } from '../../../appliance/ports.ts';
import { type BoxStore, openBoxStore } from '../../../appliance/store/box/box-store.ts';
import { encodeEnvironment, readEnvironment, writeEnvironment } from '../../../installer/environment-block.ts';
import type { Release } from '../../../installer/release.ts';
import { commit, freshState, fromEnvironment, nextBoot, rollBack, toEnvironment } from '../../../installer/slots.ts';
import type { UpdateTarget } from '../../../installer/update/apply.ts';
import { createUpdates } from '../../../installer/update/box.ts';
import { makeBundle } from '../../../installer/update/bundle.ts';
import { createUploads, type Uploads } from '../../../storage/images/uploads.ts';
import { eventually } from '../../helpers/eventually.ts';

const mebibyte = 1024 * 1024;
const release: Release = {
  name: 'croft',
  version: '2.0.0',
  variant: 'mini',
  epoch: 2,
  slotSize: 2 * mebibyte,
  minimumDisk: 1,
  minimumMemory: 1,
};
const built = '1970-01-01T00:00:02.000Z';

let directory: string;
let box: BoxStore;
let uploads: Uploads;
let target: UpdateTarget;
let bundle: Buffer;
let restarts: number;
let server: Server | undefined;

const path = (name: string): string => join(directory, name);
const state = async () => fromEnvironment(await readEnvironment(target.environment));
const make = () =>
  createUpdates({
    target,
    tasks: box.tasks,
    uploads,
    downloaded: path('incoming'),
    nodeName: 'box1',
    logger: silentLogger(),
    releaseIn: async () => release,
    reboot: async () => void (restarts += 1),
  });
const ended = (id: string) =>
  eventually(() => {
    const task = box.tasks.get(id);
    if (!task || task.state === 'running') throw new Error(`${id} is ${task?.state ?? 'unknown'}`);
    return task;
  });

/** Serves what `answer` writes; the address of it. */
async function serve(answer: (end: (bytes?: Buffer) => void, write: (bytes: Buffer) => void) => void): Promise<string> {
  server = createServer((_request, response) => {
    response.writeHead(200, { 'content-length': bundle.length });
    answer(
      (bytes) => void response.end(bytes),
      (bytes) => void response.write(bytes),
    );
  });
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/croft.update`;
}

async function upload(bytes: Buffer): Promise<void> {
  await uploads.begin(updateUpload, bytes.length);
  await uploads.append(
    updateUpload,
    0,
    (async function* () {
      yield bytes;
    })(),
  );
}

beforeEach(async () => {
  restarts = 0;
  directory = await mkdtemp(join(tmpdir(), 'croft-updates-'));
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  await writeFile(path('slot.img'), Buffer.alloc(mebibyte + 77, 'release two'));
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  await makeBundle(path('croft.update'), { slot: path('slot.img'), release, key });
  bundle = await readFile(path('croft.update'));
  for (const slot of ['A', 'B']) {
    await writeFile(path(slot), '');
    await truncate(path(slot), 2 * mebibyte);
  }
  const environment = Buffer.alloc(mebibyte);
  encodeEnvironment(toEnvironment(freshState())).copy(environment, 8192);
  await writeFile(path('env'), environment);
  await mkdir(path('uploads'));
  uploads = createUploads({ directory: path('uploads'), maxSize: 2 ** 30, reserve: 0 });
  box = openBoxStore(path('box.db'), { logger: silentLogger() });
  target = {
    running: 'A',
    slots: { A: path('A'), B: path('B') },
    environment: path('env'),
    release: { ...release, version: '1.0.0', epoch: 1 },
    keys: [publicKey],
  };
});
afterEach(async () => {
  await new Promise<void>((resolve) => (server ? server.close(() => resolve()) : resolve()));
  server = undefined;
  await uploads.stop();
  await box.close();
  await rm(directory, { recursive: true, force: true });
});

test('an update by address is tried at the next start, and can be gone back from', async () => {
  const updates = make();
  expect(await updates.status()).toEqual({
    confirmed: true,
    slots: [
      { slot: 'A', state: 'running', version: '1.0.0', builtAt: '1970-01-01T00:00:01.000Z' },
      { slot: 'B', state: 'empty' },
    ],
  });
  const task = await ended(await updates.begin({ url: await serve((end) => end(bundle)) }, 'ada'));
  expect(task).toMatchObject({ state: 'succeeded', progress: 1, by: 'ada', target: { kind: 'Node', name: 'box1' } });
  expect((await updates.status()).slots[1]).toEqual({ slot: 'B', state: 'next', version: '2.0.0', builtAt: built });
  expect(restarts).toBe(0);
  await expect(readFile(path('incoming'))).rejects.toMatchObject({ code: 'ENOENT' });

  // As after the restart: B runs and was confirmed.
  await writeEnvironment(target.environment, toEnvironment(commit(nextBoot(await state()).state, 'B')));
  target = { ...target, running: 'B', release };
  const after = make();
  expect((await after.status()).slots.map(({ state: now }) => now)).toEqual(['ready', 'running']);
  await after.rollBack();
  expect((await after.status()).slots.map(({ state: now }) => now)).toEqual(['next', 'running']);
  expect(nextBoot(await state()).slot).toBe('A');
  await after.abort();
  expect((await after.status()).slots.map(({ state: now }) => now)).toEqual(['ready', 'running']);
  expect(nextBoot(await state()).slot).toBe('B');
});

test('an uploaded update restarts the box when asked to', async () => {
  const updates = make();
  await expect(updates.begin({ upload: true })).rejects.toMatchObject({ code: 'invalid-state' });
  await upload(bundle);
  expect((await updates.status()).upload).toMatchObject({ size: bundle.length, offset: bundle.length });
  const task = await ended(await updates.begin({ upload: true, restart: true }));
  expect(task.state).toBe('succeeded');
  expect(restarts).toBe(1);
  expect((await updates.status()).upload).toBeUndefined();
});

test('a damaged update is refused, restarts nothing and leaves the slots alone', async () => {
  const updates = make();
  const damaged = Buffer.from(bundle);
  damaged[bundle.length - 9] = (damaged[bundle.length - 9] as number) ^ 1;
  await upload(damaged);
  const before = await readFile(target.environment);
  const task = await ended(await updates.begin({ upload: true, restart: true }));
  expect(task).toMatchObject({ state: 'failed', error: { code: 'checksum-mismatch' } });
  expect(restarts).toBe(0);
  expect((await readFile(target.environment)).equals(before)).toBe(true);
});

test('one at a time; aborted while it is fetched, nothing was written', async () => {
  const updates = make();
  const url = await serve((_end, write) => write(bundle.subarray(0, 5000)));
  const id = await updates.begin({ url });
  await eventually(() => {
    if ((box.tasks.get(id)?.progress ?? 0) === 0) throw new Error('no byte came yet');
  });
  expect((await updates.status()).taskId).toBe(id);
  for (const refused of [updates.begin({ url }), updates.rollBack(), updates.restart()])
    await expect(refused).rejects.toMatchObject({ code: 'busy' });
  await updates.abort();
  expect((await ended(id)).state).toBe('cancelled');
  expect((await updates.status()).slots[1]).toEqual({ slot: 'B', state: 'empty' });
  expect((await readFile(path('B'))).every((byte) => byte === 0)).toBe(true);
  await expect(readFile(path('incoming'))).rejects.toMatchObject({ code: 'ENOENT' });
});

test('aborted while the slot is written, the slot is not started', async () => {
  const updates = make();
  await upload(bundle);
  const id = await updates.begin({ upload: true });
  const stop = box.tasks.subscribe((task) => {
    if (task.id === id && task.step === 'writing slot B' && task.state === 'running') box.tasks.cancel(id);
  });
  const { state: how } = await ended(id);
  stop();
  expect(how).toBe('cancelled');
  expect((await updates.status()).slots[1]).toEqual({ slot: 'B', state: 'empty' });
  expect(nextBoot(await state()).slot).toBe('A');
});

test('nothing begins before the running release is confirmed; a failed one says so', async () => {
  target = { ...target, running: 'B' };
  const unconfirmed = make();
  expect(await unconfirmed.status()).toMatchObject({ confirmed: false });
  await expect(unconfirmed.begin({ url: 'http://127.0.0.1:9/x' })).rejects.toMatchObject({ code: 'invalid-state' });
  await writeEnvironment(target.environment, toEnvironment(rollBack(await state(), 'B').state));
  target = { ...target, running: 'A' };
  expect((await make().status()).slots[1]).toMatchObject({ slot: 'B', state: 'failed' });
  await expect(make().rollBack()).rejects.toMatchObject({ code: 'invalid-state' });
});
