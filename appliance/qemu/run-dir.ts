/**
 * The run directory of one guest, `<run>/vms/<id>/`. The directory and the records in it are ours: QEMU, whose
 * guest may be hostile, can neither forge launch.json nor put a symbolic link where we write a log. Only `io/`
 * belongs to the guest's uid (mode 0700): QEMU makes its sockets there, and before we connect to one we look
 * that it is a socket of that uid.
 */
import { chown, lstat, mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CroftError } from '../errors.ts';
import { writeFileAtomic } from '../host/files.ts';
import type { ProcessIdentity } from '../host/process-info.ts';
import { maxSocketPath } from '../config.ts';

export type RunDir = ReturnType<typeof runDirOf>;

export const runDirOf = (vms: string, id: string) => {
  const path = join(vms, id);
  return {
    path,
    launchFile: join(path, 'launch.json'),
    log: join(path, 'qemu.log'),
    serialLog: join(path, 'serial.log'),
    /** How the guest ended, written before its QEMU is told to quit. */
    exitFile: join(path, 'exit.json'),
    io: join(path, 'io'),
    /** The service's QMP monitor: one client. */
    control: join(path, 'io', 'control.sock'),
    /** A second monitor for people, when the service is not there. */
    rescue: join(path, 'io', 'rescue.sock'),
    agent: join(path, 'io', 'agent.sock'),
    serial: join(path, 'io', 'serial.sock'),
    vnc: join(path, 'io', 'vnc.sock'),
  };
};

/** What is known of a started QEMU; written while the process is still held before exec. */
export type LaunchRecord = ProcessIdentity & {
  id: string;
  title: string;
  epoch: number;
  bootId: string;
  argv: string[];
  machine: string;
  accelerator: 'kvm' | 'tcg';
  /** The guest is to stay stopped until told to run. */
  paused: boolean;
  uid?: number;
  /** ISO 8601. */
  startedAt: string;
};

/** @throws CroftError `invalid-input` when sockets in `vms` would have too long paths */
export function checkSocketPaths(vms: string): void {
  const longest = runDirOf(vms, '00000000-0000-7000-8000-000000000000').control;
  if (Buffer.byteLength(longest) > maxSocketPath) {
    throw new CroftError(
      'invalid-input',
      `CROFT_RUN: sockets in ${vms} would have paths over ${maxSocketPath} bytes. Choose a shorter directory.`,
    );
  }
}

/** Makes the directory anew: nothing of an earlier guest of this id stays. */
export async function makeRunDir(dir: RunDir, owner: { uid: number; gid: number } | undefined): Promise<void> {
  await rm(dir.path, { recursive: true, force: true });
  await mkdir(dir.path, { recursive: true, mode: 0o711 });
  await mkdir(dir.io, { mode: 0o700 });
  if (owner) await chown(dir.io, owner.uid, owner.gid);
}

export const writeLaunchRecord = (dir: RunDir, record: LaunchRecord): Promise<void> =>
  writeFileAtomic(dir.launchFile, `${JSON.stringify(record, undefined, 2)}\n`);

/** Undefined where there is none, or only one that cannot be read: then nothing is known. */
export async function readLaunchRecord(dir: RunDir): Promise<LaunchRecord | undefined> {
  try {
    return JSON.parse(await readFile(dir.launchFile, 'utf8')) as LaunchRecord;
  } catch {
    return undefined;
  }
}

/** Ids that have a run directory. */
export async function listRunDirs(vms: string): Promise<string[]> {
  try {
    return await readdir(vms);
  } catch {
    return []; // No guest was ever started here.
  }
}

/** @throws CroftError `unavailable` when `path` isn't a socket of the guest's own uid */
export async function checkSocket(path: string, uid: number | undefined): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (!found?.isSocket() || (uid !== undefined && found.uid !== uid)) {
    throw new CroftError('unavailable', 'The guest has no such channel, or QEMU has not opened it yet.');
  }
}
