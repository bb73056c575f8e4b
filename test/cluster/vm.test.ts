/** `kubectl apply` of a KubeVirt VirtualMachine: a shadow pod is scheduled, a real guest runs; Kubernetes' verbs reach it. */
import { spawn } from 'node:child_process';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { inNode } from '../../appliance/cluster/k3s-clean.ts';
import type { RunOptions } from '../../appliance/host/exec.ts';
import { readProcess } from '../../appliance/host/process-info.ts';
import { virtualMachine, virtualMachineInstance } from '../../appliance/resources/virtual-machine.ts';
import { pod, type Pod } from '../../appliance/cluster/shadow-pod.ts';
import { openKubernetesStore } from '../../appliance/store/kubernetes.ts';
import type { ResourceStore } from '../../appliance/store/store.ts';
import { eventually } from '../helpers/eventually.ts';
import { tinyImage } from '../helpers/tiny-image.ts';
import { obtainVirtctl } from './obtain-virtctl.ts';
import { createClusterBox, type ClusterBox } from './cluster-box.ts';
import { createLabCluster, type LabCluster } from './lab-cluster.ts';
import { getInside, timed } from './lab-k3s.ts';

let cluster: LabCluster;
let box: ClusterBox;
let store: ResourceStore;
let virtctlBinary: string;
const namespace = 'default';
const slow = { timeout: 90_000, interval: 250 };

const manifest = (name: string, resources = '') => `
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: { name: ${name} }
spec:
  runStrategy: Always
  dataVolumeTemplates:
    - metadata: { name: ${name}-root }
      spec:
        sourceRef: { kind: DataSource, namespace: croft-images, name: tiny-test }
        storage: { resources: { requests: { storage: 512Mi } } }
  template:
    metadata: { labels: { app: ${name} } }
    spec:
      terminationGracePeriodSeconds: 20
      domain:
        memory: { guest: 128Mi }
        ${resources}
        devices:
          disks: [{ name: root, disk: { bus: virtio } }]
          interfaces: [{ name: default, masquerade: {} }]
      networks: [{ name: default, pod: {} }]
      volumes: [{ name: root, dataVolume: { name: ${name}-root } }]
`;

const apply = (yaml: string) => cluster.k3s.kubectl(['apply', '-f', '-'], { input: yaml });
const vm = (name: string) => store.get(virtualMachine, name, namespace);
const instance = (name: string) => store.get(virtualMachineInstance, name, namespace);
const pods = async (): Promise<Pod[]> => (await store.list(pod, { namespace, labelSelector: 'croft.io/shadow-pod=true' })).items;
const idOf = async (name: string): Promise<string> => (await vm(name))?.metadata.labels?.['croft.io/id'] as string;
const pidOf = async (name: string): Promise<number> => (await box.pidOf(await idOf(name))) as number;
/** A guest whose croftd was killed is init's to reap, and not every init of a test machine does. */
const isAlive = async (pid: number): Promise<boolean> => {
  const found = await readProcess(pid);
  return found !== undefined && found.state !== 'Z';
};
const runs = (name: string) =>
  eventually(async () => {
    const found = await vm(name);
    const why = found?.status?.conditions?.find((condition) => condition.type === 'Ready')?.message;
    if (found?.status?.printableStatus !== 'Running') throw new Error(`${found?.status?.printableStatus}: ${why}`);
  }, slow);
const addressOf = async (name: string): Promise<string> => {
  await box.croft(['vm', 'wait', name, 'ip', '--timeout', '120s']);
  return (JSON.parse((await box.croft(['vm', 'show', name, '-o', 'json'])).stdout) as { addresses: string[] })
    .addresses[0] as string;
};

/** Upstream's client, as administrator, inside the node. */
const virtctl = (args: [string, ...string[]], options: RunOptions = {}) => {
  const env = { KUBECONFIG: join(cluster.node.directory, 'etc/k3s.yaml'), HOME: cluster.node.directory };
  return cluster.node.run([virtctlBinary, ...args], { timeout: 60_000, ...options, env });
};

beforeAll(async () => {
  virtctlBinary = await timed('virtctl', obtainVirtctl);
  const image = await timed('tiny image', tinyImage);
  // The name under which both Kubernetes and Croft know this box.
  cluster = await createLabCluster(hostname().toLowerCase());
  box = createClusterBox(cluster);
  await timed('the service on the Kubernetes store', () => box.start());
  store = openKubernetesStore({ kubeconfig: cluster.relay.kubeconfig });
  await box.croft(['image', 'add', image, '--name', 'tiny-test', '--timeout', '60s']);
});

afterAll(async () => {
  await store?.close();
  await box?.dispose();
  await cluster?.close();
});

