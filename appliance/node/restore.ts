/**
 * Restoring a backup. The new store and keys are made whole and durable in `restore.new/`; one rename to `restore.ready/`
 * is the moment from which this is the new box. What is left, putting the files where they belong, may be repeated:
 * whoever opens the box next (a start, another restore) finishes it first. So a crash leaves the old or the new box.
 *
 * What was there before is kept in `backup/replaced-<time>/`, whole, with the key that opens it.
 */
import { chmod, mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../config.ts';
import { CroftError } from '../errors.ts';
import { syncDirectory } from '../host/files.ts';
import { runningGuests, runningService } from '../install/running.ts';
import { secret } from '../resources/core-kinds.ts';
import { image, network, storagePool, token, user } from '../resources/croft-kinds.ts';
import { dataVolume, persistentVolumeClaim } from '../resources/data-volume.ts';
import type { Kind } from '../resources/kind.ts';
import { virtualMachineSnapshot } from '../resources/snapshot.ts';
import { virtualMachine } from '../resources/virtual-machine.ts';
import { importObjects } from '../store/import.ts';
import { openSqliteStore } from '../store/sqlite.ts';
import { openBackup } from './backup-file.ts';
import { parseBackup, type BackupContent, type BackupFacts } from './backup.ts';

/** What a restore replaces, in the data directory; the files beside a database are moved away with it. */
const parts = [
  { name: 'store.db', beside: ['store.db-wal', 'store.db-shm'] },
  { name: 'box.db', beside: ['box.db-wal', 'box.db-shm'] },
  { name: 'keys', beside: [] },
] as const;

const staged = (data: string): string => join(data, 'restore.new');
const ready = (data: string): string => join(data, 'restore.ready');

export const forceWords = 'replace this box';

/** Called after each step on the disk; for tests that cut a restore off. */
export type Step = (name: string) => void;

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

async function moveIfThere(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/** What a start makes by itself isn't anybody's work. */
const own: readonly { kind: Kind; but: readonly string[] }[] = [
  { kind: virtualMachine, but: [] },
  { kind: dataVolume, but: [] },
  { kind: persistentVolumeClaim, but: [] },
  { kind: virtualMachineSnapshot, but: [] },
  { kind: user, but: [] },
  { kind: token, but: [] },
  { kind: secret, but: [] },
  { kind: network, but: ['default'] },
  { kind: image, but: ['tiny'] },
  { kind: storagePool, but: ['local'] },
];

/** What people made on the box, in words: `2 VirtualMachine, 1 User`. Empty for a fresh one. */
async function contentOf(data: string): Promise<string> {
  const path = join(data, 'store.db');
  if (!(await exists(path))) return '';
  const store = openSqliteStore({ path });
  try {
    const counts: string[] = [];
    for (const { kind, but } of own) {
      const { items } = await store.list(kind);
      const count = items.filter(({ metadata }) => !but.includes(metadata.name)).length;
      if (count > 0) counts.push(`${count} ${kind.kind}`);
    }
    return counts.join(', ');
  } finally {
    await store.close();
  }
}

/** Guests run under user ids that only the old box knows; the new one would give them away again. */
async function refuseRunning(run: string): Promise<void> {
  const service = await runningService(run);
  if (service) throw new CroftError('in-use', `The service runs (pid ${service.pid}); stop it before a restore.`);
  const guests = await runningGuests(run);
  if (guests.length === 0) return;
  throw new CroftError(
    'in-use',
    `${guests.length} guests run (${guests.map(({ label }) => label).join(', ')}); stop them first.`,
    {
      fix: ['Start the service, then: croft vm stop --all'],
    },
  );
}

async function syncFile(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

export type RestoreOptions = { file: Buffer; passphrase: string /** Exactly `forceWords`. */; force?: string };

/**
 * Replaces the box of these directories by a backup. Neither service nor guests may run.
 * @returns what the backup was, and where the replaced box is kept if there was one
 * @throws CroftError `invalid-input` (passphrase, file), `in-use` (service or guests run), `invalid-state` (not empty)
 */
export async function restoreBackup(
  { data, run }: Pick<Config, 'data' | 'run'>,
  { file, passphrase, force }: RestoreOptions,
): Promise<{ facts: BackupFacts; replaced: string | undefined }> {
  const { facts, objects, files } = parseBackup(String(await openBackup(file, passphrase)));
  await refuseRunning(run);
  await mkdir(data, { recursive: true, mode: 0o711 });
  await finishRestore(data);
  const content = await contentOf(data);
  if (content !== '' && force !== forceWords) {
    throw new CroftError('invalid-state', `${data} is not empty: it has ${content}. A restore replaces all of it.`, {
      fix: [`To replace it, say so: --force '${forceWords}'. What is there now is kept in ${join(data, 'backup')}.`],
    });
  }
  return { facts, replaced: await replaceBox(data, { objects, files }) };
}

/** @returns where the replaced box is kept, if there was one */
export async function replaceBox(
  data: string,
  { objects, files }: Pick<BackupContent, 'objects' | 'files'>,
  step: Step = () => undefined,
): Promise<string | undefined> {
  const place = staged(data);
  await rm(place, { recursive: true, force: true });
  await mkdir(join(place, 'keys'), { recursive: true, mode: 0o700 });
  await chmod(join(place, 'keys'), 0o711);
  for (const { name, mode, content } of files) {
    const path = join(place, 'keys', name);
    await writeFile(path, content, { mode: mode & 0o700 });
    await syncFile(path);
  }
  importObjects(join(place, 'store.db'), join(place, 'keys', 'store.key'), objects);
  await writeFile(join(place, 'replaced'), `replaced-${new Date().toISOString().replaceAll(/[:.]/g, '-')}\n`);
  await syncFile(join(place, 'replaced'));
  for (const directory of [join(place, 'keys'), place]) await syncDirectory(directory);
  step('staged');
  await rename(place, ready(data));
  await syncDirectory(data);
  step('ready');
  return await finishRestore(data, step);
}

/**
 * Brings a restore that was cut off to its end: undone before its moment, completed after it. To be called before the
 * box's store is opened. @returns where the old box is kept, when one was replaced
 */
export async function finishRestore(data: string, step: Step = () => undefined): Promise<string | undefined> {
  await rm(staged(data), { recursive: true, force: true });
  const from = ready(data);
  if (!(await exists(from))) return undefined;
  const replaced = join(data, 'backup', (await readFile(join(from, 'replaced'), 'utf8')).trim());
  await mkdir(replaced, { recursive: true, mode: 0o700 });
  for (const { name, beside } of parts) {
    const incoming = join(from, name);
    // box.db isn't in a backup: the new box begins without one, and what is there now is the old one's.
    if (name !== 'box.db' && !(await exists(incoming))) continue;
    for (const one of [...beside, name]) {
      await moveIfThere(join(data, one), join(replaced, one));
      step(`${one} away`);
    }
    await moveIfThere(incoming, join(data, name));
    await syncDirectory(data);
    step(`${name} in`);
  }
  await rm(from, { recursive: true });
  await syncDirectory(data);
  step('done');
  if ((await readdir(replaced)).length > 0) return replaced;
  await rm(replaced, { recursive: true });
  return undefined;
}
