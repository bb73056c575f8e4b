/** Mutual exclusion by key, in order of arrival. */
export type Locks = { with<T>(keys: readonly string[], work: () => Promise<T>): Promise<T> };

/** Locks of one process. Several keys are taken in sorted order, so that two callers cannot wait for each other. */
export function createLocks(): Locks {
  const tails = new Map<string, Promise<void>>();

  const acquire = async (key: string): Promise<() => void> => {
    const before = tails.get(key);
    const { promise, resolve } = Promise.withResolvers<void>();
    tails.set(key, promise);
    await before;
    return () => {
      if (tails.get(key) === promise) tails.delete(key);
      resolve();
    };
  };

  return {
    async with(keys, work) {
      const releases: (() => void)[] = [];
      try {
        for (const key of [...new Set(keys)].toSorted()) releases.push(await acquire(key));
        return await work();
      } finally {
        for (const release of releases.toReversed()) release();
      }
    },
  };
}
