import { defineConfig } from 'vitest/config';

/** Real Kubernetes: minutes, root, and a machine that lets network and mount namespaces be made. */
export default defineConfig({
  test: {
    include: ['test/cluster/**/*.test.ts'],
    // npm run test:peers
    exclude: ['test/cluster/peers.test.ts'],
    testTimeout: 180_000,
    hookTimeout: 20 * 60_000,
    fileParallelism: false,
    maxWorkers: 1,
    // Each test goes on where the one before it ended.
    bail: 1,
  },
});
