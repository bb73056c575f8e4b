/** What Linux says about a process: enough to know that a pid is still the process we started. */
import { readFile, readdir } from 'node:fs/promises';

/** Identity of a process: a pid alone is reused, pid + start time + boot id is not. */
export type ProcessIdentity = { pid: number /** clock ticks since boot, field 22 of proc(5) stat */; startTime: number };

/** USER_HZ: the unit of times in /proc, 100 a second on every Linux that runs here (proc(5), clock ticks). */
export const ticksPerSecond = 100;

/** What follows the name in a process's or thread's `stat`, field 3 (the state) at index 0 (proc(5)). Pure. */
export const statFields = (stat: string): string[] =>
  // The command name may hold spaces and brackets: fields are counted after its last bracket.
  stat.slice(stat.lastIndexOf(')') + 2).split(' ');

/** Reads a process's start time and state letter (R, S, D, Z, …); undefined when it is gone. */
export async function readProcess(pid: number): Promise<(ProcessIdentity & { state: string }) | undefined> {
  try {
    const fields = statFields(await readFile(`/proc/${pid}/stat`, 'utf8'));
    return { pid, state: fields[0] ?? '?', startTime: Number(fields[19]) };
  } catch {
    return undefined;
  }
}

/** The argv of a process; empty when it is gone or a kernel thread. */
export async function readArgv(pid: number): Promise<string[]> {
  try {
    return (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0').slice(0, -1);
  } catch {
    return [];
  }
}

/** True while this very process (not another with its pid) exists and isn't a zombie. */
export async function isAlive(identity: ProcessIdentity): Promise<boolean> {
  const found = await readProcess(identity.pid);
  return found !== undefined && found.startTime === identity.startTime && found.state !== 'Z';
}

/** All pids at this moment. */
export async function listPids(): Promise<number[]> {
  return (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
}

/** This boot of the machine; changes with every reboot. */
export const bootId = async (): Promise<string> => (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
