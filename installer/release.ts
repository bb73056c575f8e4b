/** What a release says about itself (`/croft/release` on the medium and in every slot), and the check of its files. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import { CroftError, messageOf } from '../appliance/errors.ts';
import { run } from '../appliance/host/exec.ts';

export const releaseSchema = Type.Object({
  name: Type.Literal('croft'),
  version: Type.String(),
  variant: Type.Union([Type.Literal('mini'), Type.Literal('full')]),
  /** Seconds since 1970: the newest input. */
  epoch: Type.Integer(),
  /** Bytes of one system slot. */
  slotSize: Type.Integer({ minimum: 1 }),
  /** The smallest system disk in bytes. */
  minimumDisk: Type.Integer({ minimum: 1 }),
  /** The least memory in bytes. */
  minimumMemory: Type.Integer({ minimum: 1 }),
});
export type Release = Static<typeof releaseSchema>;

/** What a release consists of, relative to the medium or slot. */
export const releaseFiles = ['live/vmlinuz', 'live/initrd.img', 'live/filesystem.squashfs'] as const;

/** Reads the release of a mounted medium or slot. @throws CroftError `invalid-state` */
export async function readRelease(mountPoint: string): Promise<Release> {
  const path = join(mountPoint, 'croft/release');
  try {
    return Value.Parse(releaseSchema, JSON.parse(await readFile(path, 'utf8')));
  } catch (cause) {
    throw new CroftError('invalid-state', `${path} does not describe a Croft release: ${messageOf(cause)}`, { cause });
  }
}

/** Compares every file of a mounted release with its checksum. @throws CroftError `checksum-mismatch` */
export async function verifyRelease(mountPoint: string): Promise<void> {
  try {
    await run(['sha256sum', '--check', '--strict', '--quiet', 'croft/sha256'], { cwd: mountPoint, timeout: 20 * 60_000 });
  } catch (cause) {
    throw new CroftError('checksum-mismatch', `The release on ${mountPoint} is damaged: ${messageOf(cause)}`, { cause });
  }
}
