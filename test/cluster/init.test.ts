/** `croft cluster init` on a box alone whose guest runs: k3s up, resources over, the same guest; and all of it away again. */
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readArgv, readProcess } from '../../appliance/host/process-info.ts';
import { eventually } from '../helpers/eventually.ts';
import { tinyImage } from '../helpers/tiny-image.ts';
import { createClusterBox, type ClusterBox } from './cluster-box.ts';
import { getInside, timed } from './lab-k3s.ts';
import { createLabNode, type LabNode } from './lab-node.ts';
import { obtainK3s, type ObtainedK3s } from './obtain-k3s.ts';

let release: ObtainedK3s;
let node: LabNode;
let box: ClusterBox;
let data: string;
const slow = { timeout: 120_000, interval: 250 };

type Vm = { id: string; state: string; addresses?: string[] };
const json = async <T>(...args: string[]): Promise<T> => JSON.parse((await box.croft([...args, '-o', 'json'])).stdout) as T;
const vm = (name: string) => json<Vm>('vm', 'show', name);
const status = () => json<{ state: string; words: string; failed?: { detail: string } }>('cluster', 'status');
const pidOf = async (name: string): Promise<number> => (await box.pidOf((await vm(name)).id)) as number;
const isAlive = async (pid: number): Promise<boolean> => !['Z', undefined].includes((await readProcess(pid))?.state);
const kubectl = (...args: string[]) =>
  node.run([join(data, 'k3s/bin/k3s'), 'kubectl', ...args], { env: { KUBECONFIG: join(data, 'k3s/k3s.yaml') } });
const init = (k3s: string) => {
  const images = release.images.flatMap((path) => (basename(path) === 'hold.tar' ? [] : ['--images', path]));
  const own = ['--address', node.ip, '--kubelet-arg', `cgroup-root=${node.cgroupRoot}`];
  return box.croft(['cluster', 'init', '--k3s', k3s, ...images, ...own]);
};
const programs = async (): Promise<string[]> =>
  (await Promise.all((await node.processes()).map(readArgv))).flatMap((argv) => (argv[0] ? [basename(argv[0])] : []));

beforeAll(async () => {
  release = await obtainK3s();
  const image = await timed('tiny image', tinyImage);
  node = await createLabNode('10.99.0.1');
  data = join(node.directory, 'croft');
  box = createClusterBox({ node }, { CROFT_STORE: 'sqlite' });
  await timed('the service, alone', () => box.start());
  await box.croft(['image', 'add', image, '--name', 'tiny-test', '--timeout', '60s']);
  await box.croft(['vm', 'create', 'web', '--image', 'tiny-test', '--cpus', '1', '--memory', '128Mi', '--timeout', '90s']);
  await box.croft(['vm', 'create', 'idle', '--image', 'tiny-test', '--cpus', '1', '--memory', '128Mi', '--no-start']);
  await box.croft(['user', 'create', 'ada', '--role', 'viewer']).catch((error: unknown) => console.warn(String(error)));
  await timed('until the guest has an address', () => box.croft(['vm', 'wait', 'web', 'ip', '--timeout', '170s']));
});

afterAll(async () => {
  await box?.dispose();
  await node?.destroy();
});

test('without k3s.lock and without --k3s it stops with one sentence, and nothing has changed', async () => {
  const { stderr, exitCode } = await box.croft(['cluster', 'init'], { okCodes: [1] });
  expect(exitCode).toBe(1);
  expect(stderr).toContain('No k3s release is pinned here: write k3s.lock with `croft k3s lock`');
  expect(await status()).toMatchObject({ state: 'none', words: 'This box works alone: its resources are in its own database.' });
  expect(existsSync(join(data, 'k3s'))).toBe(false);
});

test('a program that is no k3s is undone, and the status says why', async () => {
  const pid = await pidOf('web');
  const wrong = join(node.directory, 'wrong');
  await writeFile(wrong, '#!/bin/sh\necho something else\n', { mode: 0o755 });
  const { stderr } = await box.croft(['cluster', 'init', '--k3s', wrong], { okCodes: [1] });
  expect(stderr).toContain('This is no k3s binary');
  expect((await status()).failed?.detail).toContain('This is no k3s binary');
  expect(existsSync(join(data, 'k3s'))).toBe(false);
  expect(await pidOf('web')).toBe(pid);
});

