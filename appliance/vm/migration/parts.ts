/** What both sides of a migration are given on their box, and where they keep what only this box may know. */
import { chmod, mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '../../host/files.ts';
import type { VmContext } from '../context.ts';
import type { KeyPair } from './qemu-side.ts';

export type MigrationParts = {
  context: VmContext;
  /** Where this box takes guests: its address in the migration network. */
  address: string;
  /** A key and a self-signed certificate made out to `name`. */
  certify: (name: string) => KeyPair;
  /** Other boxes that may take a guest now, the best first. */
  targets: () => Promise<string[]>;
  /** Whether all boxes reach the pool. */
  isShared: (pool: string) => Promise<boolean>;
  /** Whether a box is shut out of the disks (HA's fence, confirmed). */
  isFenced: (box: string) => Promise<boolean>;
};

export type Side = 'source' | 'target';

const base = ({ context }: MigrationParts, vmId: string, side: Side): string =>
  join(context.seedDirectory, `migration-${vmId}-${side}`);

/** Directory of a side's TLS files: its QEMU's own. */
export const tlsDirectory = (parts: MigrationParts, vmId: string, side: Side): string => base(parts, vmId, side);

/** A side's key for one migration: made once, kept over a restart of the service. */
export async function keyFor(parts: MigrationParts, vmId: string, side: Side, uid: string): Promise<KeyPair> {
  const path = `${base(parts, vmId, side)}.json`;
  const text = await readFile(path, 'utf8').catch(() => undefined); // None yet, or unreadable: another is as good.
  const known = text === undefined ? undefined : (JSON.parse(text) as KeyPair & { uid: string });
  if (known?.uid === uid) return known;
  const made = parts.certify(parts.context.nodeName);
  await mkdir(parts.context.seedDirectory, { recursive: true, mode: 0o711 });
  await writeFileAtomic(path, JSON.stringify({ ...made, uid }), 0o600);
  await chmod(path, 0o600);
  return made;
}

export async function forgetKeys(parts: MigrationParts, vmId: string, side: Side): Promise<void> {
  await rm(`${base(parts, vmId, side)}.json`, { force: true });
  await rm(base(parts, vmId, side), { recursive: true, force: true });
}

/** Noted before a guest that came is let run: from then on its disks are its own, whatever becomes of it. */
const ranKey = (uid: string): string => `migration/${uid}/ran`;
export const mayHaveRun = ({ context }: MigrationParts, uid: string): boolean => context.journal.get(ranKey(uid)) !== undefined;
export const noteRun = ({ context }: MigrationParts, uid: string): void => context.journal.put(ranKey(uid), 'yes');
export const forgetRun = ({ context }: MigrationParts, uid: string): void => context.journal.delete(ranKey(uid));
