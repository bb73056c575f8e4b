/**
 * The mini image from build to fallback: each test goes on from the disk the installation left. That disk is kept
 * with the image it came from, so that one test alone (`-t`) need not install again. The seed of the power cut is
 * printed; CROFT_SEED repeats it.
 */
import { copyFile, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { loadConfig } from '../../appliance/config.ts';
import { run } from '../../appliance/host/exec.ts';
import { type BuiltImage, buildImage } from '../../installer/iso/build.ts';
import { customizeIso } from '../../installer/iso/customize.ts';
import { layer } from '../../installer/iso/layers.ts';
import { stage } from '../../installer/slots.ts';
import { makeBundle } from '../../installer/update/bundle.ts';
import {
  breakSlotB,
  copyDisk,
  damage,
  makeDisk,
  readBootState,
  sha256,
  slotBegins,
  unfinish,
  writeBootState,
  writeSlotB,
  zeroSlotB,
} from './disk-image.ts';
import { Machine, type MachineOptions, scratchDirectory } from './machine.ts';

const home = join(import.meta.dirname, '../..');
const cache = join(loadConfig().cache, 'iso');
const diskSize = 4 * 2 ** 30;
const answers = 'version: 1\nhostname: box1\nsystemDisk: auto\nfinish: reboot\n';
/** Seconds of processor time; a fifth of them is used. */
const patience = { kernel: 120, userspace: 400, step: 200 };
/** Steps of an installation (plan.ts). */
const steps = 13;

let image: BuiltImage;
let scratch: string;
let medium: string;
let machine: Machine | undefined;

const print = (line: string): void => void process.stdout.write(`${line}\n`);

/** Where the disk an installation left is kept, named as the image it came from. */
const keptKey = (): string => basename(image.directory).replace('image-mini-', '');
const keptDisk = (): string => join(cache, `installed-mini-${keptKey()}`, 'disk.raw');

/** Installs onto a blank disk, waits until it has started from it and committed, and keeps the disk. */
async function install(): Promise<string> {
  const disk = join(scratch, 'installed.raw');
  await makeDisk(disk, diskSize);
  const box = await startMachine({ firmware: 'bios', disk, cd: medium }, 'install-bios');
  await box.expect(/croft-install: Croft/, patience.userspace);
  await box.expect(new RegExp(`\\[${steps}/${steps}\\] Done`), patience.step);
  print(`installed after ${box.age.toFixed(0)} s`);
  expect(await choice(box)).toBe('A');
  await committed(box);
  print(`committed after ${box.age.toFixed(0)} s`);
  await box.cut();
  await rm(join(keptDisk(), '..'), { recursive: true, force: true });
  await layer(cache, 'installed-mini', keptKey(), (directory) => copyDisk(disk, join(directory, 'disk.raw')), print);
  return disk;
}

/** A copy of the installed disk for one test. */
async function installedCopy(name: string): Promise<string> {
  const kept = await stat(keptDisk()).catch(() => undefined);
  const disk = join(scratch, name);
  await copyDisk(kept ? keptDisk() : await install(), disk);
  return disk;
}

async function startMachine(options: Omit<MachineOptions, 'log'>, name: string): Promise<Machine> {
  machine = new Machine({ ...options, log: join(cache, 'logs', `${name}.log`) });
  await machine.start();
  return machine;
}

/** Waits for GRUB's own line about its choice. */
const choice = async (box: Machine, seconds = patience.kernel): Promise<string | undefined> =>
  (await box.expect(/croft-boot: slot=([AB]) .*/, seconds, [/Kernel panic/]))[1];

async function committed(box: Machine, slot = 'A'): Promise<void> {
  await box.expect(/Linux version/, patience.kernel);
  await box.expect(/croft-health: healthy/, patience.userspace);
  await box.expect(new RegExp(`croft-commit: slot ${slot} committed`), patience.step);
}

beforeAll(async () => {
  image = await buildImage({ variant: 'mini', home, cache, print });
  scratch = await scratchDirectory(cache);
  await run(['mkdir', '-p', join(cache, 'logs')]);
  medium = join(scratch, 'medium.iso');
  await copyFile(image.iso, medium);
  await customizeIso(medium, { answers, entry: 'install', timeout: 0 });
});

afterEach(async () => {
  // What a run costs on an idle machine follows from this, not from the clock of a busy one.
  if (machine) print(`${machine.effort.toFixed(0)} s of processor time`);
  await machine?.dispose();
  machine = undefined;
});

afterAll(async () => {
  if (scratch) await rm(scratch, { recursive: true, force: true });
});

test('the same inputs give the same bytes', async () => {
  const before = { iso: await sha256(image.iso), slot: await sha256(image.slot) };
  image = await buildImage({ variant: 'mini', home, cache, print, epoch: image.release.epoch, again: true });
  expect({ iso: await sha256(image.iso), slot: await sha256(image.slot) }).toEqual(before);
});

test('installs without questions under BIOS, starts again from the disk and commits', async () => {
  const installed = await install();
  expect(await readBootState(installed)).toMatchObject({ good: 'A', slots: { A: { ok: true, tries: 0 }, B: { ok: false } } });
});

/** A medium labelled CROFT-UPDATE with a bundle of a newer release. */
async function updateMedium(change?: (bundle: string) => Promise<void>): Promise<string> {
  const epoch = image.release.epoch + 60;
  const newer = await buildImage({ variant: 'mini', home, cache, print, epoch });
  const bundle = join(scratch, 'newer.update');
  await makeBundle(bundle, newer);
  await change?.(bundle);
  const path = join(scratch, 'update.iso');
  await run([
    'xorriso',
    '-as',
    'mkisofs',
    '-quiet',
    '-R',
    '-V',
    'CROFT-UPDATE',
    '-o',
    path,
    '-graft-points',
    `/newer.update=${bundle}`,
  ]);
  return path;
}

// One start for both: each costs minutes without KVM.
test('the same disk starts under Secure Boot with Microsoft’s keys, and refuses a damaged update', async () => {
  const disk = await installedCopy('secure.raw');
  const cd = await updateMedium((bundle) => damage(bundle, 50 * 2 ** 20));
  const box = await startMachine({ firmware: 'secure-boot', disk, cd }, 'secure-boot');
  expect(await choice(box)).toBe('A');
  await box.expect(/secureboot: Secure boot enabled/, patience.kernel);
  await box.expect(/croft-health: healthy/, patience.userspace);
  await box.expect(/croft-commit: slot A committed/, patience.step);
  const refused = /croft-update-from-medium: failed: .* is damaged: its image is not the signed one/;
  await box.expect(refused, patience.step, [/: failed: .*/]);
  await box.cut();
  expect(await readBootState(disk)).toMatchObject({ order: ['A', 'B'], good: 'A', slots: { B: { ok: false } } });
  expect(await slotBegins(disk, 'B')).toBe('empty');
});

test.each(['bios', 'secure-boot'] as const)('an update whose kernel panics falls back by itself (%s)', async (firmware) => {
  const disk = await installedCopy('panic.raw');
  await writeSlotB(disk, image.slot);
  await breakSlotB(disk, image.slot);
  await writeBootState(disk, stage(await readBootState(disk), 'B'));
  const box = await startMachine({ firmware, disk }, `panic-${firmware}`);
  expect(await choice(box)).toBe('B');
  await box.expect(/Kernel panic/, patience.kernel, [/Kernel panic/]);
  expect(await choice(box)).toBe('A');
});

test('an update that cannot be read falls back by itself', async () => {
  const disk = await installedCopy('zero.raw');
  await zeroSlotB(disk);
  await writeBootState(disk, stage(await readBootState(disk), 'B'));
  const box = await startMachine({ firmware: 'bios', disk }, 'zero');
  expect(await choice(box)).toBe('B');
  expect(await choice(box)).toBe('A');
});

test.each(['bios', 'secure-boot'] as const)('the medium starts where a disk holds an installation (%s)', async (firmware) => {
  const disk = await installedCopy('begun.raw');
  await unfinish(disk);
  const box = await startMachine({ firmware, disk, cd: medium }, `begun-${firmware}`);
  await box.expect(/Linux version.*|croft-boot: .*/, patience.kernel);
  await box.expect(/Command line: .* croft\.install/, patience.step);
});

test('a power cut in mid-installation: it starts the old or installs again', async () => {
  const seed = Number(process.env.CROFT_SEED ?? Date.now() % 100_000);
  // Every step that writes to the disk, and up to two seconds into it.
  const step = 5 + (seed % (steps - 5));
  const wait = Math.floor(seed / 9) % 2000;
  print(`power cut: CROFT_SEED=${seed}, ${wait} ms into step ${step} of ${steps}`);
  const disk = join(scratch, 'cut.raw');
  await makeDisk(disk, diskSize);
  const cut = await startMachine({ firmware: 'bios', disk, cd: medium }, 'cut-1');
  await cut.expect(new RegExp(`\\[${step}/${steps}\\]`), patience.userspace);
  await new Promise((resolve) => setTimeout(resolve, wait));
  await cut.cut();
  const box = await startMachine({ firmware: 'bios', disk, cd: medium }, 'cut-2');
  const [, slot] = await box.expect(/croft-boot: slot=([AB]) |croft-install: Croft/, patience.userspace);
  print(slot ? 'the installation was finished' : 'the medium started again');
  if (!slot) {
    await box.expect(new RegExp(`\\[${steps}/${steps}\\] Done`), patience.step);
    expect(await choice(box)).toBe('A');
    return; // From here on it is any installation.
  }
  await committed(box);
});

test('a disk with data is refused unless named, and stays as it was', async () => {
  const disk = join(scratch, 'data.raw');
  await makeDisk(disk, diskSize);
  await run(['mkfs.ext4', '-q', '-L', 'precious', disk]);
  const before = await sha256(disk);
  const box = await startMachine({ firmware: 'bios', disk, cd: medium, serial: 'WD-1234' }, 'refused');
  const [, reason] = await box.expect(/croft-install: failed: (.*)/, patience.userspace);
  expect(reason).toContain(
    '/dev/vda (serial WD-1234) is not empty: ext4. To erase it, name it in the answers: systemDisk: {serial: WD-1234}.',
  );
  await box.cut();
  expect(await sha256(disk)).toBe(before);
});

test('an update from a medium is taken, started and confirmed', async () => {
  const disk = await installedCopy('update.raw');
  const box = await startMachine({ firmware: 'bios', disk, cd: await updateMedium() }, 'update');
  expect(await choice(box)).toBe('A');
  await committed(box);
  await box.expect(/croft-update: Croft .* is in slot B; restarting/, patience.step);
  expect(await choice(box, patience.step)).toBe('B');
  await committed(box, 'B');
  await box.expect(/croft-update: newer\.update: this release runs already/, patience.step);
  print(`updated after ${box.age.toFixed(0)} s`);
  await box.cut();
  expect(await readBootState(disk)).toMatchObject({
    order: ['B', 'A'],
    good: 'B',
    slots: { A: { ok: true }, B: { ok: true, tries: 0 } },
  });
});

test('an installation asked for at the serial console: wrong answers, back, and through', async () => {
  const disk = join(scratch, 'asked.raw');
  await makeDisk(disk, diskSize);
  const asking = join(scratch, 'asking.iso');
  await copyFile(image.iso, asking);
  await customizeIso(asking, { entry: 'ask', timeout: 0 });
  const box = await startMachine({ firmware: 'bios', disk, cd: asking, serial: 'WD-77' }, 'asked');
  const answer = async (question: RegExp, text: string): Promise<void> => {
    await box.expect(question, patience.userspace);
    box.type(`${text}\r`);
  };
  await answer(/Begin\? \[yes\]: /, '');
  await answer(/1 {2}\/dev\/vda, .*serial WD-77, empty/, '7');
  await box.expect(/A number from 1 to 1\./, patience.step);
  await answer(/Number of the disk \[1\]: /, '');
  await answer(/Name \[croft1\]: /, 'Bad Name');
  await box.expect(/The name must be one DNS label/, patience.step);
  await answer(/Name \[croft1\]: /, 'asked');
  await answer(/User name \[admin\]: /, '<');
  await answer(/Name \[asked\]: /, '');
  await answer(/User name \[admin\]: /, 'ada');
  await answer(/Password: /, 'short');
  await box.expect(/5 characters; it must be at least 10/, patience.step);
  await answer(/Password: /, 'correct horse battery');
  await answer(/Type erase to begin: /, 'no');
  await answer(/Type erase to begin: /, 'erase');
  await box.expect(new RegExp(`\\[${steps}/${steps}\\] Done`), patience.userspace);
  expect(await choice(box)).toBe('A');
  await box.expect(/systemd\.hostname=asked/, patience.kernel);
  expect(box.transcript).not.toContain('correct horse');
});
