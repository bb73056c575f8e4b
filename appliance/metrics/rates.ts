/** From two readings of counters to a point of the history. Pure. */
import type { NicCounters, VmStats } from '../ports.ts';
import type { DiskCounters } from '../vm/hypervisor.ts';
import type { HostCounters } from './host.ts';
import type { Point } from './series.ts';

/** Counters of one subject in the history's own terms, at one moment (ms). */
export type Reading = {
  at: number;
  cpuSeconds: number;
  memory: number;
  readBytes: number;
  writeBytes: number;
  reads: number;
  writes: number;
  diskSeconds: number;
  /** Absent: nothing counts them (user-mode networking). */
  received?: number;
  transmitted?: number;
};

export const readingOfHost = (at: number, { cpuSeconds, memoryUsed, disks, network }: HostCounters): Reading => ({
  at,
  cpuSeconds,
  memory: memoryUsed,
  readBytes: disks.readBytes,
  writeBytes: disks.writeBytes,
  reads: disks.reads,
  writes: disks.writes,
  diskSeconds: disks.seconds,
  ...network,
});

export function readingOfVm(at: number, { cpuSeconds, residentBytes, memory, disks, nics }: VmStats): Reading {
  const ofDisks = (counter: keyof DiskCounters): number => sum(Object.values(disks), (disk) => disk[counter]);
  const ofNics = (counter: keyof NicCounters): number => sum(Object.values(nics), (nic) => nic[counter]);
  return {
    at,
    cpuSeconds,
    memory: memory ? memory.total - memory.available : residentBytes,
    readBytes: ofDisks('readBytes'),
    writeBytes: ofDisks('writeBytes'),
    reads: ofDisks('reads'),
    writes: ofDisks('writes'),
    diskSeconds: ofDisks('readSeconds') + ofDisks('writeSeconds'),
    ...(Object.keys(nics).length === 0 ? {} : { received: ofNics('receivedBytes'), transmitted: ofNics('transmittedBytes') }),
  };
}

/** A counter that fell began anew (a guest was started again, a disk taken away): then there is no rate, only null. */
export function pointOf(before: Reading, after: Reading): Point {
  const seconds = (after.at - before.at) / 1_000;
  const rate = (from: number | undefined, to: number | undefined): number | null =>
    from === undefined || to === undefined || to < from || seconds <= 0 ? null : (to - from) / seconds;
  return {
    cpu: rate(before.cpuSeconds, after.cpuSeconds),
    memory: after.memory,
    diskRead: rate(before.readBytes, after.readBytes),
    diskWrite: rate(before.writeBytes, after.writeBytes),
    reads: rate(before.reads, after.reads),
    writes: rate(before.writes, after.writes),
    diskBusy: rate(before.diskSeconds, after.diskSeconds),
    netReceived: rate(before.received, after.received),
    netTransmitted: rate(before.transmitted, after.transmitted),
  };
}

const sum = <T>(items: readonly T[], value: (item: T) => number): number => items.reduce((total, item) => total + value(item), 0);
