import { defineConfig } from 'vitest/config';

/** For test files that run themselves again inside a network namespace (test/helpers/netns.ts). */
export default defineConfig({
  root: new URL('../..', import.meta.url).pathname,
  test: {
    include: ['test/system/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    fileParallelism: false,
  },
});