test('kubectl apply makes a shadow pod, and a guest that answers', async () => {
  await apply(manifest('web'));
  await timed('applied until Running', () => runs('web'));
  const [shadow, ...others] = await pods();
  expect(others).toEqual([]);
  expect(shadow?.metadata.ownerReferences).toMatchObject([{ kind: 'VirtualMachineInstance', name: 'web' }]);
  expect(shadow?.metadata.labels).toMatchObject({ app: 'web' });
  expect(shadow?.spec).toMatchObject({
    nodeName: hostname().toLowerCase(),
    // By kube-scheduler: nothing else fills these in.
    schedulerName: 'default-scheduler',
    restartPolicy: 'Never',
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    terminationGracePeriodSeconds: 35,
    containers: [
      { image: 'croft.local/hold:1', resources: { requests: { cpu: '100m', memory: '192Mi' }, limits: { memory: '192Mi' } } },
    ],
  });
  expect(shadow?.status?.conditions).toContainEqual(expect.objectContaining({ type: 'PodScheduled', status: 'True' }));
  expect(await isAlive(await pidOf('web'))).toBe(true);
  const address = await timed('until it has an address', () => addressOf('web'));
  await eventually(async () => (await getInside(cluster.node, `http://${address}/blob.sha256`)).length > 60, {
    timeout: 60_000,
    interval: 500,
  });
  expect((await cluster.k3s.kubectl(['get', 'vm', 'web'])).stdout).toMatch(/web\s+Running\s+true/);
});

test('croftd killed: the guest runs on, and is found again', async () => {
  const pid = await pidOf('web');
  await box.kill();
  expect(await isAlive(pid)).toBe(true);
  await box.start();
  await runs('web');
  expect(await pidOf('web')).toBe(pid);
  expect(await isAlive(pid)).toBe(true);
  expect(await pods()).toHaveLength(1);
});

test('virtctl speaks to it through the API server: version, pause, refusals', async () => {
  expect((await virtctl(['version'])).stdout).toMatch(/Server Version:.*v1\.7\.0\+croft/);
  expect((await virtctl(['start', 'web'], { okCodes: [1] })).stderr).toMatch(/VM web is running/);
  await virtctl(['pause', 'vm', 'web']);
  await eventually(async () => (await vm('web'))?.status?.printableStatus === 'Paused', slow);
  await virtctl(['unpause', 'vm', 'web']);
  await runs('web');
});

