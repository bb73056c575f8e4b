import { defineConfig } from 'vitest/config';
import { longGuestTests } from './vitest.guests.config.ts';

/**
 * Tests with real QEMU, Open vSwitch and packets. Two files at a time: each has namespaces and directories of its
 * own, and mostly waits (for a guest to boot, for Ceph to see a disk die).
 */
export default defineConfig({
  test: {
    include: ['test/system/**/*.test.ts'],
    // Too long for `npm test`: vitest.debian.config.ts, vitest.guests.config.ts.
    exclude: ['test/system/debian.test.ts', ...longGuestTests],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    teardownTimeout: 60_000,
    maxWorkers: 2,
    sequence: { concurrent: false },
  },
});
