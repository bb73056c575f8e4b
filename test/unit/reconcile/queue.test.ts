import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { backoffDelay } from '../../../appliance/reconcile/backoff.ts';
import { createWorkQueue } from '../../../appliance/reconcile/queue.ts';

const turns = async (count = 10) => {
  for (let index = 0; index < count; index++) await Promise.resolve();
};

describe('work queue', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('makes one run of keys added while they wait, and one more of keys added while they run', async () => {
    const gate = Promise.withResolvers<void>();
    const runs: string[] = [];
    const queue = createWorkQueue({
      concurrency: 1,
      work: async (key) => {
        runs.push(key);
        if (runs.length === 1) await gate.promise;
      },
    });
    queue.add('a');
    await turns();
    for (const key of ['a', 'a', 'b', 'b']) queue.add(key);
    expect(queue.depth).toBe(2);
    gate.resolve();
    await queue.idle();
    expect(runs).toEqual(['a', 'a', 'b']);
  });

  it('tries failures again after growing waits, and forgets them after a success', async () => {
    const waits: number[] = [];
    let fail = true;
    const queue = createWorkQueue({
      work: async () => {
        if (fail) throw new Error('no');
      },
      backoff: { base: 100, max: 1_000 },
      random: () => 0,
      onError: (_key, _error, _failures, wait) => waits.push(wait),
    });
    queue.add('a');
    await vi.advanceTimersByTimeAsync(3_400);
    expect(waits).toEqual([100, 200, 400, 800, 1_000, 1_000]);
    fail = false;
    queue.add('a');
    await queue.idle();
    fail = true;
    queue.add('a');
    await queue.idle();
    expect(waits.at(-1)).toBe(100);
    await queue.stop();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(waits).toHaveLength(7);
  });

  it('runs again when asked to, at the earliest of the times asked for', async () => {
    const runs: number[] = [];
    const queue = createWorkQueue({
      work: async () => {
        runs.push(Date.now());
        return runs.length === 1 ? { requeueAfter: 500 } : undefined;
      },
    });
    const start = Date.now();
    queue.add('a');
    await turns();
    queue.addAfter('a', 2_000);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(runs.map((at) => at - start)).toEqual([0, 500]);
    queue.addAfter('a', 1_000);
    queue.add('a');
    await vi.advanceTimersByTimeAsync(5_000);
    expect(runs).toHaveLength(3);
  });

  it('waits at stop for what runs, and starts nothing more', async () => {
    const gate = Promise.withResolvers<void>();
    const runs: string[] = [];
    const queue = createWorkQueue({
      concurrency: 1,
      work: async (key) => {
        runs.push(key);
        await gate.promise;
      },
    });
    queue.add('a');
    queue.add('b');
    await turns();
    let stopped = false;
    const stopping = queue.stop().then(() => {
      stopped = true;
    });
    queue.add('c');
    await turns();
    expect(stopped).toBe(false);
    gate.resolve();
    await stopping;
    expect(runs).toEqual(['a']);
  });
});

it('never runs a key twice at a time, nor more keys than allowed, and runs each after its last add', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'e'), { maxLength: 40 }),
      fc.integer({ min: 1, max: 3 }),
      async (keys, concurrency) => {
        const running = new Set<string>();
        const startedAt = new Map<string, number>();
        const addedAt = new Map<string, number>();
        let clock = 0;
        const queue = createWorkQueue({
          concurrency,
          backoff: { base: 1, max: 1 },
          work: async (key) => {
            expect(running.has(key)).toBe(false);
            running.add(key);
            expect(running.size).toBeLessThanOrEqual(concurrency);
            startedAt.set(key, ++clock);
            await turns(clock % 4);
            running.delete(key);
            if (clock % 5 === 0) throw new Error('sometimes');
          },
        });
        for (const [index, key] of keys.entries()) {
          addedAt.set(key, ++clock);
          queue.add(key);
          await turns(index % 3);
        }
        await queue.idle();
        for (const [key, at] of addedAt) expect(startedAt.get(key)).toBeGreaterThan(at);
        await queue.stop();
      },
    ),
  );
});

it('spreads its waits, between three quarters and the whole', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 100 }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (failures, random) => {
        const wait = backoffDelay(failures, { base: 10, max: 5_000 }, () => random);
        const full = Math.min(5_000, 10 * 2 ** (failures - 1));
        expect(wait).toBeLessThanOrEqual(full);
        expect(wait).toBeGreaterThanOrEqual(full * 0.75);
      },
    ),
  );
});
