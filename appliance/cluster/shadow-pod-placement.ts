/** Placement by shadow pods: asks kube-scheduler for a place, and follows what becomes of it. */
import { isCroftError } from '../errors.ts';
import type { Informer } from '../reconcile/informer.ts';
import type { VirtualMachineInstance } from '../resources/virtual-machine.ts';
import type { ResourceStore } from '../store/store.ts';
import type { Placement } from '../vm/placement.ts';
import { isOver, placeFrom, pod, podNameOf, shadowPod, type Pod } from './shadow-pod.ts';

/** The reservation ends at once, for scheduler and quota; kubelet ends the hold program, which ignores SIGTERM, when its grace is over. */
const releaseGrace = 0;

/** @param nodeName of this box, the same in Kubernetes and in Croft. @param pods its maker stops it */
export function createShadowPodPlacement(store: ResourceStore, pods: Informer<typeof pod>, nodeName: string): Placement {
  const podOf = ({ metadata }: VirtualMachineInstance): Pod | undefined => pods.get(podNameOf({ metadata }), metadata.namespace);
  const remove = ({ metadata }: { metadata: { name: string; namespace?: string } }, uid?: string) =>
    store.delete(pod, metadata.name, metadata.namespace, { graceSeconds: releaseGrace, ...(uid === undefined ? {} : { uid }) });

  return {
    placeOf: (instance) => placeFrom(podOf(instance), nodeName),

    async request(instance, vmId, here) {
      const present = podOf(instance);
      // One that ended keeps the name; its removal is a change, which brings us back.
      if (present && isOver(present)) return void (await remove(present, present.metadata.uid));
      try {
        await store.create(pod, shadowPod(instance, vmId, here ? nodeName : undefined));
      } catch (error) {
        // Made by an earlier run whose write we have not seen yet.
        if (!isCroftError(error, 'already-exists')) throw error;
      }
    },

    async release(instance) {
      await remove({ metadata: { name: podNameOf(instance), namespace: instance.metadata.namespace as string } });
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
