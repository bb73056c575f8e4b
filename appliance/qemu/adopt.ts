/** Finding the guests that outlived us. /proc and launch.json say which process is whose; QMP says the rest. */
import { basename } from 'node:path';
import { messageOf } from '../errors.ts';
import type { Logger } from '../host/logger.ts';
import { bootId, isAlive, listPids, readArgv } from '../host/process-info.ts';
import type { Adoption } from '../vm/hypervisor.ts';
import { Cgroups } from './cgroup.ts';
import { readRecordedExit } from './exit-record.ts';
import { QemuGuest } from './guest.ts';
import { waitGone } from './process.ts';
import { listRunDirs, readLaunchRecord, runDirOf, type LaunchRecord } from './run-dir.ts';

const connectTimeout = 5_000;

export type QemuProcess = { pid: number; uuid: string };

/** A guest of a box whose run directories are in `vms`, by its argv alone; `-uuid` is what identifies it. */
export function guestOfArgv(argv: readonly string[], vms: string): string | undefined {
  // `sh -c … sh qemu-system-x86_64 …` is one that is still held.
  if (!argv.some((word) => basename(word).startsWith('qemu-system-'))) return undefined;
  const uuid = argv[argv.indexOf('-uuid') + 1];
  return argv.includes('-uuid') && argv.some((word) => word.includes(`path=${vms}/${uuid}/`)) ? uuid : undefined;
}

/** All processes that are, or are about to be, a guest of this box. */
export async function findQemus(vms: string): Promise<QemuProcess[]> {
  const found = await Promise.all(
    (await listPids()).map(async (pid) => {
      const uuid = guestOfArgv(await readArgv(pid), vms);
      return uuid === undefined ? [] : [{ pid, uuid }];
    }),
  );
  return found.flat();
}

type Found = { guest: QemuGuest } | { ended: Adoption['ended'][number] };

/** Adopts every recorded guest at once; a silent one is returned too (`unresponsive`), never killed. */
export async function adoptGuests(
  vms: string,
  logger: Logger,
  cgroups = new Cgroups(logger),
): Promise<Adoption & { guests: QemuGuest[] }> {
  const boot = await bootId();
  const ids = await listRunDirs(vms);
  const found = await Promise.all(
    ids.map(async (id) => {
      const record = await readLaunchRecord(runDirOf(vms, id));
      return record?.id === id ? [await adoptOne(vms, record, boot, logger, cgroups)] : [];
    }),
  );
  const all: Found[] = found.flat();
  const guests = all.flatMap((one) => ('guest' in one ? [one.guest] : []));
  const known = new Set(guests.map(({ pid }) => pid));
  return {
    guests,
    ended: all.flatMap((one) => ('ended' in one ? [one.ended] : [])),
    unknown: (await findQemus(vms)).filter(({ pid }) => !known.has(pid)),
  };
}

async function adoptOne(vms: string, record: LaunchRecord, boot: string, logger: Logger, cgroups: Cgroups): Promise<Found> {
  const { id, epoch } = record;
  const dir = runDirOf(vms, id);
  if (record.bootId !== boot) return { ended: { id, epoch, exit: (await readRecordedExit(dir)) ?? 'node-rebooted' } };
  if (!(await isOurs(record, vms)))
    return {
      ended: { id, epoch, exit: (await readRecordedExit(dir)) ?? ((await cgroups.wasOomKilled(id)) ? 'oom-killed' : 'crashed') },
    };
  const guest = new QemuGuest(record, dir, logger, cgroups);
  await guest.adopt(connectTimeout);
  const state = await guest.state();
  if (state !== 'shutdown' && state !== 'panicked') return { guest };
  try {
    await guest.kill();
    return { ended: { id, epoch, exit: state } };
  } catch (error) {
    logger.error({ vm: id, error: messageOf(error) }, 'a guest that has ended leaves its QEMU behind');
    return { guest };
  }
}

/** The recorded process lives, and is QEMU with this id. One that was still held when we died ends by itself. */
async function isOurs(record: LaunchRecord, vms: string): Promise<boolean> {
  if (!(await isAlive(record))) return false;
  const argv = await readArgv(record.pid);
  if (guestOfArgv(argv, vms) !== record.id) return false;
  if (basename(argv[0] ?? '').startsWith('qemu-system-')) return true;
  if (await waitGone(record, 2_000)) return false;
  return isAlive(record);
}
