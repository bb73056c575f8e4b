/** The Kubernetes store keeps the store's contract on real Kubernetes. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { persistentVolumeClaim } from '../../appliance/resources/data-volume.ts';
import { idLabel, newId } from '../../appliance/resources/identity.ts';
import { virtualMachine } from '../../appliance/resources/virtual-machine.ts';
import { startInformer } from '../../appliance/reconcile/informer.ts';
import { editObject, editStatus } from '../../appliance/store/edit.ts';
import { installCrds } from '../../appliance/store/kubernetes-setup.ts';
import { openKubernetesStore } from '../../appliance/store/kubernetes.ts';
import type { ResourceStore } from '../../appliance/store/store.ts';
import { describeStoreContract } from '../contract/store.ts';
import { refusal } from '../contract/store-tools.ts';
import { eventually } from '../helpers/eventually.ts';
import { createLabCluster, garbageIsCollected, type LabCluster } from './lab-cluster.ts';
import { timed } from './lab-k3s.ts';

let cluster: LabCluster;
const open = () => openKubernetesStore({ kubeconfig: cluster.relay.kubeconfig });

beforeAll(async () => {
  cluster = await createLabCluster('box-1');
});
afterAll(() => cluster?.close());

describeStoreContract('kubernetes', async () => {
  const first = open();
  await timed('garbage collector knows our kinds', async () => garbageIsCollected(first, await cluster.newNamespace()));
  const opened = {
    store: first,
    newNamespace: cluster.newNamespace,
    reopen: async () => {
      await opened.store.close();
      opened.store = open();
      return opened.store;
    },
    close: async () => opened.store.close(),
  };
  return opened;
});

describe('what only Kubernetes does', () => {
  let store: ResourceStore;
  let namespace: string;
  beforeAll(async () => {
    store = open();
    namespace = await cluster.newNamespace();
  });
  afterAll(() => store?.close());

  it('installs the CRDs again without harm, with columns and short names', async () => {
    await installCrds(cluster.relay.kubeconfig);
    const domain = { devices: {}, memory: { guest: '64Mi' } };
    await store.create(virtualMachine, {
      metadata: { name: 'web', namespace },
      spec: { runStrategy: 'Halted', template: { spec: { domain } } },
    });
    await editStatus(store, virtualMachine, { name: 'web', namespace }, (vm) => {
      vm.status = { printableStatus: 'Stopped', ready: false };
    });
    const { stdout } = await cluster.k3s.kubectl(['get', 'vm', '-n', namespace]);
    expect(stdout).toMatch(/NAME\s+STATUS\s+READY\s+AGE\nweb\s+Stopped\s+false\s+/);
  });

  it('refuses by the schema what kubectl writes wrongly, naming the field', async () => {
    const apply = (spec: string) => {
      const manifest = `apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nmetadata: { name: bad, namespace: ${namespace} }\nspec: ${spec}\n`;
      return cluster.k3s.kubectl(['apply', '-f', '-'], { input: manifest });
    };
    await expect(apply('{ runStrategy: Sometimes, template: { spec: { domain: { devices: {} } } } }')).rejects.toThrow(
      /runStrategy/,
    );
    await expect(apply('{ runStrategy: Halted, template: { spec: { domain: { devices: { sound: {} } } } } }')).rejects.toThrow(
      /sound/,
    );
  });

  it('refuses by policy what KubeVirt has and Croft does not, whatever the client asks for; labels and deletion pass', async () => {
    const manifest = (name: string, devices: string) =>
      `apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nmetadata: { name: ${name}, namespace: ${namespace} }\nspec: { runStrategy: Halted, template: { spec: { domain: { devices: ${devices} } } } }\n`;
    const apply = (text: string, ...more: string[]) => cluster.k3s.kubectl(['apply', '-f', '-', ...more], { input: text });
    await eventually(
      () =>
        expect(apply(manifest('policy', '{ sound: { name: x } }'), '--validate=false')).rejects.toThrow(
          /domain.devices.sound is a field of KubeVirt/,
        ),
      { timeout: 30_000 },
    );
    await expect(apply(manifest('policy', '{ disks: [{ name: a, io: native }] }'), '--validate=false')).rejects.toThrow(
      /domain.devices.disks\[\].io is a field of KubeVirt/,
    );
    await expect(apply(manifest('policy', '{ disks: [{ name: a, io: native }] }'), '--server-side')).rejects.toThrow(
      /disks\[\].io/,
    );
    await apply(manifest('policy', '{ disks: [{ name: a, disk: {} }] }'));
    await cluster.k3s.kubectl(['label', 'vm', 'policy', '-n', namespace, 'a=b']);
    await cluster.k3s.kubectl(['delete', 'vm', 'policy', '-n', namespace, '--timeout=30s']);
  });

  it('says that there is no such project', async () => {
    const missing = store.create(virtualMachine, {
      metadata: { name: 'web', namespace: 'nowhere' },
      spec: { template: { spec: { domain: { devices: {} } } } },
    });
    expect((await refusal('not-found', missing)).message).toContain('nowhere');
  });

  it('binds a claim to a volume of ours and lets both go', async () => {
    const id = newId();
    const key = { name: 'disk', namespace };
    await store.create(persistentVolumeClaim, {
      metadata: { ...key, labels: { [idLabel]: id }, finalizers: ['croft.io/volume'] },
      spec: {
        accessModes: ['ReadWriteOnce'],
        volumeMode: 'Block',
        storageClassName: 'croft-local',
        resources: { requests: { storage: '1Gi' } },
        dataSource: { kind: 'Image', name: 'tiny' },
      },
    });
    expect((await store.get(persistentVolumeClaim, 'disk', namespace))?.spec.dataSource).toMatchObject({
      kind: 'Image',
      name: 'tiny',
    });
    const condition = { type: 'Bound', status: 'True' as const, reason: 'Bound', message: '' };
    await editStatus(store, persistentVolumeClaim, key, (claim) => {
      claim.status = { ...claim.status, phase: 'Bound', capacity: { storage: '1Gi' }, conditions: [condition] };
    });
    await eventually(async () => (await store.get(persistentVolumeClaim, 'disk', namespace))?.status?.phase === 'Bound', {
      timeout: 30_000,
    });
    const bound = await store.get(persistentVolumeClaim, 'disk', namespace);
    expect(bound?.status).toMatchObject({ capacity: { storage: '1Gi' }, conditions: [{ type: 'Bound', status: 'True' }] });
    await store.delete(persistentVolumeClaim, 'disk', namespace);
    await editObject(store, persistentVolumeClaim, key, (claim) => {
      claim.metadata.finalizers = claim.metadata.finalizers?.filter((one) => one !== 'croft.io/volume');
    });
    await eventually(async () => (await store.get(persistentVolumeClaim, 'disk', namespace)) === undefined, { timeout: 30_000 });
    await eventually(async () => (await cluster.k3s.kubectl(['get', 'pv', '-o', 'name'])).stdout === '', { timeout: 30_000 });
  });

  it('is unavailable while the API is away; an informer keeps what it knows and catches up', async () => {
    const informer = startInformer(store, virtualMachine, { namespace });
    await informer.synced();
    expect(informer.get('web', namespace)).toBeDefined();
    cluster.relay.cut();
    expect((await refusal('unavailable', store.get(virtualMachine, 'web', namespace))).message).toMatch(/does not answer/);
    expect(informer.get('web', namespace)).toBeDefined();
    await cluster.k3s.kubectl(['label', 'vm', 'web', '-n', namespace, 'seen=late']);
    cluster.relay.mend();
    await eventually(() => informer.get('web', namespace)?.metadata.labels?.seen === 'late', { timeout: 40_000 });
    await informer.stop();
  });

  it('outlives a killed API server', async () => {
    process.kill(cluster.k3s.pid as number, 'SIGKILL');
    await refusal('unavailable', store.get(virtualMachine, 'web', namespace));
    await eventually(async () => (await store.get(virtualMachine, 'web', namespace)) !== undefined, {
      timeout: 90_000,
      interval: 250,
    });
    await editObject(store, virtualMachine, { name: 'web', namespace }, (vm) => {
      vm.metadata.labels = { after: 'kill' };
    });
  });
});
