/** Unmodified kubectl and virtctl on a box without Kubernetes: a real guest, by the file that `croft kubeconfig` writes. */
import { spawn, type ChildProcess } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RunOptions } from '../../appliance/host/exec.ts';
import { createBox, type TestBox } from '../helpers/box.ts';
import { eventually } from '../helpers/eventually.ts';
import { tinyImage } from '../helpers/tiny-image.ts';
import { obtainK3s } from './obtain-k3s.ts';
import { obtainVirtctl } from './obtain-virtctl.ts';

let box: TestBox;
let env: Record<string, string>;
let kubectlOf: [string, ...string[]];
let virtctlBinary: string;
const slow = { timeout: 90_000, interval: 250 };

const manifest = (spec = '') => `
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: { name: web, labels: { app: web } }
spec:
  runStrategy: Always
  dataVolumeTemplates:
    - metadata: { name: web-root }
      spec:
        sourceRef: { kind: DataSource, namespace: croft-images, name: tiny-test }
        storage: { resources: { requests: { storage: 512Mi } } }
  template:
    metadata: { labels: { app: web } }
    spec:
      terminationGracePeriodSeconds: 5
      domain:
        memory: { guest: 128Mi }
        ${spec}
        devices:
          disks: [{ name: root, disk: { bus: virtio } }]
          interfaces: [{ name: default, masquerade: {} }]
      networks: [{ name: default, pod: {} }]
      volumes: [{ name: root, dataVolume: { name: web-root } }]
`;

const kubectl = (args: string[], options: RunOptions = {}) =>
  box.inside([...kubectlOf, ...args], { timeout: 90_000, ...options, env });
const virtctl = (args: string[], options: RunOptions = {}) =>
  box.inside([virtctlBinary, ...args], { timeout: 60_000, ...options, env });
const status = async () => (await kubectl(['get', 'vm', 'web', '-o', 'jsonpath={.status.printableStatus}'])).stdout;
const becomes = (wanted: string) =>
  kubectl(['wait', 'vm/web', `--for=jsonpath={.status.printableStatus}=${wanted}`, '--timeout=80s']);

/** A command that goes on; what it says is gathered. */
function begin(argv: string[]): { said: () => string; child: ChildProcess } {
  const child = spawn('ip', ['netns', 'exec', box.namespace, ...argv], { env: { ...process.env, ...env } });
  let text = '';
  const take = (chunk: Buffer) => {
    text += String(chunk);
  };
  child.stdout.on('data', take);
  child.stderr.on('data', take);
  return { said: () => text, child };
}

beforeAll(async () => {
  virtctlBinary = await obtainVirtctl();
  kubectlOf = [(await obtainK3s()).binary, 'kubectl'];
  const image = await tinyImage();
  box = await createBox();
  await box.start();
  await box.croft(['image', 'add', image, '--name', 'tiny-test', '--timeout', '60s']);
  const kubeconfig = join(box.directory, 'kubeconfig');
  await box.croft(['kubeconfig', '--file', kubeconfig]);
  env = { KUBECONFIG: kubeconfig, HOME: box.directory, TERM: 'dumb' };
});
afterAll(() => box?.dispose());

test('kubectl knows the kinds, and explains them', async () => {
  expect((await kubectl(['version'])).stdout).toMatch(/Server Version: v1\.\d+\.0\+croft/);
  expect((await kubectl(['api-resources', '--api-group=kubevirt.io'])).stdout).toMatch(
    /virtualmachines\s+vm,vms\s+kubevirt.io\/v1\s+true\s+VirtualMachine$/m,
  );
  expect((await kubectl(['explain', 'vm.spec.runStrategy'])).stdout).toContain('RerunOnFailure');
});

