/** The parts of a box that its Kubernetes brings: which store it is on, pods' network, reads while the API is away. */
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { fetchFile } from '../../storage/images/fetch.ts';
import { k3sOf, settingsOfFounder } from '../cluster/membership.ts';
import type { PodNetworkOptions } from '../cluster/pod-network.ts';
import type { Config } from '../config.ts';
import type { Logger } from '../host/logger.ts';
import { startInformer, type Informer } from '../reconcile/informer.ts';
import { secret, systemNamespace } from '../resources/core-kinds.ts';
import { network, node, token, user } from '../resources/croft-kinds.ts';
import type { BoxStore } from '../store/box/box-store.ts';
import { withLastKnown, type LastKnown } from '../store/last-known.ts';
import type { ResourceStore } from '../store/store.ts';
import type { Stack } from './stack.ts';

/** Addresses with prefix that the machine is on. */
export const hostSubnets = (): string[] =>
  Object.values(networkInterfaces()).flatMap((links) =>
    (links ?? []).flatMap(({ cidr, family }) => (family === 'IPv4' && cidr ? [cidr] : [])),
  );

/** What people may still read while the API server is away; their sign-ins too. Controllers never act on it. */
export async function rememberReads(
  store: ResourceStore,
  informers: Informer[],
  logger: Logger,
  stack: Stack,
): Promise<LastKnown> {
  const more = [
    startInformer(store, node, { logger }),
    startInformer(store, user, { logger }),
    startInformer(store, token, { logger }),
    // Of secrets only those by which people sign in: others' have no business in this memory.
    startInformer(store, secret, { logger, namespace: systemNamespace }),
  ] as unknown as Informer[];
  const reads = withLastKnown(store, [...informers, ...more]);
  stack.push('last known state', async () => {
    reads.stop();
    await Promise.all(more.map((informer) => informer.stop()));
  });
  await Promise.all(more.map((informer) => informer.synced()));
  return reads;
}

/** Pinned with the product; the ISO's build puts it there too. */
const lockFile = join(import.meta.dirname, '../../k3s.lock');

/**
 * Whether the box runs Kubernetes of its own (`croft cluster init`): a move that is due is made, k3s is up, and the
 * settings say where the resources are.
 */
export async function settleOnCluster(
  given: Config,
  {
    box,
    logger,
    nodeName,
    founds,
  }: { box: BoxStore; logger: Logger; nodeName: string /** Not simulated, and of no other's cluster. */; founds: boolean },
  stack: Stack,
) {
  const never = new Promise<void>(() => {});
  if (!founds) return { config: given, port: async () => ({ port: undefined, replaced: never }) };
  const { createClusterPort, settleCluster } = await import('../cluster/cluster-port.ts');
  const parts = { config: given, box, logger, lockFile, fetch: fetchFile };
  const membership = await settleCluster(parts);
  const k3s = membership && k3sOf(given, membership, logger);
  if (k3s) {
    stack.push('k3s', async () => k3s.release());
    await k3s.start();
  }
  const config: Config = membership ? settingsOfFounder(given, membership) : given;
  const replacement = Promise.withResolvers<void>();
  const port = async (store: ResourceStore) => {
    const occupied = async () => {
      const { items } = await store.list(network);
      return [...hostSubnets(), ...items.flatMap(({ spec }) => spec.address ?? [])];
    };
    const made = createClusterPort({ ...parts, config, nodeName, membership, k3s, occupied, replace: replacement.resolve });
    return { port: made, replaced: replacement.promise };
  };
  return { config, port };
}

/** Loaded only here, as the rest of the Kubernetes client is. */
export async function joinPodNetwork(
  { kubeconfig }: Config,
  options: Omit<PodNetworkOptions, 'client'>,
  stack: Stack,
): Promise<void> {
  const [{ startPodNetwork }, { createKubeClient }] = await Promise.all([
    import('../cluster/pod-network.ts'),
    import('../store/kubernetes-client.ts'),
  ]);
  const client = createKubeClient(kubeconfig);
  const podNetwork = startPodNetwork({ ...options, client });
  stack.push('pod network', async () => {
    await podNetwork.stop();
    client.close();
  });
}
