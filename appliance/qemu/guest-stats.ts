/** Figures of one running QEMU, read when somebody asks: /proc for processors and memory, QMP for disks. */
import { readFile } from 'node:fs/promises';
import type { DiskStats, GuestStats, VcpuStats } from '../vm/hypervisor.ts';
import { parseDeviceId } from './devices.ts';
import type { Qmp } from './hot-plug.ts';

/** Linux' USER_HZ: what /proc counts in, on every architecture Node runs on. */
const ticksPerSecond = 100;

/** Fields 14 and 15 of proc(5) stat: user and system time in seconds. Pure. */
export function cpuTimesOf(stat: string): { user: number; system: number } {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { user: Number(fields[11]) / ticksPerSecond, system: Number(fields[12]) / ticksPerSecond };
}

type Counters = Partial<Record<string, number>>;
type BlockStats = { qdev?: string; stats?: Counters };

/** The disks of query-blockstats by their names; the seed and empty drives without a name of ours are left out. Pure. */
export function diskStatsOf(answer: readonly BlockStats[]): DiskStats[] {
  return answer.flatMap(({ qdev, stats }) => {
    const device = qdev
      ?.split('/')
      .map(parseDeviceId)
      .find((found) => found?.kind === 'disk');
    if (!device || !stats) return [];
    const of = (name: string): number => stats[name] ?? 0;
    return [
      {
        name: device.name,
        readBytes: of('rd_bytes'),
        writeBytes: of('wr_bytes'),
        reads: of('rd_operations'),
        writes: of('wr_operations'),
        flushes: of('flush_operations'),
        readSeconds: of('rd_total_time_ns') / 1e9,
        writeSeconds: of('wr_total_time_ns') / 1e9,
        flushSeconds: of('flush_total_time_ns') / 1e9,
      },
    ];
  });
}

async function vcpusOf(qmp: Qmp, pid: number): Promise<VcpuStats[]> {
  const cpus = await qmp<{ 'cpu-index': number; 'thread-id': number }[]>('query-cpus-fast');
  return Promise.all(
    cpus.map(async (cpu) => {
      const { user, system } = cpuTimesOf(await readFile(`/proc/${pid}/task/${cpu['thread-id']}/stat`, 'utf8'));
      return { id: cpu['cpu-index'], seconds: user + system };
    }),
  );
}

/** @throws when the process or its monitor is gone */
export async function readGuestStats(qmp: Qmp, pid: number): Promise<GuestStats> {
  const [stat, status, blocks, vcpus, nics] = await Promise.all([
    readFile(`/proc/${pid}/stat`, 'utf8'),
    readFile(`/proc/${pid}/status`, 'utf8'),
    qmp<BlockStats[]>('query-blockstats'),
    vcpusOf(qmp, pid),
    qmp<{ name: string }[]>('qom-list', { path: '/machine/peripheral' }),
  ]);
  return {
    cpu: cpuTimesOf(stat),
    vcpus,
    residentBytes: Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024,
    disks: diskStatsOf(blocks),
    nics: nics.flatMap(({ name }) => {
      const device = parseDeviceId(name);
      return device?.kind === 'nic' ? [{ name: device.name, index: device.index }] : [];
    }),
  };
}
