/** The rings: bounded, averaged, gaps kept, back after a restart. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createHistory, type MetricsHistory } from '../../../appliance/metrics/history.ts';
import { type Point, tiers } from '../../../appliance/metrics/series.ts';
import { type Database, openDatabase } from '../../../appliance/store/database.ts';
import { boxMigrations } from '../../../appliance/store/migrations.ts';

let directory: string;
let database: Database;
let history: MetricsHistory;
let now: number;

const open = (): void => {
  database = openDatabase(join(directory, 'box.db'), boxMigrations);
  history = createHistory(database, () => now);
};

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'croft-history-'));
  now = Date.parse('2026-01-01T00:00:00Z');
  open();
});

afterEach(() => {
  database.close();
  rmSync(directory, { recursive: true, force: true });
});

const point = (cpu: number | null): Point => ({
  cpu,
  memory: 1,
  diskRead: null,
  diskWrite: 0,
  reads: 0,
  writes: 0,
  diskBusy: null,
  netReceived: 0,
  netTransmitted: 0,
});
const record = (cpu: number | null, subject = 'vm'): void => history.record(now, new Map([[subject, point(cpu)]]));

test('what was sampled is read at its time, with gaps where nothing was', () => {
  record(1);
  now += 2 * tiers.hour.step;
  record(3);
  const { cpu, diskRead, start, step } = history.read('vm', 'hour');
  expect(cpu.slice(-3)).toEqual([1, null, 3]);
  expect(cpu.slice(0, -3).every((value) => value === null)).toBe(true);
  expect(diskRead.every((value) => value === null)).toBe(true);
  expect(start + (cpu.length - 1) * step).toBe(now);
});

test('a wider range holds the average of what fell into a slot, an unknown value as the average so far', () => {
  for (const cpu of [1, null, 2, 6]) {
    record(cpu);
    now += tiers.hour.step;
  }
  expect(history.read('vm', 'day').cpu.at(-1)).toBe((1 + 1 + 2 + 6) / 4);
  expect(history.read('vm', 'month').cpu.at(-1)).not.toBeNull();
});

test('an old round of the ring is not shown as new', () => {
  record(5);
  now += tiers.hour.step * tiers.hour.slots;
  expect(history.read('vm', 'hour').cpu.every((value) => value === null)).toBe(true);
  expect(history.read('vm', 'day').cpu.filter((value) => value !== null)).toEqual([5]);
});

test('it is there after a restart, and gone when forgotten', () => {
  record(2);
  database.close();
  open();
  expect(history.read('vm', 'hour').cpu.at(-1)).toBe(2);
  history.forget('vm');
  expect(history.read('vm', 'hour').cpu.at(-1)).toBeNull();
});

test('it never has more rows than its rings have slots, whatever the clock does', () => {
  const slots = Object.values(tiers).reduce((sum, tier) => sum + tier.slots, 0);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -40 * 86_400_000, max: 40 * 86_400_000 }), { maxLength: 60 }), (jumps) => {
      for (const jump of jumps) {
        now = Math.max(0, now + jump);
        record(1);
        const { cpu } = history.read('vm', 'week');
        expect(cpu).toHaveLength(tiers.week.slots);
        expect(cpu.at(-1)).not.toBeNull();
      }
      expect(database.get<{ n: number }>('SELECT count(*) n FROM samples')?.n).toBeLessThanOrEqual(slots);
    }),
    { numRuns: 20 },
  );
});
