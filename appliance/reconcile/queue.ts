/**
 * A keyed work queue (after client-go's util/workqueue): each key is worked on by one run at a time; a key
 * added while it waits is one run, added while it runs it is one more run after. A run that throws comes
 * again after a growing wait; one that succeeds has forgotten its failures.
 */
import { backoffDelay, type Backoff } from './backoff.ts';

/** What a run may ask for: to be run again after so many ms without having failed. */
export type RunResult = void | { requeueAfter?: number };

export type WorkQueueOptions = {
  work: (key: string) => Promise<RunResult>;
  /** Runs at the same time, of different keys. Default 4. */
  concurrency?: number;
  /** Default 100 ms to 60 s. */
  backoff?: Backoff;
  /** Told of every run that threw, with the count of failures in a row and the wait in ms. */
  onError?: (key: string, error: unknown, failures: number, retryIn: number) => void;
  random?: () => number;
};

export type WorkQueue = {
  /** Runs the key as soon as there is room; also one that waits for a retry. */
  add(key: string): void;
  /** Runs the key after `ms`; of several waits of a key the shortest counts. */
  addAfter(key: string, ms: number): void;
  /** Resolves when no key runs or is ready to; waits for retries and for later do not count. */
  idle(): Promise<void>;
  /** Starts nothing more; resolves when the runs under way have ended. */
  stop(): Promise<void>;
  /** Keys ready to run. */
  readonly depth: number;
};

export function createWorkQueue(options: WorkQueueOptions): WorkQueue {
  const { work, concurrency = 4, backoff = { base: 100, max: 60_000 }, onError, random } = options;
  const ready = new Set<string>();
  const running = new Set<string>();
  const failures = new Map<string, number>();
  const later = new Map<string, { due: number; timer: NodeJS.Timeout }>();
  let waiters: (() => void)[] = [];
  let stopped = false;

  function forgetLater(key: string): void {
    clearTimeout(later.get(key)?.timer);
    later.delete(key);
  }

  function add(key: string): void {
    if (stopped) return;
    forgetLater(key);
    ready.add(key);
    pump();
  }

  function addAfter(key: string, ms: number): void {
    if (stopped) return;
    const due = Date.now() + ms;
    const planned = later.get(key);
    if (planned && planned.due <= due) return;
    forgetLater(key);
    // A timer of more than 2^31 ms would fire at once.
    later.set(key, { due, timer: setTimeout(() => add(key), Math.min(ms, 2_147_483_647)) });
  }

  function pump(): void {
    for (const key of ready) {
      if (running.size >= concurrency) return;
      if (running.has(key)) continue;
      ready.delete(key);
      running.add(key);
      void runOne(key);
    }
  }

  async function runOne(key: string): Promise<void> {
    // Never in the caller's stack: who adds a key must not meet its run's effects half-way.
    await Promise.resolve();
    try {
      const result = await work(key);
      failures.delete(key);
      if (result?.requeueAfter !== undefined) addAfter(key, result.requeueAfter);
    } catch (error) {
      const count = (failures.get(key) ?? 0) + 1;
      failures.set(key, count);
      const wait = backoffDelay(count, backoff, random);
      onError?.(key, error, count, wait);
      addAfter(key, wait);
    } finally {
      running.delete(key);
      // A stopped queue has nothing ready.
      pump();
      settle();
    }
  }

  const isIdle = (): boolean => running.size === 0 && ready.size === 0;

  function settle(): void {
    if (!isIdle()) return;
    const settled = waiters;
    waiters = [];
    for (const resolve of settled) resolve();
  }

  const idle = (): Promise<void> => (isIdle() ? Promise.resolve() : new Promise((resolve) => waiters.push(resolve)));

  return {
    add,
    addAfter,
    idle,
    stop() {
      stopped = true;
      ready.clear();
      for (const key of later.keys()) forgetLater(key);
      return idle();
    },
    get depth() {
      return ready.size;
    },
  };
}
