/** A Deployment's pod and a VM behind one Service: both answer through kube-proxy, whatever becomes of croftd and the pod. */
import { hostname } from 'node:os';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pod, type Pod } from '../../appliance/cluster/shadow-pod.ts';
import { findPodProcess } from '../../appliance/cluster/pod-process.ts';
import { podLinkName } from '../../appliance/resources/identity.ts';
import { virtualMachine } from '../../appliance/resources/virtual-machine.ts';
import { openKubernetesStore } from '../../appliance/store/kubernetes.ts';
import type { ResourceStore } from '../../appliance/store/store.ts';
import { eventually } from '../helpers/eventually.ts';
import { tinyImage } from '../helpers/tiny-image.ts';
import { createClusterBox, type ClusterBox } from './cluster-box.ts';
import { createLabCluster, type LabCluster } from './lab-cluster.ts';
import { getInside, timed } from './lab-k3s.ts';

let cluster: LabCluster;
let box: ClusterBox;
let store: ResourceStore;
const namespace = 'default';
const slow = { timeout: 120_000, interval: 250 };

/** Both serve `/hostname` on port 80; the names differ. */
const manifests = `
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: { name: web-vm }
spec:
  runStrategy: Always
  dataVolumeTemplates:
    - metadata: { name: web-vm-root }
      spec:
        sourceRef: { kind: DataSource, namespace: croft-images, name: tiny-test }
        storage: { resources: { requests: { storage: 512Mi } } }
  template:
    metadata: { labels: { app: web } }
    spec:
      hostname: web-vm
      terminationGracePeriodSeconds: 20
      domain:
        memory: { guest: 128Mi }
        devices:
          disks: [{ name: root, disk: { bus: virtio } }]
          interfaces: [{ name: default, masquerade: {} }]
      networks: [{ name: default, pod: {} }]
      volumes:
        - { name: root, dataVolume: { name: web-vm-root } }
        - { name: seed, cloudInitNoCloud: { userData: '#cloud-config' } }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: web-pod }
spec:
  selector: { matchLabels: { app: web, kind: container } }
  template:
    metadata: { labels: { app: web, kind: container } }
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{ name: web, image: 'croft.local/httpd:1', imagePullPolicy: Never, args: [':80'] }]
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec:
  selector: { app: web }
  ports: [{ port: 8000, targetPort: 80 }]
`;

const kubectl = async (...args: string[]): Promise<string> => (await cluster.k3s.kubectl(args)).stdout.trim();
const shadow = async (): Promise<Pod | undefined> =>
  (await store.list(pod, { namespace, labelSelector: 'croft.io/shadow-pod=true' })).items[0];
const vmId = async (): Promise<string> =>
  (await store.get(virtualMachine, 'web-vm', namespace))?.metadata.labels?.['croft.io/id'] as string;
const pid = async (): Promise<number> => (await box.pidOf(await vmId())) as number;

let address: string;
/** One answer through the Service's address; undefined when there is none. */
const ask = async (): Promise<string | undefined> => {
  const answer = await getInside(cluster.node, `http://${address}:8000/hostname`).catch(() => undefined); // Asked again.
  return answer === '' ? undefined : answer;
};
/** Asks until each has answered. */
const answers = (...wanted: RegExp[]) => {
  const heard = new Set<string>();
  return eventually(async () => {
    const answer = await ask();
    if (answer !== undefined) heard.add(answer);
    const missing = wanted.filter((name) => ![...heard].some((each) => name.test(each)));
    if (missing.length > 0) throw new Error(`no answer of ${missing.join(', ')}; heard: ${[...heard].join(', ')}`);
  }, slow);
};
const ends = async (): Promise<string[]> =>
  (
    await kubectl(
      'get',
      'endpointslices',
      '-l',
      'kubernetes.io/service-name=web',
      '-o',
      'jsonpath={.items[*].endpoints[?(@.conditions.ready==true)].targetRef.name}',
    )
  )
    .split(' ')
    .filter((name) => name !== ''); // prettier-ignore
/** The box's end of the VM's link, as ip(8) tells it. */
const link = async (): Promise<{ ifindex: number } | undefined> => {
  const { stdout } = await cluster.node.run(['ip', '-j', 'link', 'show', 'dev', podLinkName(await vmId(), 0)], {
    okCodes: [0, 1],
  });
  return stdout.trim() === '' ? undefined : (JSON.parse(stdout) as { ifindex: number }[])[0];
};

beforeAll(async () => {
  const image = await timed('tiny image', tinyImage);
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

test('both answer through the Service’s address', async () => {
  await cluster.k3s.kubectl(['apply', '-f', '-'], { input: manifests });
  address = await kubectl('get', 'service', 'web', '-o', 'jsonpath={.spec.clusterIP}');
  await timed('applied until the VM is an endpoint', () =>
    eventually(async () => (await ends()).some((name) => name.startsWith('vm-')), slow),
  );
  await timed('until both have answered', () => answers(/^web-vm$/, /^web-pod-/));
  expect((await ends()).length).toBe(2);
});

test('croftd killed: the guest is the same, and both answer; back again, nothing was made anew', async () => {
  const before = { pid: await pid(), link: await link() };
  await box.kill();
  await answers(/^web-vm$/, /^web-pod-/);
  await box.start();
  await answers(/^web-vm$/, /^web-pod-/);
  expect({ pid: await pid(), link: await link() }).toEqual(before);
});

test('a paused guest is taken out of the Service, and comes back', async () => {
  await box.croft(['vm', 'pause', 'web-vm']);
  await eventually(async () => (await ends()).every((name) => !name.startsWith('vm-')), slow);
  await box.croft(['vm', 'unpause', 'web-vm']);
  await eventually(async () => (await ends()).some((name) => name.startsWith('vm-')), slow);
  await answers(/^web-vm$/);
});

test('the pod’s sandbox killed: the guest runs on, and its new pod leads to it', async () => {
  const guest = await pid();
  const before = (await shadow())?.metadata.uid as string;
  process.kill((await findPodProcess(before)) as number, 'SIGKILL');
  await eventually(async () => {
    const now = await shadow();
    return now !== undefined && now.metadata.uid !== before;
  }, slow);
  await timed('killed until the VM answers through its new pod', () => answers(/^web-vm$/));
  const { stdout: told } = await box.croft(['event', 'list']);
  expect(await pid(), `The guest was ended:\n${told}`).toBe(guest);
});

test('the VM deleted: its endpoint and link are gone, the other answers', async () => {
  const name = podLinkName(await vmId(), 0);
  await cluster.k3s.kubectl(['delete', 'vm', 'web-vm', '--timeout=90s'], { timeout: 100_000 });
  await eventually(async () => (await ends()).every((end) => end.startsWith('web-pod-')), slow);
  await answers(/^web-pod-/);
  const { stdout } = await cluster.node.run(['ip', '-j', 'link', 'show']);
  expect(stdout).not.toContain(name);
  expect(stdout).not.toMatch(/"cp[0-9a-f]{10}n/);
});
