/** k3s.ts from installation to reset, on real Kubernetes in namespaces of its own; prints how long each step took. */
import { readFile, readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { K3s, K3sStatus } from '../../appliance/cluster/k3s.ts';
import { readArgv } from '../../appliance/host/process-info.ts';
import { eventually } from '../helpers/eventually.ts';
import { running } from '../helpers/running.ts';
import { getInside, labK3s, timed } from './lab-k3s.ts';
import { createLabNode, type LabNode } from './lab-node.ts';
import { obtainK3s, type ObtainedK3s } from './obtain-k3s.ts';

let release: ObtainedK3s;
let node: LabNode;
let k3s: K3s;
const tunables = ['vm/overcommit_memory', 'vm/panic_on_oom', 'kernel/panic', 'kernel/panic_on_oops'];
let tunablesBefore: string[];

const readTunables = () => Promise.all(tunables.map((name) => readFile(`/proc/sys/${name}`, 'utf8')));

const newK3s = () => labK3s(node, { role: 'first', nodeName: 'box-1' });

beforeAll(async () => {
  release = await timed('obtain', obtainK3s);
  tunablesBefore = await readTunables();
  node = await createLabNode('10.99.0.1');
  k3s = newK3s();
});

afterAll(async () => {
  k3s?.release();
  await node?.destroy();
});

const workload = `
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      terminationGracePeriodSeconds: 1
      automountServiceAccountToken: false
      containers: [{ name: web, image: 'croft.local/httpd:1', imagePullPolicy: Never }]
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { selector: { app: web }, ports: [{ port: 80, targetPort: 8080 }] }
`;

let clusterIp = '';

test('installs, starts, and the node becomes Ready', async () => {
  const version = await k3s.install(release.binary, release.images);
  console.log(version.standIn ? `lab stand-in over Kubernetes ${version.version}; this is not k3s` : `k3s ${version.version}`);
  expect((await k3s.status()).state).toBe('stopped');
  await k3s.configure();
  await timed('start until the node is Ready', () => k3s.start());
  expect(await k3s.status()).toMatchObject({ state: 'ready', nodeReady: true });
  expect((await stat(join(node.directory, 'etc/k3s.yaml'))).mode & 0o777).toBe(0o600);
  expect(await k3s.nodeToken()).toMatch(/^K10[0-9a-f]{64}::server:\S+$/);
  expect((await k3s.certificatesEnd())?.getTime()).toBeGreaterThan(Date.now() + 80 * 24 * 3600_000);
});

test('pods run from an image of ours, and a Service reaches them through kube-proxy', async () => {
  await k3s.addManifest('web', workload);
  await timed('manifest until two pods are Ready', () =>
    eventually(
      async () => (await k3s.kubectl(['get', 'deployment', 'web', '-o', 'jsonpath={.status.readyReplicas}'])).stdout === '2',
      {
        timeout: 90_000,
        interval: 250,
      },
    ),
  );
  clusterIp = (await k3s.kubectl(['get', 'service', 'web', '-o', 'jsonpath={.spec.clusterIP}'])).stdout;
  const seen = new Set<string>();
  await timed('both pods answer at the ClusterIP', () =>
    eventually(async () => seen.add(await getInside(node, `http://${clusterIp}/`)).size === 2, { timeout: 60_000 }),
  );
  expect([...seen].every((name) => name.startsWith('web-'))).toBe(true);
});

test('a killed k3s comes back by itself, its pods untouched', async () => {
  const pods = () =>
    k3s.kubectl(['get', 'pods', '-o', 'jsonpath={.items[*].metadata.uid} {.items[*].status.containerStatuses[*].restartCount}']);
  const before = (await pods()).stdout;
  const pid = k3s.pid as number;
  process.kill(pid, 'SIGKILL');
  await eventually(() => k3s.pid !== undefined && k3s.pid !== pid, { timeout: 30_000 });
  expect(await getInside(node, `http://${clusterIp}/`)).toMatch(/^web-/);
  await timed('killed until Ready again', () =>
    eventually(async () => (await k3s.status()).state === 'ready', { timeout: 90_000, interval: 250 }),
  );
  expect((await pods()).stdout).toBe(before);
});

test('a second K3s takes over the running one; stop leaves pods, start finds them', async () => {
  const pid = k3s.pid;
  k3s.release();
  k3s = newK3s();
  await k3s.start();
  expect(k3s.pid).toBe(pid);
  const heard: K3sStatus[] = [];
  const watching = new AbortController();
  const watch = k3s.watch((status) => heard.push(status), watching.signal, 100);
  await eventually(() => heard.at(-1)?.state === 'ready');
  await timed('stop', () => k3s.stop());
  await eventually(() => heard.at(-1)?.state === 'stopped');
  watching.abort();
  await watch;
  expect(heard.map(({ state }) => state)).toEqual(expect.arrayContaining(['ready', 'stopped']));
  expect(await getInside(node, `http://${clusterIp}/`)).toMatch(/^web-/);
  await timed('start again until Ready', () => k3s.start());
});

test('a pod of the hold image lives through SIGTERM until its grace period ends', async () => {
  await k3s.kubectl(['run', 'hold', '--image=croft.local/hold:1', '--image-pull-policy=Never']);
  await k3s.kubectl(['wait', '--for=condition=Ready', 'pod/hold', '--timeout=30s'], { timeout: 40_000 });
  const memory = { shim: 0, pause: 0, hold: 0 };
  for (const pid of await node.processes()) {
    const program = /(shim|pause|hold)/.exec(basename((await readArgv(pid))[0] ?? ''))?.[1] as keyof typeof memory | undefined;
    const pss = /^Pss:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => ''));
    if (program && pss) memory[program] = Math.max(memory[program], Number(pss[1]));
  }
  console.log('PSS of a pod, KiB, the largest of each:', memory);
  expect(memory.hold).toBeGreaterThan(0);
  const start = performance.now();
  await timed('deleted with 3 s of grace', () => k3s.kubectl(['delete', 'pod', 'hold', '--grace-period=3'], { timeout: 60_000 }));
  expect(performance.now() - start).toBeGreaterThan(2_900);
});

