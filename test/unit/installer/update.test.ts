import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtemp, open, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { encodeEnvironment, readEnvironment } from '../../../installer/environment-block.ts';
import type { Release } from '../../../installer/release.ts';
import { freshState, fromEnvironment, nextBoot, toEnvironment } from '../../../installer/slots.ts';
import { applyUpdate, type UpdateTarget } from '../../../installer/update/apply.ts';
import { imageAt, keyId, makeBundle, readManifest } from '../../../installer/update/bundle.ts';

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
const image = Buffer.alloc(mebibyte + 77, 'release two');

let directory: string;
let bundle: string;
let secret: string;
let target: UpdateTarget;

const newKey = (): { secret: string; public: KeyObject } => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return { secret: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string, public: publicKey };
};
const path = (name: string): string => join(directory, name);
const state = async () => fromEnvironment(await readEnvironment(target.environment));

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'croft-update-'));
  const key = newKey();
  secret = key.secret;
  bundle = path('croft.update');
  await writeFile(path('slot.img'), image);
  await makeBundle(bundle, { slot: path('slot.img'), release, key: secret });
  for (const slot of ['A', 'B']) {
    await writeFile(path(slot), '');
    await truncate(path(slot), 2 * mebibyte);
  }
  const environment = Buffer.alloc(mebibyte);
  encodeEnvironment(toEnvironment(freshState())).copy(environment, 8192);
  await writeFile(path('env'), environment);
  target = {
    running: 'A',
    slots: { A: path('A'), B: path('B') },
    environment: path('env'),
    release: { ...release, version: '1.0.0', epoch: 1 },
    keys: [newKey().public, key.public],
  };
});
afterEach(() => rm(directory, { recursive: true, force: true }));

async function change(at: number): Promise<void> {
  const handle = await open(bundle, 'r+');
  const byte = Buffer.alloc(1);
  await handle.read(byte, 0, 1, at);
  await handle.write(Buffer.from([(byte[0] as number) ^ 1]), 0, 1, at);
  await handle.close();
}

/** Refused, and nothing was written: neither to the slot nor to the boot environment. */
async function refused(code: string, message: RegExp): Promise<void> {
  const before = await readFile(target.environment);
  await expect(applyUpdate(bundle, target)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  expect((await readFile(target.slots.B)).every((byte) => byte === 0)).toBe(true);
  expect((await readFile(target.environment)).equals(before)).toBe(true);
}

test('a signed update is written to the other slot and tried once', async () => {
  const steps: string[] = [];
  const done = await applyUpdate(bundle, target, { progress: (_fraction, step) => steps.push(step) });
  expect(done).toEqual({ slot: 'B', release });
  expect((await readFile(target.slots.B)).subarray(0, image.length).equals(image)).toBe(true);
  expect(nextBoot(await state()).slot).toBe('B');
  expect(nextBoot(nextBoot(await state()).state).slot).toBe('A');
  expect(steps[0]).toBe('checking the update');
  expect(steps.at(-1)).toBe('slot B is tried at the next start');
});

test.each([
  ['the image', imageAt + 5000, 'checksum-mismatch', /is damaged/],
  ['the manifest', 40, 'signature-refused', /signature of key .* is wrong/],
  ['the first line', 3, 'invalid-input', /no update of Croft/],
] as const)('a changed bit in %s is refused before anything is written', async (_where, at, code, message) => {
  await change(at);
  await refused(code, message);
});

test('an update cut short is refused', async () => {
  await truncate(bundle, imageAt + 1000);
  await refused('checksum-mismatch', /has 5096 bytes instead of/);
});

test('another key is refused, with the keys that are trusted', async () => {
  const other = newKey();
  await makeBundle(bundle, { slot: path('slot.img'), release, key: other.secret });
  await refused('signature-refused', new RegExp(`${keyId(other.public)}.*trusts ${target.keys.map(keyId).join(', ')}`));
});

test('a slot that is too small is refused', async () => {
  await truncate(target.slots.B, mebibyte);
  await refused('insufficient-storage', /needs 1048653 bytes; slot B has 1048576/);
});

test('another variant is refused', async () => {
  target = { ...target, release: { ...target.release, variant: 'full' } };
  await refused('invalid-input', /is a mini release; this box runs a full one/);
});

test('while the running release is not confirmed, nothing is written', async () => {
  target = { ...target, running: 'B', slots: { A: target.slots.B, B: target.slots.A } };
  await expect(applyUpdate(bundle, target)).rejects.toMatchObject({ code: 'invalid-state' });
});

test('ended while it writes, the machine starts what it started before', async () => {
  const ended = new AbortController();
  const progress = (fraction: number): void => {
    if (fraction > 0.2) ended.abort(new Error('enough'));
  };
  await expect(applyUpdate(bundle, target, { progress, signal: ended.signal })).rejects.toThrow(/enough|aborted/);
  expect(nextBoot(await state()).slot).toBe('A');
  expect((await state()).slots.B.ok).toBe(false);
  await applyUpdate(bundle, target);
  expect(nextBoot(await state()).slot).toBe('B');
});

test('only Ed25519 keys sign', async () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  await expect(makeBundle(bundle, { slot: path('slot.img'), release, key })).rejects.toMatchObject({ code: 'invalid-input' });
  await expect(readManifest(path('slot.img'), target.keys)).rejects.toMatchObject({ code: 'invalid-input' });
});
