/** Counters of the box itself, from /proc and /sys. Pure parsers, one reader. */
import { readFile, readdir } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { ticksPerSecond } from '../host/process-info.ts';

export type HostCounters = {
  /** Seconds that CPUs were busy, all together. */
  cpuSeconds: number;
  /** Bytes in use: all but what could be given out at once. */
  memoryUsed: number;
  disks: { readBytes: number; writeBytes: number; reads: number; writes: number; seconds: number };
  network: { received: number; transmitted: number };
};

/** /proc/diskstats counts in these, whatever the disk's own sectors are (kernel, Documentation/admin-guide/iostats.rst). */
const sector = 512;

/** Busy seconds from /proc/stat: user, nice, system, irq, softirq, steal; guests' time is in user already. Pure. */
export function parseBusySeconds(stat: string): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = (/^cpu +(.*)$/m.exec(stat)?.[1] ?? '')
    .split(' ')
    .map(Number);
  return (user + nice + system + irq + softirq + steal) / ticksPerSecond;
}

/** Bytes that new programs could have, from /proc/meminfo. Pure. */
export const parseAvailable = (meminfo: string): number => Number(/^MemAvailable:\s+(\d+) kB$/m.exec(meminfo)?.[1] ?? 0) * 1024;

/** The named whole disks' counters together, from /proc/diskstats. Pure. */
export function parseDisks(diskstats: string, whole: ReadonlySet<string>): HostCounters['disks'] {
  const sum = { readBytes: 0, writeBytes: 0, reads: 0, writes: 0, seconds: 0 };
  for (const line of diskstats.split('\n')) {
    const fields = line.trim().split(/ +/);
    if (!whole.has(fields[2] ?? '')) continue;
    const at = (index: number): number => Number(fields[index] ?? 0);
    sum.reads += at(3);
    sum.readBytes += at(5) * sector;
    sum.writes += at(7);
    sum.writeBytes += at(9) * sector;
    sum.seconds += (at(6) + at(10)) / 1_000;
  }
  return sum;
}

/** The named NICs' bytes together, from /proc/net/dev. Pure. */
export function parseNetwork(dev: string, nics: ReadonlySet<string>): HostCounters['network'] {
  const sum = { received: 0, transmitted: 0 };
  for (const line of dev.split('\n')) {
    const [name = '', rest = ''] = line.split(':');
    if (!nics.has(name.trim())) continue;
    const fields = rest.trim().split(/ +/).map(Number);
    sum.received += fields[0] ?? 0;
    sum.transmitted += fields[8] ?? 0;
  }
  return sum;
}

/** Disks and NICs that are hardware have a `device`; partitions, loops, taps and bridges don't. */
async function hardware(directory: string): Promise<Set<string>> {
  const names = await readdir(directory).catch(() => []);
  const checked = await Promise.all(
    names.map(async (name) => ((await readdir(`${directory}/${name}/device`).catch(() => undefined)) ? name : undefined)),
  );
  return new Set(checked.filter((name) => name !== undefined));
}

export async function readHost(): Promise<HostCounters> {
  const read = (path: string) => readFile(path, 'utf8');
  const [stat, meminfo, diskstats, dev, disks, nics] = await Promise.all([
    read('/proc/stat'),
    read('/proc/meminfo'),
    read('/proc/diskstats'),
    read('/proc/net/dev'),
    hardware('/sys/block'),
    hardware('/sys/class/net'),
  ]);
  return {
    cpuSeconds: parseBusySeconds(stat),
    memoryUsed: Math.max(0, totalmem() - parseAvailable(meminfo)),
    disks: parseDisks(diskstats, disks),
    network: parseNetwork(dev, nics),
  };
}
