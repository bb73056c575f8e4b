/**
 * The pod network of VMs: makes a shadow pod's address lead to its guest, and tells Kubernetes when it does.
 *
 * QEMU and its tap stay in the host's network namespace, for a tap that is moved into a pod's dies with the pod. So a
 * veth pair joins the guest's network to the pod's namespace, where nftables forwards (network/pods/). Kubernetes'
 * Services take pods by label and readiness: the gate `croft.io/active` is open while the guest runs on this box and
 * the link stands. A pod that is made anew under a running guest gets a new link; a NIC that is unplugged takes its
 * link along (network/engine.ts), so nothing here needs to be remembered: after a crash all is looked at again.
 */
import type { PodLinker } from '../../network/driver.ts';
import { CroftError, isCroftError, messageOf } from '../errors.ts';
import type { Logger } from '../host/logger.ts';
import { startController, watching } from '../reconcile/controller.ts';
import { fromKey, type Informer } from '../reconcile/informer.ts';
import { idLabel } from '../resources/identity.ts';
import type { InstanceSpec, virtualMachineInstance, VirtualMachineInstance } from '../resources/virtual-machine.ts';
import type { KubeClient } from '../store/kubernetes-client.ts';
import { wishedNics } from '../vm/guest-shape.ts';
import { findPodProcess } from './pod-process.ts';
import { isOver, podsOf, readinessGate, type Pod, type pod } from './shadow-pod.ts';

export type PodNetworkOptions = {
  client: Pick<KubeClient, 'send'>;
  pods: Informer<typeof pod>;
  instances: Informer<typeof virtualMachineInstance>;
  /** Absent: there is no switch, and pods lead nowhere. */
  linker: PodLinker | undefined;
  nodeName: string;
  logger: Logger;
  /** For tests. */
  findProcess?: (podUid: string) => Promise<number | undefined>;
};

/** The NIC on the pod network, with either binding: both are forwarded to. */
export function podNic(spec: InstanceSpec): string | undefined {
  const name = spec.networks?.find((network) => network.pod !== undefined)?.name;
  return wishedNics(spec).find((nic) => nic.name === name)?.name;
}

export type PodNetworkPlan = {
  /** Where the pod's address is to lead; absent: to nothing. */
  link?: { vmId: string; nic: string; podAddress: string };
  gate: { open: boolean; reason: string; message: string };
};

/** What this box has to do for the pod of an instance; undefined: nothing, it isn't here or is going. Pure. */
export function planPodNetwork(
  instance: VirtualMachineInstance,
  found: Pod | undefined,
  nodeName: string,
): PodNetworkPlan | undefined {
  if (!found || isOver(found) || found.metadata.deletionTimestamp !== undefined) return undefined;
  if (found.spec.nodeName !== nodeName || instance.status?.nodeName !== nodeName) return undefined;
  const ready = instance.status.conditions?.find(({ type }) => type === 'Ready');
  if (instance.status.phase !== 'Running' || ready?.status !== 'True') {
    return { gate: { open: false, reason: ready?.reason ?? 'NotRunning', message: ready?.message ?? 'The guest does not run.' } };
  }
  const nic = podNic(instance.spec);
  const vmId = instance.metadata.labels?.[idLabel];
  if (nic === undefined || vmId === undefined) {
    return { gate: { open: true, reason: 'GuestRunning', message: 'The guest runs; it has no NIC on the pod network.' } };
  }
  const podAddress = found.status?.podIP;
  // Kubernetes has not made its sandbox yet: the change of its status brings us back.
  if (podAddress === undefined || podAddress === '') return undefined;
  return {
    link: { vmId, nic, podAddress },
    gate: { open: true, reason: 'GuestRunning', message: `The guest runs, and ${podAddress} leads to its NIC ${nic}.` },
  };
}

/** ms between looks at every link: what somebody removed by hand is put back then. */
const resync = 60_000;

export function startPodNetwork(options: PodNetworkOptions): { stop(): Promise<void> } {
  const { pods, instances, nodeName, logger } = options;
  const controller = startController({
    name: 'pod-network',
    logger,
    resync,
    watches: [
      watching(instances),
      watching(pods, ({ metadata }) =>
        (metadata.ownerReferences ?? [])
          .filter(({ kind }) => kind === 'VirtualMachineInstance')
          .map(({ name }) => `${metadata.namespace}/${name}`),
      ),
    ],
    reconcile: async (key) => {
      const { name, namespace } = fromKey(key);
      const instance = instances.get(name, namespace);
      const found = instance && podsOf(instance, pods.list(namespace)).own;
      const plan = instance && planPodNetwork(instance, found, nodeName);
      if (found && plan) await carryOut(options, found, plan);
      return {};
    },
  });
  return { stop: () => controller.stop() };
}

async function carryOut(options: PodNetworkOptions, found: Pod, { link, gate }: PodNetworkPlan): Promise<void> {
  try {
    if (link) await linkPod(options, found, link);
  } catch (error) {
    await setGate(options, found, { open: false, reason: 'NotLinked', message: messageOf(error) });
    throw error;
  }
  await setGate(options, found, gate);
}

async function linkPod(
  { linker, findProcess = findPodProcess }: PodNetworkOptions,
  { metadata }: Pod,
  link: NonNullable<PodNetworkPlan['link']>,
): Promise<void> {
  if (!linker) throw new CroftError('unavailable', 'This box has no switch, so no pod can lead to a guest.');
  const pid = await findProcess(metadata.uid as string);
  if (pid === undefined) throw new CroftError('unavailable', `The pod ${metadata.name} has no process on this box.`);
  await linker.linkPod({ ...link, pid });
}

async function setGate({ client }: PodNetworkOptions, { metadata, status }: Pod, gate: PodNetworkPlan['gate']): Promise<void> {
  const wished = { type: readinessGate, status: gate.open ? 'True' : 'False', reason: gate.reason, message: gate.message };
  const present = status?.conditions?.find(({ type }) => type === readinessGate);
  if (present?.status === wished.status && present.message === wished.message) return;
  try {
    await client.send({
      method: 'PATCH',
      path: `/api/v1/namespaces/${metadata.namespace}/pods/${metadata.name}/status`,
      // Merges conditions by their type: kubelet writes its own beside it.
      contentType: 'application/strategic-merge-patch+json',
      body: {
        metadata: { uid: metadata.uid },
        status: {
          conditions: [
            { ...wished, ...(present?.status === wished.status ? {} : { lastTransitionTime: new Date().toISOString() }) },
          ],
        },
      },
      about: `Pod ${metadata.namespace}/${metadata.name}`,
    });
  } catch (error) {
    // It went meanwhile; another of its name has another uid.
    if (!isCroftError(error, 'not-found') && !isCroftError(error, 'conflict')) throw error;
  }
}
