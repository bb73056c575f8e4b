/** What QEMU and /proc say of a guest, as recorded from QEMU 7.2. */
import { expect, test } from 'vitest';
import { parseBlockStats, parseCpuSeconds, parseMemory, parseResidentBytes } from '../../../appliance/qemu/stats.ts';

const stats = {
  rd_bytes: 1,
  wr_bytes: 2,
  rd_operations: 3,
  wr_operations: 4,
  flush_operations: 5,
  rd_total_time_ns: 6e9,
  wr_total_time_ns: 7e9,
  flush_total_time_ns: 8e9,
};

test('disks go by their name; firmware and seed are none', () => {
  expect(
    parseBlockStats([
      { qdev: '/machine/peripheral/disk0-root/virtio-backend', stats },
      { qdev: '/machine/peripheral/seed/virtio-backend', stats },
      { stats },
    ]),
  ).toEqual({
    root: { readBytes: 1, writeBytes: 2, reads: 3, writes: 4, flushes: 5, readSeconds: 6, writeSeconds: 7, flushSeconds: 8 },
  });
});

test('a process name with brackets and spaces does not shift the columns', () => {
  const stat = '42 (qemu (a) b) S 1 42 42 0 -1 0 0 0 0 0 150 50 0 0 20 0 1 0 1 1 1';
  expect(parseCpuSeconds(stat)).toEqual({ all: 2, system: 0.5 });
  expect(parseResidentBytes('VmPeak:\t 9 kB\nVmRSS:\t     12 kB\n')).toBe(12_288);
});

test('a balloon that has not spoken says nothing, and what it does not know stays out', () => {
  const unknown = 2 ** 64;
  const said = { 'stat-total-memory': 100, 'stat-free-memory': 40, 'stat-available-memory': unknown, 'stat-disk-caches': 7 };
  expect(parseMemory({ 'last-update': 0, stats: said })).toBeUndefined();
  expect(parseMemory({ 'last-update': 1, stats: said })).toEqual({ total: 100, free: 40, available: 40, cached: 7 });
  expect(parseMemory({ 'last-update': 1, stats: { ...said, 'stat-total-memory': unknown } })).toBeUndefined();
});
