/** One lab node with Kubernetes and Croft's CRDs, reachable from the test's own process. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { K3s } from '../../appliance/cluster/k3s.ts';
import { dataVolume } from '../../appliance/resources/data-volume.ts';
import { ownerReferenceTo } from '../../appliance/resources/meta.ts';
import { installCrds } from '../../appliance/store/kubernetes-setup.ts';
import type { ResourceStore } from '../../appliance/store/store.ts';
import { eventually } from '../helpers/eventually.ts';
import { relayApi, type ApiRelay } from './api-relay.ts';
import { labK3s, timed } from './lab-k3s.ts';
import { createLabNode, type LabNode } from './lab-node.ts';
import { obtainK3s } from './obtain-k3s.ts';

export type LabCluster = {
  node: LabNode;
  k3s: K3s;
  relay: ApiRelay;
  newNamespace: () => Promise<string>;
  close: () => Promise<void>;
};

export async function createLabCluster(nodeName: string): Promise<LabCluster> {
  const release = await obtainK3s();
  const node = await createLabNode('10.99.0.1');
  const k3s = labK3s(node, { role: 'first', nodeName });
  let relay: ApiRelay | undefined;
  const close = async () => {
    await relay?.close();
    k3s.release();
    await node.destroy();
  };
  try {
    await k3s.install(release.binary, release.images);
    await k3s.configure();
    await timed('start until the node is Ready', () => k3s.start());
    relay = await relayApi(node, join(node.directory, 'etc/k3s.yaml'));
    const { kubeconfig } = relay;
    await timed('CRDs in and served', () => installCrds(kubeconfig));
    return { node, k3s, relay, newNamespace: () => newNamespace(k3s), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function newNamespace(k3s: K3s): Promise<string> {
  const name = `test-${randomBytes(4).toString('hex')}`;
  await k3s.kubectl(['create', 'namespace', name]);
  return name;
}

/** Kubernetes' garbage collector looks for new kinds each 30 s; until it has seen ours, owned objects stay. */
export async function garbageIsCollected(store: ResourceStore, namespace: string): Promise<void> {
  const spec = { source: { blank: {} } };
  const owner = await store.create(dataVolume, { metadata: { name: 'owner', namespace }, spec });
  await store.create(dataVolume, { metadata: { name: 'owned', namespace, ownerReferences: [ownerReferenceTo(owner)] }, spec });
  await store.delete(dataVolume, 'owner', namespace);
  await eventually(async () => (await store.get(dataVolume, 'owned', namespace)) === undefined, {
    timeout: 120_000,
    interval: 250,
  });
}
