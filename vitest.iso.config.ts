import { defineConfig } from 'vitest/config';

/** Real installation media in QEMU without KVM: root, mmdebstrap, about 15 minutes; later tests use what earlier ones installed. */
export default defineConfig({
  test: {
    include: ['test/iso/**/*.test.ts'],
    globalSetup: 'test/iso/packages.ts',
    testTimeout: 40 * 60_000,
    hookTimeout: 40 * 60_000,
    fileParallelism: false,
    maxWorkers: 1,
    bail: 1,
  },
});
