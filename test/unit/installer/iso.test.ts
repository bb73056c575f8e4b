import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { hashFiles, layer } from '../../../installer/iso/layers.ts';
import { sourceLines } from '../../../installer/iso/mirrors.ts';
import { packageFolders } from '../../../installer/iso/node-modules.ts';
import { argumentOf } from '../../../installer/kernel-arguments.ts';
import { systemConfig } from '../../../installer/grub-config.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'croft-layers-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const quiet = (): void => undefined;

test('a layer is built once; a failed one leaves nothing', async () => {
  let builds = 0;
  const build = async (): Promise<void> => void builds++;
  const key = '0'.repeat(20);
  expect(await layer(directory, 'base', key, build, quiet)).toBe(await layer(directory, 'base', key, build, quiet));
  expect(builds).toBe(1);
  await expect(layer(directory, 'bad', key, () => Promise.reject(new Error('no')), quiet)).rejects.toThrow('no');
  expect(await readdir(directory)).toEqual([`base-${key}`]);
});

test('only the newest three layers of a name are kept', async () => {
  for (const digit of '12345') await layer(directory, 'base', digit.repeat(20), async () => undefined, quiet);
  expect(await readdir(directory)).toHaveLength(3);
});

test('what a killed build left is removed a day later, what a running one makes is not', async () => {
  const old = new Date(Date.now() - 25 * 60 * 60_000);
  for (const name of ['.base-killed', '.base-running']) await mkdir(join(directory, name));
  await utimes(join(directory, '.base-killed'), old, old);
  await layer(directory, 'base', 'a'.repeat(20), async () => undefined, quiet);
  expect((await readdir(directory)).sort()).toEqual(['.base-running', `base-${'a'.repeat(20)}`]);
});

test('the hash of files follows names and contents', async () => {
  await writeFile(join(directory, 'a'), '1');
  const first = await hashFiles(directory, ['a']);
  expect(await hashFiles(directory, ['a'])).toBe(first);
  await writeFile(join(directory, 'a'), '2');
  expect(await hashFiles(directory, ['a'])).not.toBe(first);
});

test('the mirrors of this machine with another release; foreign archives are left out', () => {
  const targets = [
    'http://m/debian|bookworm|main',
    'http://m/debian|bookworm|contrib',
    'http://s/sec|bookworm-security|main',
    'https://x|nodistro|main',
  ];
  expect(sourceLines(targets.join('\n'), 'trixie', '/k.gpg')).toEqual([
    'deb [signed-by=/k.gpg] http://m/debian trixie main',
    'deb [signed-by=/k.gpg] http://s/sec trixie-security main',
  ]);
});

test('npm packages come with what they depend on', async () => {
  const home = join(import.meta.dirname, '../../..');
  const folders = await packageFolders(home, ['execa']);
  expect(folders).toContain('node_modules/execa');
  expect(folders.length).toBeGreaterThan(5);
  await expect(packageFolders(home, ['no-such-package'])).rejects.toThrow(/npm ci/);
});

test('the last value on a kernel command line counts', () => {
  expect(argumentOf('a=1 croft.slot=A quiet croft.slot=B\n', 'croft.slot')).toBe('B');
  expect(argumentOf('xcroft.slot=A', 'croft.slot')).toBeUndefined();
});

test('grub.cfg names its partitions and counts to three', () => {
  const text = systemConfig({
    partitions: { env: 'eee', A: 'aaa', B: 'bbb', state: 'sss' },
    identity: { hostname: 'h', machineId: 'm' },
  });
  expect(text).toContain('set env="($disk,gpt3)/grubenv"');
  expect(text).toContain('elif [ "$B_TRY" = "2" ]; then set B_TRY=3');
  expect(text).toContain('live-media=/dev/disk/by-partuuid/$media croft.slot=$slot croft.state=sss croft.env=eee');
});
