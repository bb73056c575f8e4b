/** Counters become rates; /proc is read right; a sampler goes on when one reading fails. */
import { expect, test } from 'vitest';
import { silentLogger } from '../../../appliance/host/logger.ts';
import {
  type HostCounters,
  parseAvailable,
  parseBusySeconds,
  parseDisks,
  parseNetwork,
} from '../../../appliance/metrics/host.ts';
import { pointOf, type Reading, readingOfVm } from '../../../appliance/metrics/rates.ts';
import { startSampler } from '../../../appliance/metrics/sampler.ts';
import { diskLatency, nodeSubject, type Point, samplePeriod } from '../../../appliance/metrics/series.ts';
import type { VmUsage } from '../../../appliance/ports.ts';

const zero: Reading = { at: 0, cpuSeconds: 0, memory: 0, readBytes: 0, writeBytes: 0, reads: 0, writes: 0, diskSeconds: 0 };

test('rates are per second, latency is per operation', () => {
  const after = { ...zero, at: 10_000, cpuSeconds: 15, readBytes: 4_096, reads: 3, writes: 1, diskSeconds: 0.02, memory: 7 };
  expect(pointOf(zero, after)).toMatchObject({
    cpu: 1.5,
    memory: 7,
    diskRead: 409.6,
    diskWrite: 0,
    reads: 0.3,
    diskBusy: 0.002,
    netReceived: null,
  });
});

test('a counter that fell has begun anew: no rate is made up', () => {
  const point = pointOf({ ...zero, cpuSeconds: 100, reads: 9 }, { ...zero, at: 1_000, cpuSeconds: 1, reads: 1 });
  expect(point).toMatchObject({ cpu: null, reads: null, diskBusy: 0 });
});

test('latency is time per operation, and no operation has none', () => {
  expect(diskLatency({ diskBusy: [0.02, 0, null], reads: [3, 0, 1], writes: [1, 0, null] })).toEqual([0.005, null, null]);
});

test('/proc is read by its documented columns', () => {
  expect(parseBusySeconds('cpu  100 20 30 4000 500 6 7 8 9 10\ncpu0 1 2 3 4')).toBeCloseTo(1.71);
  expect(parseAvailable('MemTotal: 10 kB\nMemAvailable:      2048 kB\n')).toBe(2 ** 21);
  const diskstats = '   8       0 sda 10 1 80 100 20 2 160 200 0 5 6\n   8       1 sda1 9 9 9 9 9 9 9 9 9 9 9\n';
  expect(parseDisks(diskstats, new Set(['sda']))).toEqual({
    reads: 10,
    readBytes: 40_960,
    writes: 20,
    writeBytes: 81_920,
    seconds: 0.3,
  });
  const dev = 'Inter-|\n face |\n  eth0: 1000 5 0 0 0 0 0 0 2000 6 0 0 0 0 0 0\n    lo: 7 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0\n';
  expect(parseNetwork(dev, new Set(['eth0']))).toEqual({ received: 1000, transmitted: 2000 });
});

const host: HostCounters = {
  cpuSeconds: 1,
  memoryUsed: 5,
  disks: { readBytes: 0, writeBytes: 0, reads: 0, writes: 0, seconds: 0 },
  network: { received: 0, transmitted: 0 },
};
const usage = (cpuSeconds: number): VmUsage => ({
  vm: { name: 'web', namespace: 'default' },
  id: 'id-1',
  stats: { cpuSeconds, cpuSystemSeconds: 0, vcpuSeconds: [], residentBytes: 9, disks: {}, nics: {} },
});

test('without a balloon driver the process speaks for the guest; without taps nothing counts its network', () => {
  const reading = readingOfVm(1, usage(2).stats);
  expect(reading.memory).toBe(9);
  expect('received' in reading).toBe(false);
});

test('the sampler needs two readings, leaves out what failed, and makes no average over a pause', async () => {
  const recorded: ReadonlyMap<string, Point>[] = [];
  let now = 0;
  let answer: () => Promise<VmUsage[]> = async () => [usage(0)];
  const sampler = startSampler({
    history: { record: (_at, points) => void recorded.push(points) },
    port: { stats: () => answer() },
    logger: silentLogger(),
    host: async () => host,
    now: () => now,
    period: samplePeriod,
  });
  await sampler.sample();
  expect(recorded).toEqual([]);
  now += 10_000;
  answer = async () => [usage(5)];
  await sampler.sample();
  expect(recorded[0]?.get('id-1')?.cpu).toBe(0.5);
  expect(recorded[0]?.get(nodeSubject)?.memory).toBe(5);
  answer = async () => {
    throw new Error('no');
  };
  await sampler.sample();
  expect(recorded).toHaveLength(1);
  now += 10 * samplePeriod;
  answer = async () => [usage(6)];
  await sampler.sample();
  expect(recorded).toHaveLength(1);
  await sampler.stop();
});