test('etcd is saved by k3s own command', async () => {
  await k3s.snapshot('test');
  const names = await readdir(join(node.directory, 'k3s/server/db/snapshots'));
  expect(names.filter((name) => name.startsWith('test-'))).toHaveLength(1);
});

test('reset leaves no process, mount, cgroup or file', async () => {
  const pid = k3s.pid as number;
  await timed('reset', () => k3s.reset());
  expect(await running(pid)).toBe(false);
  expect(await node.processes()).toEqual([]);
  expect((await node.run(['cat', '/proc/self/mountinfo'])).stdout).not.toMatch(/\/run\/k3s\/|\/kubelet\/pods|\/k3s\/agent/);
  expect((await node.run(['ip', '-o', 'link'])).stdout).not.toMatch(/cni0|veth/);
  expect(await stat(join(node.directory, 'k3s')).catch(() => undefined)).toBeUndefined();
  expect((await k3s.status()).state).toBe('stopped');
  await k3s.reset();
});

test('the machine is as it was', async () => {
  const { name, directory } = node;
  await node.destroy();
  expect(await readdir('/run/netns').catch(() => [])).not.toContain(name);
  expect(await stat(directory).catch(() => undefined)).toBeUndefined();
  for (const hierarchy of await readdir('/sys/fs/cgroup')) {
    expect(await stat(join('/sys/fs/cgroup', hierarchy, name)).catch(() => undefined)).toBeUndefined();
  }
  expect(await readFile('/proc/self/mountinfo', 'utf8')).not.toContain('croft-lab');
  expect(await readTunables()).toEqual(tunablesBefore);
});