test('kubectl apply: what it would do, what is refused, then a guest that runs', async () => {
  const apply = (text: string, ...more: string[]) => kubectl(['apply', '-f', '-', ...more], { input: text });
  expect((await apply(manifest(), '--dry-run=server')).stdout).toContain('created (server dry run)');
  await expect(apply(manifest('memry: {}'))).rejects.toThrow(/unknown field "spec.template.spec.domain.memry"/);
  await expect(apply(manifest('ioThreads: {}'), '--validate=false')).rejects.toThrow(
    /domain.ioThreads: .*Croft does not support/,
  );
  await expect(apply(manifest(), '--server-side')).rejects.toThrow(/Server-side apply is not supported/);
  expect((await apply(manifest())).stdout).toContain('virtualmachine.kubevirt.io/web created');
  await kubectl(['wait', 'vm/web', '--for=condition=Ready', '--timeout=80s']);
  expect((await apply(manifest())).stdout).toContain('web unchanged');
  expect((await kubectl(['diff', '-f', '-'], { input: manifest() })).stdout).toBe('');
  expect((await kubectl(['get', 'vm', 'web'])).stdout).toMatch(/NAME\s+STATUS\s+READY\s+AGE\nweb\s+Running\s+true\s+\d+/);
  expect((await kubectl(['get', 'all'])).stdout).toMatch(/virtualmachineinstance.kubevirt.io\/web\s+Running/);
  expect((await kubectl(['describe', 'vm', 'web'])).stdout).toMatch(/Events:[\s\S]*Started\s+\d+\w*\s+croft\s+Started with pid/);
});

test('kubectl get -w, label, patch, edit', async () => {
  const watching = begin([...kubectlOf, 'get', 'vm', '-w', '--output-watch-events']);
  await eventually(() => /ADDED\s+web/.test(watching.said()), slow);
  await kubectl(['label', 'vm', 'web', 'tier=front']);
  await eventually(() => /MODIFIED\s+web\s+Running/.test(watching.said()), slow);
  watching.child.kill();
  await kubectl(['patch', 'vm', 'web', '--type', 'merge', '-p', '{"metadata":{"annotations":{"a":"b"}}}']);
  await kubectl(['patch', 'vm', 'web', '--type', 'json', '-p', '[{"op":"remove","path":"/metadata/annotations/a"}]']);
  const strategic = kubectl(['patch', 'vm', 'web', '-p', '{"spec":{}}']);
  await expect(strategic).rejects.toThrow(/strategic-merge-patch\+json is not supported/);
  const edited = await box.inside([...kubectlOf, 'edit', 'vm', 'web'], {
    env: { ...env, KUBE_EDITOR: 'sed -i s/tier:.front/tier:\\ back/' },
  });
  expect(edited.stdout).toContain('web edited');
  expect((await kubectl(['get', 'vm', '-l', 'tier=back', '-o', 'name'])).stdout).toBe('virtualmachine.kubevirt.io/web');
});

test('virtctl pause, unpause, stop, start, restart', async () => {
  expect((await virtctl(['version'])).stdout).toMatch(/Server Version:.*v1\.7\.0\+croft/);
  await virtctl(['pause', 'vm', 'web']);
  await becomes('Paused');
  await virtctl(['unpause', 'vm', 'web']);
  await becomes('Running');
  const uid = async () => (await kubectl(['get', 'vmi', 'web', '-o', 'jsonpath={.metadata.uid}', '--ignore-not-found'])).stdout;
  const before = await uid();
  await virtctl(['restart', 'web', '--grace-period=0', '--force']);
  await eventually(async () => !['', before].includes(await uid()) && (await status()) === 'Running', slow);
  expect((await virtctl(['start', 'web'], { okCodes: [1] })).stderr).toMatch(/VM web is running/);
  await virtctl(['stop', 'web', '--grace-period=0', '--force']);
  await becomes('Stopped');
  await virtctl(['start', 'web']);
  await becomes('Running');
});

