import { defineConfig } from 'vitest/config';

/** A pool that runs full, and disks that change their pool, Ceph's included where it is installed, while a guest writes. */
export const longGuestTests = ['full-disk', 'full-replicated', 'move-disk', 'move-replicated', 'storage-faults'].map(
  (name) => `test/system/${name}.test.ts`,
);

export default defineConfig({
  test: {
    include: longGuestTests,
    testTimeout: 120_000,
    hookTimeout: 240_000,
    teardownTimeout: 60_000,
    maxWorkers: 1,
    fileParallelism: false,
    // Each part begins where the one before it left the disks.
    bail: 1,
  },
});
