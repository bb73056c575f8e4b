/**
 * What of Croft runs on this machine right now, read from the records it leaves in its run directory: the
 * service (`service.json`), guests (`vms/<id>/launch.json`), daemons (`<name>.json` of host/daemon.ts).
 * All three name a process by pid and start time: a pid alone is reused.
 */
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { writeFileAtomic } from '../host/files.ts';
import { isAlive, type ProcessIdentity, readArgv, readProcess } from '../host/process-info.ts';

export type RunningProcess = ProcessIdentity & {
  /** The record's file. */ record: string /** What it is, for people. */;
  label: string;
};

const serviceFile = (runDir: string): string => join(runDir, 'service.json');

/** Reads a record as a process; undefined when it isn't one, or the process is gone. */
async function readRecord(record: string, label: string): Promise<RunningProcess | undefined> {
  let content: unknown;
  try {
    content = JSON.parse(await readFile(record, 'utf8'));
  } catch {
    // Gone meanwhile, or not one of our records: nothing that runs is named in it.
    return undefined;
  }
  const { pid, startTime } = (content ?? {}) as Partial<ProcessIdentity>;
  if (typeof pid !== 'number' || typeof startTime !== 'number' || pid <= 1) return undefined;
  return (await isAlive({ pid, startTime })) ? { pid, startTime, record, label } : undefined;
}

const entriesOf = async (directory: string): Promise<string[]> => {
  try {
    return (await readdir(directory)).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
};

const present = <T>(items: (T | undefined)[]): T[] => items.filter((item) => item !== undefined);

/** Notes that this process is the service of `runDir`, for uninstall and a second `npm start` to find it. */
export async function recordService(runDir: string): Promise<void> {
  const self = await readProcess(process.pid);
  await writeFileAtomic(serviceFile(runDir), `${JSON.stringify({ pid: process.pid, startTime: self?.startTime ?? 0 })}\n`);
}

export const forgetService = (runDir: string): Promise<void> => rm(serviceFile(runDir), { force: true });

/** The service that runs with this run directory. */
export const runningService = (runDir: string): Promise<RunningProcess | undefined> => readRecord(serviceFile(runDir), 'service');

/** Guests that run, labelled by their VM's name where QEMU was told it (-name), else by id. */
export async function runningGuests(runDir: string): Promise<RunningProcess[]> {
  const directory = join(runDir, 'vms');
  const ids = await entriesOf(directory);
  const guests = present(await Promise.all(ids.map((id) => readRecord(join(directory, id, 'launch.json'), id))));
  return Promise.all(
    guests.map(async (guest) => {
      const argv = await readArgv(guest.pid);
      const name = argv[argv.indexOf('-name') + 1]?.split(',')[0]?.replace(/^guest=/, '');
      return argv.includes('-name') && name ? { ...guest, label: name } : guest;
    }),
  );
}

/** Daemons Croft started (Open vSwitch, dnsmasq, …), wherever under the run directory their records are. */
export async function runningDaemons(runDir: string): Promise<RunningProcess[]> {
  const records: string[] = [];
  const visit = async (directory: string, depth: number): Promise<void> => {
    for (const entry of await readdir(directory, { withFileTypes: true }).catch(() => [])) {
      const path = join(directory, entry.name);
      if (entry.isDirectory() && depth > 0 && path !== join(runDir, 'vms')) await visit(path, depth - 1);
      else if (entry.name.endsWith('.json') && path !== serviceFile(runDir)) records.push(path);
    }
  };
  await visit(runDir, 3);
  const label = (path: string): string => path.slice(path.lastIndexOf('/') + 1, -'.json'.length);
  return present(await Promise.all(records.map((path) => readRecord(path, label(path)))));
}

/**
 * Ends processes: SIGTERM, then SIGKILL after `grace` ms. The identity is looked at again before each signal.
 * @returns those that are still there, i.e. stuck in the kernel (state D)
 */
export async function endProcesses(processes: readonly RunningProcess[], grace: number): Promise<RunningProcess[]> {
  let left = [...processes];
  for (const [signal, wait] of [
    ['SIGTERM', grace],
    ['SIGKILL', 5_000],
  ] as const) {
    for (const one of left) await signalOne(one, signal);
    const deadline = Date.now() + wait;
    do {
      const alive = await Promise.all(left.map((one) => isAlive(one)));
      left = left.filter((_, index) => alive[index]);
      if (left.length > 0) await delay(50);
    } while (left.length > 0 && Date.now() < deadline);
    if (left.length === 0) break;
  }
  return left;
}

async function signalOne(one: RunningProcess, signal: NodeJS.Signals): Promise<void> {
  if (!(await isAlive(one))) return;
  try {
    process.kill(one.pid, signal);
  } catch (error) {
    // Ended between the look and the signal.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
