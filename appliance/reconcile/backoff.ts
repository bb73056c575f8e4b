/** Waiting after failures: doubling from `base` to `max`, less up to a quarter so that waiters spread out. */
export type Backoff = {
  /** ms after the first failure. */
  base: number;
  /** Longest wait, ms. */
  max: number;
};

/** ms to wait after the n-th failure in a row (from 1). Pure, given `random` in [0, 1). */
export function backoffDelay(failures: number, { base, max }: Backoff, random: () => number = Math.random): number {
  const full = Math.min(max, base * 2 ** Math.min(30, failures - 1));
  return full * (1 - random() / 4);
}

/** Resolves after `ms`, or at once when the signal aborts. */
export const delay = (ms: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    }
    signal?.addEventListener('abort', done);
  });
