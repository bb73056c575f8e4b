import { defineConfig } from 'vitest/config';
import { longGuestTests } from './vitest.guests.config.ts';

/** Tests with real QEMU, Open vSwitch and packets: one at a time, for they share the machine's two cores. */
export default defineConfig({
  test: {
    include: ['test/system/**/*.test.ts'],
    // Too long for `npm test`: vitest.debian.config.ts, vitest.guests.config.ts.
    exclude: ['test/system/debian.test.ts', ...longGuestTests],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    teardownTimeout: 60_000,
    maxWorkers: 1,
    fileParallelism: false,
    sequence: { concurrent: false },
  },
});