test('virtctl console: what is typed reaches the guest, what it says comes back', async () => {
  // virtctl wants a terminal; script(1) gives it one.
  const { child, said } = begin(['script', '-qfc', `'${virtctlBinary}' console web`, '/dev/null']);
  const hears = (what: RegExp, from = 0) => eventually(() => what.test(said().slice(from)), slow);
  try {
    await hears(/connected to web console|escape sequence/);
    child.stdin?.write('\r');
    await hears(/login:/);
    let from = said().length;
    child.stdin?.write('root\r');
    await hears(/[#$] /, from);
    from = said().length;
    child.stdin?.write('echo an"swer" $((6*7))\r');
    await hears(/answer 42/, from);
  } finally {
    child.kill('SIGKILL');
  }
});

test('virtctl port-forward and ssh reach the guest', async () => {
  await box.croft(['vm', 'wait', 'web', 'ip', '--timeout', '90s']);
  const forward = begin([virtctlBinary, 'port-forward', 'vm/web', '18080:80']);
  try {
    const digest = await eventually(async () => {
      const code = `fetch('http://127.0.0.1:18080/blob.sha256', { signal: AbortSignal.timeout(3000) }).then(async (r) => console.log(await r.text()))`;
      return (await box.inside([process.execPath, '-e', code])).stdout.trim();
    }, slow);
    expect(digest).toMatch(/^[0-9a-f]{64}/);
  } finally {
    forward.child.kill();
  }
  // The tiny guest has no SSH server: one that only says its name shows that the client got there. The console's test has
  // signed in on the serial line.
  await box.guest('web', '(printf "SSH-2.0-croft-test\\r\\n"; sleep 20) | nc -l -p 22 >/dev/null 2>&1 & true');
  const ssh = await virtctl(
    ['ssh', 'root@vm/web', '--known-hosts=', '--local-ssh-opts=-v', '--local-ssh-opts=-oConnectTimeout=15', '--command', 'true'],
    { okCodes: [1, 255], timeout: 45_000 },
  );
  expect(`${ssh.stdout}${ssh.stderr}`).toMatch(/remote software version croft-test/);
});

test('virtctl create vm and expand; volumes plugged in and out', async () => {
  const created = await virtctl([
    'create',
    'vm',
    '--name=made',
    '--instancetype=tiny',
    '--preference=linux',
    '--run-strategy=Halted',
  ]);
  await kubectl(['create', '-f', '-'], { input: created.stdout });
  expect((await virtctl(['expand', '--vm', 'made'])).stdout).toMatch(/guest: 256Mi/);
  const file = join(box.directory, 'made.yaml');
  await writeFile(file, created.stdout);
  expect((await virtctl(['expand', '--file', file])).stdout).toMatch(/guest: 256Mi/);
  const volume = 'apiVersion: cdi.kubevirt.io/v1beta1\nkind: DataVolume\nmetadata: { name: data }\n';
  const spec = 'spec: { source: { blank: {} }, storage: { resources: { requests: { storage: 64Mi } } } }\n';
  await kubectl(['apply', '-f', '-'], { input: volume + spec });
  await kubectl(['wait', 'dv/data', '--for=jsonpath={.status.phase}=Succeeded', '--timeout=60s']);
  await virtctl(['addvolume', 'web', '--volume-name=data', '--persist']);
  const disks = async () => (await box.guest('web', 'ls /sys/block')).output;
  await eventually(async () => /\bsda\b/.test(await disks()), slow);
  await virtctl(['removevolume', 'web', '--volume-name=data', '--persist']);
  await eventually(async () => !/\bsda\b/.test(await disks()), slow);
});

test('a viewer looks and changes nothing', async () => {
  const { stdout } = await box.croft(['kubeconfig', '--role', 'viewer']);
  const kubeconfig = join(box.directory, 'viewer');
  await writeFile(kubeconfig, stdout);
  const asViewer = (args: string[]) => box.inside([...kubectlOf, ...args], { env: { ...env, KUBECONFIG: kubeconfig } });
  expect((await asViewer(['get', 'vm', '-o', 'name'])).stdout).toContain('web');
  await expect(asViewer(['delete', 'vm', 'web'])).rejects.toThrow(/Forbidden/);
  await expect(asViewer(['get', 'secrets'])).rejects.toThrow(/Forbidden/);
});

test('kubectl delete waits until VM, instance, disk and guest are gone', async () => {
  const pid = await box.pidOf('web');
  expect((await kubectl(['delete', 'vm', 'web', 'made', '--timeout=80s'])).stdout).toMatch(/"web" deleted/);
  expect(() => process.kill(pid, 0)).toThrow();
  await eventually(
    async () =>
      (await kubectl(['get', 'vm,vmi,dv,pvc', '-o', 'name'])).stdout ===
      'datavolume.cdi.kubevirt.io/data\npersistentvolumeclaim/data',
    slow,
  );
});
