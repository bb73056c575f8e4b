/**
 * What a running QEMU has used: its process in /proc, its block devices' counters by query-blockstats, and the
 * memory statistics of its guest's balloon driver (QEMU's docs/virtio-balloon-stats.txt). Read when asked only.
 */
import { readFile } from 'node:fs/promises';
import { CroftError, isCroftError } from '../errors.ts';
import { statFields, ticksPerSecond } from '../host/process-info.ts';
import type { DiskCounters, GuestStats } from '../vm/hypervisor.ts';
import { parseDeviceId } from './devices.ts';
import type { Qmp } from './hot-plug.ts';

const balloon = '/machine/peripheral/balloon0';
/** s between two questions to the guest's balloon driver. */
const memoryInterval = 10;

type BlockStats = {
  qdev?: string;
  stats: {
    rd_bytes: number;
    wr_bytes: number;
    rd_operations: number;
    wr_operations: number;
    flush_operations: number;
    rd_total_time_ns: number;
    wr_total_time_ns: number;
    flush_total_time_ns: number;
  };
};

type BalloonStats = { 'last-update': number; stats: Record<string, number> };

/** CPU time of a process or thread in seconds, from its `stat` in /proc. Pure. */
export function parseCpuSeconds(stat: string): { all: number; system: number } {
  const fields = statFields(stat);
  const [user, system] = [Number(fields[11]), Number(fields[12])];
  return { all: (user + system) / ticksPerSecond, system: system / ticksPerSecond };
}

/** Resident bytes from /proc/PID/status. Pure. */
export const parseResidentBytes = (status: string): number => Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;

/** Counters by disk name; the seed and firmware devices are no disks of the VM's. Pure. */
export function parseBlockStats(devices: readonly BlockStats[]): Record<string, DiskCounters> {
  const found: Record<string, DiskCounters> = {};
  for (const { qdev, stats } of devices) {
    // virtio-blk tells the path of its backend, below the device's own.
    const device = qdev
      ?.split('/')
      .map(parseDeviceId)
      .find((each) => each?.kind === 'disk');
    if (!device) continue;
    found[device.name] = {
      readBytes: stats.rd_bytes,
      writeBytes: stats.wr_bytes,
      reads: stats.rd_operations,
      writes: stats.wr_operations,
      flushes: stats.flush_operations,
      readSeconds: stats.rd_total_time_ns / 1e9,
      writeSeconds: stats.wr_total_time_ns / 1e9,
      flushSeconds: stats.flush_total_time_ns / 1e9,
    };
  }
  return found;
}

/** The guest's own view; undefined before its driver's first answer. A value it doesn't know is 2^64 - 1. Pure. */
export function parseMemory({ 'last-update': updated, stats }: BalloonStats): GuestStats['memory'] {
  const known = (name: string): number | undefined => {
    const value = stats[name];
    return value === undefined || value < 0 || value >= 2 ** 63 ? undefined : value;
  };
  const total = known('stat-total-memory');
  const free = known('stat-free-memory');
  if (updated === 0 || total === undefined || free === undefined) return undefined;
  const cached = known('stat-disk-caches');
  return { total, free, available: known('stat-available-memory') ?? free, ...(cached === undefined ? {} : { cached }) };
}

/**
 * Reads what one guest has used. Its balloon driver is asked only once somebody wants to know: that wakes the guest
 * every few seconds. @throws CroftError `qmp-failed`, `command-timeout`; `invalid-state` when the process has gone
 */
export function statsReader(pid: () => number, qmp: Qmp): () => Promise<GuestStats> {
  let isAsked = false;
  return async () => {
    if (!isAsked) {
      await qmp('qom-set', { path: balloon, property: 'guest-stats-polling-interval', value: memoryInterval });
      isAsked = true;
    }
    return readStats(pid(), qmp);
  };
}

async function readStats(pid: number, qmp: Qmp): Promise<GuestStats> {
  const [stat, status, vcpuSeconds, devices, memory] = await Promise.all([
    readProc(pid, 'stat'),
    readProc(pid, 'status'),
    readVcpus(pid, qmp),
    qmp<BlockStats[]>('query-blockstats'),
    qmp<BalloonStats>('qom-get', { path: balloon, property: 'guest-stats' }).then(parseMemory, (error: unknown) => {
      // Refused while the guest has no balloon driver, as in firmware: the rest is still worth having.
      if (isCroftError(error, 'qmp-failed')) return undefined;
      throw error;
    }),
  ]);
  const { all, system } = parseCpuSeconds(stat);
  return {
    cpuSeconds: all,
    cpuSystemSeconds: system,
    vcpuSeconds,
    residentBytes: parseResidentBytes(status),
    ...(memory ? { memory } : {}),
    disks: parseBlockStats(devices),
  };
}

async function readVcpus(pid: number, qmp: Qmp): Promise<number[]> {
  const vcpus = await qmp<{ 'cpu-index': number; 'thread-id': number }[]>('query-cpus-fast');
  const inOrder = vcpus.toSorted((left, right) => left['cpu-index'] - right['cpu-index']);
  return Promise.all(inOrder.map(async (vcpu) => parseCpuSeconds(await readProc(pid, `task/${vcpu['thread-id']}/stat`)).all));
}

async function readProc(pid: number, file: string): Promise<string> {
  try {
    return await readFile(`/proc/${pid}/${file}`, 'utf8');
  } catch (cause) {
    throw new CroftError('invalid-state', `QEMU (pid ${pid}) has ended.`, { cause });
  }
}
