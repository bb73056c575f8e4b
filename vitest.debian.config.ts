import { defineConfig } from 'vitest/config';

/** The end-to-end test with full Debian guests under TCG: root, 6 GB, 20 to 60 minutes; later parts use what earlier ones made. */
export default defineConfig({
  test: {
    include: ['test/system/debian.test.ts'],
    testTimeout: 15 * 60_000,
    hookTimeout: 30 * 60_000,
    fileParallelism: false,
    maxWorkers: 1,
    bail: 1,
  },
});