test('virtctl console: what is typed reaches the guest, what it says comes back', async () => {
  const [program, ...args] = inNode(cluster.node.enter, virtctlBinary, 'console', 'web');
  // virtctl wants a terminal; script(1) gives it one.
  const command = [program, ...args].map((part) => `'${part}'`).join(' ');
  const env = {
    ...process.env,
    KUBECONFIG: join(cluster.node.directory, 'etc/k3s.yaml'),
    HOME: cluster.node.directory,
    TERM: 'dumb',
  };
  const session = spawn('script', ['-qfc', command, '/dev/null'], { env, stdio: ['pipe', 'pipe', 'inherit'] });
  let said = '';
  session.stdout.on('data', (chunk: Buffer) => {
    said += String(chunk);
  });
  const type = (text: string) => session.stdin.write(text);
  try {
    await eventually(() => /connected to web console|escape sequence/.test(said), slow);
    const hears = (what: RegExp, from: number) =>
      eventually(() => {
        if (!what.test(said.slice(from))) throw new Error(`no ${String(what)} in ${JSON.stringify(said.slice(-400))}`);
      }, slow);
    type('\r');
    await hears(/login:/, 0);
    let from = said.length;
    type('root\r');
    await hears(/[#$] /, from);
    from = said.length;
    type('echo an"swer" $((6*7))\r');
    await hears(/answer 42/, from);
  } finally {
    session.kill('SIGKILL');
  }
});

test('virtctl stop and start', async () => {
  const pid = await pidOf('web');
  await virtctl(['stop', 'web', '--grace-period=0', '--force']);
  await eventually(async () => (await vm('web'))?.status?.printableStatus === 'Stopped', slow);
  expect(await isAlive(pid)).toBe(false);
  await eventually(async () => (await pods()).length === 0, slow);
  await virtctl(['start', 'web']);
  await runs('web');
  expect(await pidOf('web')).not.toBe(pid);
});

test('who may not, may not: RBAC decides, and the front listener believes only the API server', async () => {
  await cluster.k3s.kubectl(['create', 'rolebinding', 'alice', '--clusterrole=edit', '--user=alice']);
  await cluster.k3s.kubectl(['create', 'rolebinding', 'vera', '--clusterrole=view', '--user=vera']);
  const pause = (user: string, verb: 'pause' | 'unpause') => {
    const path = `/apis/subresources.kubevirt.io/v1/namespaces/default/virtualmachineinstances/web/${verb}`;
    return cluster.k3s.kubectl(['replace', '--raw', path, '-f', '-', `--as=${user}`], { input: '{}' });
  };
  // Roles are aggregated in the background.
  await eventually(() => pause('alice', 'pause').then(() => true), slow);
  await expect(pause('vera', 'unpause')).rejects.toThrow(/cannot update resource/);
  await eventually(async () => (await vm('web'))?.status?.printableStatus === 'Paused', slow);
  await pause('alice', 'unpause');
  await runs('web');
  const path = '/apis/subresources.kubevirt.io/v1/namespaces/default/virtualmachines/web/stop';
  const forged = [
    'curl',
    '-sk',
    '-m',
    '5',
    '-X',
    'PUT',
    '-H',
    'X-Remote-User: admin',
    '-H',
    'X-Remote-Group: system:masters',
    '-d',
    '{}',
    `https://${cluster.node.ip}:8447${path}`,
  ];
  const { exitCode } = await cluster.node.run(forged as [string, ...string[]], { okCodes: [0, 35, 55, 56] });
  expect(exitCode).not.toBe(0);
  expect((await vm('web'))?.status?.printableStatus).toBe('Running');
});

test('the API server silent: what was known is read and marked, a change fails clearly, the guest runs on', async () => {
  const pid = await pidOf('web');
  process.kill(cluster.k3s.pid as number, 'SIGSTOP');
  try {
    await eventually(async () => {
      const { stdout, stderr } = await box.croft(['vm', 'list']);
      expect(stdout).toMatch(/web\s+running/);
      return stderr.includes('Kubernetes does not answer; this is what was known at');
    }, slow);
    const { stderr } = await box.croft(['vm', 'stop', 'web', '--no-wait'], { okCodes: [1] });
    expect(stderr).toMatch(/The Kubernetes API at .* does not answer/);
    expect(await isAlive(pid)).toBe(true);
  } finally {
    process.kill(cluster.k3s.pid as number, 'SIGCONT');
  }
  await eventually(async () => !(await box.croft(['vm', 'list'])).stderr.includes('does not answer'), slow);
  await runs('web');
  expect(await pidOf('web')).toBe(pid);
});

test('the API server killed under it: the guest runs on, and so does croftd', async () => {
  const pid = await pidOf('web');
  process.kill(cluster.k3s.pid as number, 'SIGKILL');
  await eventually(async () => (await cluster.k3s.status()).state === 'ready', slow);
  expect(await isAlive(pid)).toBe(true);
  await apply(
    `apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nmetadata: { name: other }\nspec: { runStrategy: Halted, template: { spec: { domain: { devices: {} } } } }`,
  );
  await eventually(async () => (await vm('other'))?.status?.printableStatus === 'Stopped', slow);
  await cluster.k3s.kubectl(['delete', 'vm', 'other', '--timeout=60s'], { timeout: 70_000 });
  expect(await pidOf('web')).toBe(pid);
});

test('the pod object gone without a shutdown: the guest keeps running and gets a pod on this very box', async () => {
  const pid = await pidOf('web');
  const [before] = await pods();
  // As when its entry is lost: no grace, nobody asked.
  await cluster.k3s.kubectl(['delete', 'pod', before?.metadata.name as string, '--grace-period=0', '--force']);
  await eventually(async () => {
    const [now] = await pods();
    return now !== undefined && now.metadata.uid !== before?.metadata.uid && now.metadata.deletionTimestamp === undefined;
  }, slow);
  expect(await pidOf('web')).toBe(pid);
  expect(await isAlive(pid)).toBe(true);
});

test('the pod deleted: the guest is shut down, and the run strategy starts another', async () => {
  const pid = await pidOf('web');
  const [before] = await pods();
  const uid = (await instance('web'))?.metadata.uid;
  await cluster.k3s.kubectl(['delete', 'pod', before?.metadata.name as string, '--wait=false']);
  await timed('pod deleted until the guest has ended', () => eventually(async () => !(await isAlive(pid)), slow));
  await eventually(async () => (await instance('web'))?.metadata.uid !== uid, slow);
  await runs('web');
  expect(await pidOf('web')).not.toBe(pid);
  await eventually(async () => (await pods()).every(({ metadata }) => metadata.uid !== before?.metadata.uid), slow);
  expect(await pods()).toHaveLength(1);
});

test('what the scheduler cannot place stays pending, says why, and can be deleted', async () => {
  await apply(manifest('large', "resources: { requests: { cpu: '64' } }"));
  await eventually(async () => (await vm('large'))?.status?.printableStatus === 'ErrorUnschedulable', slow);
  const ready = (await vm('large'))?.status?.conditions?.find((condition) => condition.type === 'Ready');
  expect(ready?.message).toMatch(/Insufficient cpu/);
  await cluster.k3s.kubectl(['delete', 'vm', 'large', '--timeout=60s'], { timeout: 70_000 });
});

test('kubectl delete: VM, instance, disk, pod and guest are all gone', async () => {
  const pid = await pidOf('web');
  await timed('deleted', () => cluster.k3s.kubectl(['delete', 'vm', 'web', '--timeout=90s'], { timeout: 100_000 }));
  expect(await isAlive(pid)).toBe(false);
  const left = () => cluster.k3s.kubectl(['get', 'vm,vmi,dv,pvc,pv,pods', '-o', 'name']);
  // Owned objects go in the background, as in any Kubernetes.
  await eventually(async () => {
    const { stdout } = await left();
    if (stdout.trim() !== '') throw new Error(`left: ${stdout}`);
  }, slow);
});
