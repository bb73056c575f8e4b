/**
 * The shadow pod: a VM's reservation in a cluster, so that kube-scheduler, quota and `kubectl drain` see it (design.md,
 * *Shadow pod*). It runs one tiny program that holds its namespace and ignores SIGTERM; QEMU itself is the box's. Pure.
 *
 * The readiness gate keeps it out of Services until its address leads to a guest that runs (pod-network.ts).
 */
import { Type } from 'typebox';
import { idLabel } from '../resources/identity.ts';
import { defineKind, type Of } from '../resources/kind.ts';
import { ownerReferenceTo } from '../resources/meta.ts';
import { formatBytes } from '../resources/quantity.ts';
import type { VirtualMachineInstance } from '../resources/virtual-machine.ts';
import type { Draft } from '../store/store.ts';
import { cpusOf, graceOf, memoryOf, vcpuCount } from '../vm/guest-shape.ts';
import { qemuOverhead } from '../vm/memory.ts';
import type { Place } from '../vm/placement.ts';
import { holdImage } from './hold-image.ts';

/** core/v1 Pod, as far as a reservation is read. Not of the registry: people meet it through kubectl only. */
export const pod = defineKind({
  apiVersion: 'v1',
  kind: 'Pod',
  plural: 'pods',
  namespaced: true,
  home: 'core',
  spec: Type.Object({ nodeName: Type.Optional(Type.String()) }),
  status: Type.Object({
    phase: Type.Optional(Type.String()),
    reason: Type.Optional(Type.String()),
    message: Type.Optional(Type.String()),
    podIP: Type.Optional(Type.String()),
    conditions: Type.Optional(
      Type.Array(Type.Object({ type: Type.String(), status: Type.String(), message: Type.Optional(Type.String()) })),
    ),
  }),
});
export type Pod = Of<typeof pod>;

export const shadowLabel = 'croft.io/shadow-pod';
export const instanceLabel = 'vm.kubevirt.io/name';
export const readinessGate = 'croft.io/active';

/** Seconds that a pod outlives its VM's grace period: force takes a moment too. */
const graceMargin = 15;
/** Millicores asked for each vCPU: upstream's default cpuAllocationRatio of 10. */
const millicoresPerVcpu = 100;

/** `vm-NAME-UID8`: another start of the VM is another instance with another uid, so names never meet. */
export function podNameOf({ metadata }: Pick<VirtualMachineInstance, 'metadata'>): string {
  return `vm-${metadata.name.slice(0, 240).replace(/[-.]+$/, '')}-${(metadata.uid ?? '').slice(0, 8)}`;
}

/** The pod of an instance. @param nodeName this box, where the guest runs already: then nothing is scheduled */
export function shadowPod(instance: VirtualMachineInstance, vmId: string, nodeName?: string): Draft<typeof pod> {
  const { metadata, spec } = instance;
  const { [idLabel]: _id, ...labels } = metadata.labels ?? {};
  const memory = formatBytes(memoryOf(spec) + qemuOverhead);
  const cpu = spec.domain.resources?.requests?.cpu ?? `${vcpuCount(cpusOf(spec)) * millicoresPerVcpu}m`;
  const wished = {
    ...(nodeName === undefined ? {} : { nodeName }),
    restartPolicy: 'Never',
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    terminationGracePeriodSeconds: graceOf(spec) + graceMargin,
    readinessGates: [{ conditionType: readinessGate }],
    securityContext: { runAsNonRoot: true, runAsUser: 65_534, runAsGroup: 65_534, seccompProfile: { type: 'RuntimeDefault' } },
    containers: [
      {
        name: 'hold',
        image: holdImage,
        imagePullPolicy: 'Never',
        resources: { requests: { cpu, memory }, limits: { memory } },
        securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
      },
    ],
  };
  return {
    metadata: {
      name: podNameOf(instance),
      namespace: metadata.namespace as string,
      labels: { ...labels, [shadowLabel]: 'true', [instanceLabel]: metadata.name.slice(0, 63), 'croft.io/vm': vmId },
      ownerReferences: [{ ...ownerReferenceTo(instance), blockOwnerDeletion: false }],
    },
    spec: wished,
  };
}

