import { defineConfig } from 'vitest/config';

/** End-to-end tests: two files at a time, each with a service and a browser of its own. */
export default defineConfig({
  test: {
    include: ['test/e2e/**/*.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    maxWorkers: 2,
  },
});
