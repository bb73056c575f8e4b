/**
 * What a box backup holds: one JSON document per line, independent of how the store keeps it. First what the backup is,
 * then every object (Secrets readable: the file as a whole is encrypted), then the files of `keys/`, i.e. certificates.
 *
 * Left out: disks and images, the key of the store (a restored box gets a new one), instances and nodes (they say what ran
 * where), and what box.db keeps of this machine: sessions, tasks, events, the audit log.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CroftError } from '../errors.ts';
import { node } from '../resources/croft-kinds.ts';
import type { Kind } from '../resources/kind.ts';
import type { Resource } from '../resources/meta.ts';
import { kinds } from '../resources/registry.ts';
import { virtualMachineInstance } from '../resources/virtual-machine.ts';
import type { ResourceStore } from '../store/store.ts';
import { sealBackup } from './backup-file.ts';

export type BackupFacts = { createdAt: string; croft: string; objects: number; files: number };
export type KeyFile = { name: string; mode: number; content: Buffer };
export type BackupContent = { facts: BackupFacts; objects: Resource[]; files: KeyFile[] };

/** Of this machine and this moment. */
const leftOut: readonly Kind[] = [virtualMachineInstance, node];
const kept = (kinds as readonly Kind[]).filter((kind) => !leftOut.includes(kind));

/** The store's own key never leaves the box. */
const ownKeys = /^store\.key/;

async function keyFiles(directory: string): Promise<KeyFile[]> {
  const files: KeyFile[] = [];
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (!entry.isFile() || ownKeys.test(entry.name) || entry.name.endsWith('.tmp')) continue;
    const path = join(directory, entry.name);
    files.push({ name: entry.name, mode: (await stat(path)).mode & 0o777, content: await readFile(path) });
  }
  return files;
}

/** A whole backup, encrypted. `keys` is the box's directory of key files. @throws CroftError `invalid-input` */
export async function makeBackup(
  store: ResourceStore,
  { keys, version, passphrase }: { keys: string; version: string; passphrase: string },
): Promise<{ file: Buffer; facts: BackupFacts }> {
  // All at once: no write comes between the kinds of a store that answers from its own file.
  const lists = await Promise.all(kept.map((kind) => store.list(kind, { consistent: true })));
  const objects = lists.flatMap(({ items }) => items as Resource[]);
  const files = await keyFiles(keys);
  const facts: BackupFacts = {
    createdAt: new Date().toISOString(),
    croft: version,
    objects: objects.length,
    files: files.length,
  };
  const lines = [
    { backup: facts },
    ...objects.map((object) => ({ object })),
    ...files.map(({ name, mode, content }) => ({ file: { name, mode, content: content.toString('base64') } })),
  ];
  const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
  return { file: await sealBackup(text, passphrase), facts };
}

type Line = { backup?: BackupFacts; object?: Resource; file?: { name: string; mode: number; content: string } };

/** The content of an opened backup. @throws CroftError `invalid-input` for kinds this Croft doesn't know */
export function parseBackup(text: string): BackupContent {
  const lines = text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line);
  const facts = lines[0]?.backup;
  const objects = lines.flatMap(({ object }) => (object ? [object] : []));
  const files = lines.flatMap(({ file }) => (file ? [{ ...file, content: Buffer.from(file.content, 'base64') }] : []));
  if (!facts || facts.objects !== objects.length || facts.files !== files.length) {
    throw new CroftError('invalid-input', 'The backup is not complete: it holds less than it says of itself.');
  }
  const known = new Set((kinds as readonly Kind[]).map(({ apiVersion, kind }) => `${apiVersion}/${kind}`));
  const unknown = new Set(objects.map(({ apiVersion, kind }) => `${apiVersion}/${kind}`).filter((kind) => !known.has(kind)));
  if (unknown.size > 0) {
    throw new CroftError(
      'invalid-input',
      `The backup was made by Croft ${facts.croft} and holds ${[...unknown].join(', ')}, which this one does not know. Use that version.`,
    );
  }
  const odd = files.find(({ name }) => !/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name) || ownKeys.test(name));
  if (odd) throw new CroftError('invalid-input', `The backup holds a key file of the name ${JSON.stringify(odd.name)}.`);
  return { facts, objects, files };
}
