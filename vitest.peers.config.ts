import { defineConfig } from 'vitest/config';
import cluster from './vitest.cluster.config.ts';

/** Three boxes with Kubernetes, Ceph and a guest at once: what the cluster suite leaves out. */
export default defineConfig({
  test: { ...cluster.test, include: ['test/cluster/peers.test.ts'], exclude: [] },
});