/** On a pod that keeps a place for a migration: its uid. It is taken off when the guest has come. */
export const reservationLabel = 'croft.io/reserved-for';

/** A second pod of the instance, at one of `boxes` by the scheduler's choice, before the guest goes there. */
export function reservationPod(
  instance: VirtualMachineInstance,
  vmId: string,
  migrationUid: string,
  boxes: readonly string[],
): Draft<typeof pod> {
  const { metadata, spec } = shadowPod(instance, vmId);
  const nodeSelectorTerms = [{ matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [...boxes] }] }];
  const wished = {
    ...spec,
    affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } } },
  };
  return {
    metadata: {
      ...metadata,
      name: `${metadata.name}-${migrationUid.slice(0, 8)}`,
      labels: { ...metadata.labels, [reservationLabel]: migrationUid },
    },
    spec: wished,
  };
}

const reservedFor = ({ metadata }: Pod): string | undefined => metadata.labels?.[reservationLabel];

/**
 * Which of the pods are an instance's: `own` stands for its guest, `arrived` is that pod while it is marked as reserved
 * still, `stale` have nothing more to stand for. A reservation of a migration that has not ended is none of them. Pure.
 */
export function podsOf(
  { metadata, status }: VirtualMachineInstance,
  pods: readonly Pod[],
): { own?: Pod; arrived?: Pod; stale: Pod[] } {
  const all = pods.filter((one) => one.metadata.ownerReferences?.some(({ uid }) => uid === metadata.uid));
  const plain = all.filter((one) => reservedFor(one) === undefined);
  const isHere = (one: Pod): boolean => one.spec.nodeName === status?.nodeName;
  const { migrationUid, croft } = status?.migrationState ?? {};
  const reserved = migrationUid === undefined ? undefined : all.find((one) => reservedFor(one) === migrationUid);
  if (reserved && croft?.state === 'completed' && isHere(reserved)) {
    return { own: reserved, arrived: reserved, stale: plain };
  }
  const own = plain.find(isHere) ?? plain[0];
  return { ...(own ? { own } : {}), stale: reserved && croft?.state === 'failed' ? [reserved] : [] };
}

const conditionOf = (object: Pod, type: string) => object.status?.conditions?.find((condition) => condition.type === type);

/** Ends of a pod that mean "leave this box" (kubelet's eviction, preemption, shutdown); others are accidents. */
const evictions = ['Evicted', 'Preempting', 'Terminated', 'NodeShutdown', 'NodeAffinity'];

export const isOver = ({ status }: Pod): boolean => status?.phase === 'Failed' || status?.phase === 'Succeeded';

/** What a pod, or its absence, says about the place. A pod whose program ended by accident is none: it is made anew. */
export function placeFrom(found: Pod | undefined, nodeName: string): Place {
  if (!found) return { state: 'none' };
  const node = found.spec.nodeName;
  if (node !== undefined && node !== '' && node !== nodeName) return { state: 'elsewhere', node };
  if (found.metadata.deletionTimestamp !== undefined) return { state: 'withdrawn' };
  if (isOver(found)) return evictions.includes(found.status?.reason ?? '') ? { state: 'withdrawn' } : { state: 'none' };
  if (node === nodeName) return { state: 'here' };
  return { state: 'waiting', message: waitingFor(found) };
}

/** Of a pod that has no place yet: why. */
export function waitingFor(found: Pod): string {
  const why = conditionOf(found, 'PodScheduled')?.message;
  return why ? `Kubernetes found no place for it: ${why}` : 'Kubernetes is looking for a place for it.';
}
