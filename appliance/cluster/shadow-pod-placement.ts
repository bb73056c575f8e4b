/** Placement by shadow pods: asks kube-scheduler for a place, and follows what becomes of it. */
import { isCroftError } from '../errors.ts';
import type { Informer } from '../reconcile/informer.ts';
import type { VirtualMachineInstance } from '../resources/virtual-machine.ts';
import type { Draft, ResourceStore } from '../store/store.ts';
import { editObject } from '../store/edit.ts';
import type { Placement } from '../vm/placement.ts';
import {
  isOver,
  placeFrom,
  pod,
  podNameOf,
  podsOf,
  reservationLabel,
  reservationPod,
  shadowPod,
  waitingFor,
  type Pod,
} from './shadow-pod.ts';

/** The reservation ends at once, for scheduler and quota; kubelet ends the hold program, which ignores SIGTERM, when its grace is over. */
const releaseGrace = 0;

/** @param nodeName of this box, the same in Kubernetes and in Croft. @param pods its maker stops it */
export function createShadowPodPlacement(store: ResourceStore, pods: Informer<typeof pod>, nodeName: string): Placement {
  const all = (instance: VirtualMachineInstance) => podsOf(instance, pods.list(instance.metadata.namespace));
  const podOf = (instance: VirtualMachineInstance): Pod | undefined => all(instance).own;
  const reservations = (migrationUid: string): Pod[] =>
    pods.list().filter(({ metadata }) => metadata.labels?.[reservationLabel] === migrationUid);
  const remove = ({ metadata }: { metadata: { name: string; namespace?: string } }, uid?: string) =>
    store.delete(pod, metadata.name, metadata.namespace, { graceSeconds: releaseGrace, ...(uid === undefined ? {} : { uid }) });
  const create = async (draft: Draft<typeof pod>): Promise<void> => {
    try {
      await store.create(pod, draft);
    } catch (error) {
      // Made by an earlier run whose write we have not seen yet.
      if (!isCroftError(error, 'already-exists')) throw error;
    }
  };

  return {
    placeOf: (instance) => placeFrom(podOf(instance), nodeName),

    async request(instance, vmId, here) {
      const present = podOf(instance);
      // One that ended keeps the name; its removal is a change, which brings us back.
      if (present && isOver(present)) return void (await remove(present, present.metadata.uid));
      await create(shadowPod(instance, vmId, here ? nodeName : undefined));
    },

    async release(instance) {
      await remove({ metadata: { name: podNameOf(instance), namespace: instance.metadata.namespace as string } });
      const { own, stale } = all(instance);
      for (const one of own ? [own, ...stale] : stale) await remove(one);
    },

    async reserve(instance, vmId, migrationUid, boxes) {
      const [present] = reservations(migrationUid);
      if (present && !isOver(present)) {
        const { nodeName: box = '' } = present.spec;
        return box === '' ? { message: waitingFor(present) } : { box };
      }
      // Refused by its box's kubelet: the scheduler is asked anew.
      if (present) await remove(present, present.metadata.uid);
      await create(reservationPod(instance, vmId, migrationUid, boxes));
      return { message: 'Kubernetes is looking for a place for it.' };
    },

    async cancel(migrationUid) {
      for (const one of reservations(migrationUid)) await remove(one);
    },

    async settle(instance) {
      const { own, arrived, stale } = all(instance);
      for (const one of stale) await remove(one, one.metadata.uid);
      // Came without a reservation: the pod where it was stands for nothing, and another is asked for here.
      if (own && !arrived && own.spec.nodeName !== undefined && own.spec.nodeName !== nodeName)
        await remove(own, own.metadata.uid);
      if (!arrived) return;
      await editObject(store, pod, { name: arrived.metadata.name, namespace: arrived.metadata.namespace as string }, (draft) => {
        delete draft.metadata.labels?.[reservationLabel];
      });
    },

    onChange(listener) {
      pods.onChange((_type, { metadata }) => {
        const owner = metadata.ownerReferences?.find(({ kind }) => kind === 'VirtualMachineInstance');
        if (owner) listener(`${metadata.namespace}/${owner.name}`);
      });
    },

    synced: () => pods.synced(),
    stop: async () => undefined,
  };
}
