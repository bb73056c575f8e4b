import { defineConfig } from 'vitest/config';

/** Disks that change their pool under verify load, Ceph's included where it is installed: root, 3 GB, 5 to 10 minutes. */
export default defineConfig({
  test: {
    include: ['test/system/move-disk.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 240_000,
    teardownTimeout: 60_000,
    maxWorkers: 1,
    fileParallelism: false,
    // Each part begins where the one before it left the disks.
    bail: 1,
  },
});
