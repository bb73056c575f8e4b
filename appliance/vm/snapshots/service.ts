/**
 * Snapshots, restores and clones of VMs, theory of operation.
 *
 * Three controllers over three kinds. Each writes down what it is about to do before it does it, and each step may be
 * repeated: the drivers know a snapshot by the id of its object, so after a crash the same call completes what was cut
 * off. A VM's lock (`context.locks`) keeps its guest from being started, and its disks from being plugged, while they
 * are frozen or put back; ending a guest never waits for it. A restore holds its VM stopped by the VM's own
 * `restoreInProgress`, which the VM controller obeys; a restore that is gone holds nobody.
 */
import type { Logger } from '../../host/logger.ts';
import { startController, watching, type Controller } from '../../reconcile/controller.ts';
import { fromKey, keyOf, type Informer } from '../../reconcile/informer.ts';
import type { dataVolume } from '../../resources/data-volume.ts';
import type { Resource } from '../../resources/meta.ts';
import type { virtualMachineClone, virtualMachineRestore, virtualMachineSnapshot } from '../../resources/snapshot.ts';
import type { virtualMachine, virtualMachineInstance } from '../../resources/virtual-machine.ts';
import type { VmContext } from '../context.ts';
import { reconcileClone } from './clone-reconciler.ts';
import { reconcileRestore } from './restore-reconciler.ts';
import { reconcileSnapshot } from './snapshot-reconciler.ts';
import { resumeTracked, type ResumableTasks } from './track.ts';

export type SnapshotInformers = {
  virtualMachine: Informer<typeof virtualMachine>;
  virtualMachineInstance: Informer<typeof virtualMachineInstance>;
  dataVolume: Informer<typeof dataVolume>;
  virtualMachineSnapshot: Informer<typeof virtualMachineSnapshot>;
  virtualMachineRestore: Informer<typeof virtualMachineRestore>;
  virtualMachineClone: Informer<typeof virtualMachineClone>;
};

export type SnapshotService = { stop(): Promise<void> };

const place = (key: string): { name: string; namespace: string } => ({ namespace: 'default', ...fromKey(key) });

/** Guests must have been adopted: what was cut off is completed with those that run. */
export function startSnapshots(
  context: VmContext,
  informers: SnapshotInformers,
  tasks: ResumableTasks,
  logger: Logger,
): SnapshotService {
  const { virtualMachineSnapshot: snapshots, virtualMachineRestore: restores, virtualMachineClone: clones } = informers;
  const near = (object: Resource) => object.metadata.namespace;

  const restoresOf = (vm: Resource): string[] =>
    restores
      .list(near(vm))
      .filter(({ spec }) => spec.target.name === vm.metadata.name)
      .map(keyOf);

  const controllers: Controller[] = [
    startController({
      name: 'snapshot',
      logger,
      gate: context.peers?.gate,
      watches: [
        watching(snapshots),
        watching(informers.virtualMachine, (vm) =>
          snapshots
            .list(near(vm))
            .filter(({ spec, status }) => spec.source.name === vm.metadata.name && status?.phase === 'InProgress')
            .map(keyOf),
        ),
      ],
      reconcile: (key) => reconcileSnapshot(context, place(key)),
    }),
    startController({
      name: 'restore',
      logger,
      gate: context.peers?.gate,
      watches: [
        watching(restores),
        watching(snapshots, (snapshot) =>
          restores
            .list(near(snapshot))
            .filter(({ status }) => status?.croft?.safetySnapshot === snapshot.metadata.name)
            .map(keyOf),
        ),
        watching(informers.virtualMachineInstance, restoresOf),
        // Also the restore a VM is held by, which may be there no more.
        watching(informers.virtualMachine, (vm) => {
          const held = vm.status?.restoreInProgress;
          return [...restoresOf(vm), ...(held === undefined ? [] : [`${vm.metadata.namespace}/${held}`])];
        }),
      ],
      reconcile: (key) => reconcileRestore(context, place(key)),
    }),
    startController({
      name: 'clone',
      logger,
      gate: context.peers?.gate,
      watches: [
        watching(clones),
        watching(snapshots, (snapshot) =>
          clones
            .list(near(snapshot))
            .filter(({ status }) => status?.snapshotName === snapshot.metadata.name)
            .map(keyOf),
        ),
        watching(informers.dataVolume, (volume) => {
          const owners = (volume.metadata.ownerReferences ?? []).map(({ name }) => name);
          return clones
            .list(near(volume))
            .filter(({ status }) => owners.includes(status?.targetName ?? ''))
            .map(keyOf);
        }),
      ],
      reconcile: (key) => reconcileClone(context, place(key)),
    }),
  ];
  resumeTracked({ tasks, store: context.store, logger }).catch((error: unknown) =>
    logger.warn({ err: error }, 'tasks were not taken up again'),
  );

  return {
    async stop() {
      await Promise.all(controllers.map((controller) => controller.stop()));
    },
  };
}