test('the box moves onto its Kubernetes; the guest is the same, and so is everything else', async () => {
  const pid = await pidOf('web');
  const before = await Promise.all([vm('web'), vm('idle')]);
  await timed('croft cluster init', () => init(release.binary));
  expect(await pidOf('web')).toBe(pid);
  expect(await isAlive(pid)).toBe(true);
  const after = await Promise.all([vm('web'), vm('idle')]);
  expect(after.map(({ id }) => id)).toEqual(before.map(({ id }) => id));
  expect(after.map(({ state }) => state)).toEqual(['running', 'stopped']);
  expect(await status()).toMatchObject({ state: 'ready', words: 'The API answers and this node is Ready.' });
  expect((await kubectl('get', 'vm', '-o', 'name')).stdout.split('\n').toSorted()).toEqual([
    'virtualmachine.kubevirt.io/idle',
    'virtualmachine.kubevirt.io/web',
  ]);
  const address = after[0]?.addresses?.[0] as string;
  await eventually(async () => (await getInside(node, `http://${address}/blob.sha256`)).length > 60, slow);
});

test('others may join it now', async () => {
  await eventually(async () => expect((await box.croft(['node', 'join-token'])).stdout.trim()).toMatch(/^\S{40,}$/), slow);
});

test('the guest gets a pod on this box, and its disk a volume', async () => {
  await eventually(async () => {
    const { stdout } = await kubectl('get', 'pods', '-o', 'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}');
    if (stdout !== 'True') throw new Error(`pods: ${stdout}`);
  }, slow);
  const { stdout } = await kubectl('get', 'pvc', '-o', 'jsonpath={.items[*].status.phase}');
  expect(new Set(stdout.split(' '))).toEqual(new Set(['Bound']));
  expect((await kubectl('get', 'pods', '-o', 'jsonpath={.items[*].spec.nodeName}')).stdout).toBe(hostname().toLowerCase());
});

test('croftd killed: it comes back on Kubernetes, with the same k3s and the same guest', async () => {
  const pid = await pidOf('web');
  const k3s = JSON.parse(await readFile(join(node.directory, 'r/k3s/k3s.json'), 'utf8')) as { pid: number };
  await box.kill();
  await box.start();
  expect(await pidOf('web')).toBe(pid);
  expect(JSON.parse(await readFile(join(node.directory, 'r/k3s/k3s.json'), 'utf8'))).toMatchObject({ pid: k3s.pid });
  expect((await status()).state).toBe('ready');
  const { stderr } = await box.croft(['cluster', 'init', '--k3s', release.binary], { okCodes: [1, 5] });
  expect(stderr).toContain('This box runs on its Kubernetes already');
});

test('a VM made now is a VM of Kubernetes, and starts there', async () => {
  await box.croft(['vm', 'start', 'idle', '--timeout', '90s']);
  expect((await kubectl('get', 'vmi', 'idle', '-o', 'jsonpath={.status.phase}')).stdout).toBe('Running');
  await box.croft(['vm', 'stop', 'idle', '--force', '--timeout', '60s']);
});

test('uninstall takes k3s, its pods and all that is in it away', async () => {
  const pid = await pidOf('web');
  const { stdout } = await box.croft(['uninstall', '--purge', '--force']);
  expect(stdout).toContain('Done: the machine is as it was.');
  expect(await isAlive(pid)).toBe(false);
  // apt's own helpers of a download under way see only at their next time-out that it was ended.
  await eventually(async () => (await programs()).length === 0, { timeout: 90_000 });
  expect(existsSync(join(data, 'k3s'))).toBe(false);
  const left = await node.run(['sh', '-c', 'ls /run/k3s /var/lib/kubelet; ip -j link; nft list tables'], { okCodes: [0, 1, 2] });
  expect(left.stdout).not.toMatch(/cni0|croft|"c[tpn][0-9a-f]{10}|kube-proxy|pods|containerd/);
});
