/** What a VirtualMachineClone needs next: pure. Phases are upstream's. */
import { shortId } from '../../resources/identity.ts';
import type { DataVolume } from '../../resources/data-volume.ts';
import { snapshotObjectName, type VirtualMachineClone, type VirtualMachineSnapshot } from '../../resources/snapshot.ts';
import type { VirtualMachine } from '../../resources/virtual-machine.ts';
import { keepEnded } from './plan-restore.ts';

export type CloneObservation = {
  clone: VirtualMachineClone;
  /** `croft.io/id` of the clone; undefined before it has one. */
  id: string | undefined;
  snapshot: VirtualMachineSnapshot | undefined;
  target: VirtualMachine | undefined;
  /** The target's. */
  dataVolumes: readonly DataVolume[];
  /** ms since the epoch. */
  now: number;
};

export type CloneAction =
  | { do: 'none' }
  | { do: 'adorn' }
  | { do: 'begin'; snapshotName: string; targetName: string }
  | { do: 'snapshot' }
  | { do: 'create' }
  | { do: 'enter'; phase: 'CreatingTargetVM' | 'RestoreInProgress' }
  | { do: 'wait' }
  | { do: 'succeed' }
  | { do: 'fail'; message: string }
  | { do: 'expire' };

export type ClonePlan = { action: CloneAction; requeueAfter?: number };

/** On a VM that a clone made: the clone's id, so that a repeated step knows its own work. */
export const clonedByAnnotation = 'croft.io/cloned-by';

const fail = (message: string): ClonePlan => ({ action: { do: 'fail', message } });

export function planClone(observed: CloneObservation): ClonePlan {
  const { clone, id, target, now } = observed;
  const { metadata, status } = clone;
  if (metadata.deletionTimestamp !== undefined) return { action: { do: 'none' } };
  if (id === undefined) return { action: { do: 'adorn' } };
  if (status?.croft?.endedAt !== undefined) {
    const left = Date.parse(status.croft.endedAt) + keepEnded - now;
    return left > 0 ? { action: { do: 'none' }, requeueAfter: left } : { action: { do: 'expire' } };
  }
  const foreign = target !== undefined && target.metadata.annotations?.[clonedByAnnotation] !== id;
  if (foreign) return fail(`There is a VM ${target.metadata.name} already.`);
  switch (status?.phase) {
    case 'SnapshotInProgress':
      return planSnapshotting(observed);
    case 'CreatingTargetVM':
      return { action: target ? { do: 'enter', phase: 'RestoreInProgress' } : { do: 'create' } };
    case 'RestoreInProgress':
      return planFilling(observed);
    default: {
      const { source } = clone.spec;
      const own = source.kind === 'VirtualMachine';
      const snapshotName = own ? snapshotObjectName(source.name, `clone-${shortId(id)}`) : source.name;
      const targetName = clone.spec.target?.name ?? `${source.name.replaceAll('.', '-')}-clone-${shortId(id).slice(-5)}`;
      return { action: { do: 'begin', snapshotName, targetName } };
    }
  }
}

function planSnapshotting({ clone, snapshot }: CloneObservation): ClonePlan {
  const { source } = clone.spec;
  if (!snapshot)
    return source.kind === 'VirtualMachine' ? { action: { do: 'snapshot' } } : fail(`There is no snapshot ${source.name}.`);
  if (snapshot.status?.phase === 'Failed') return fail(snapshot.status.error?.message ?? 'The snapshot failed.');
  if (snapshot.status?.readyToUse !== true) return { action: { do: 'wait' } };
  return { action: { do: 'enter', phase: 'CreatingTargetVM' } };
}

function planFilling({ clone, target, dataVolumes }: CloneObservation): ClonePlan {
  if (!target) return fail(`VM ${clone.status?.targetName} was deleted meanwhile.`);
  const failed = dataVolumes.find(({ status }) => status?.phase === 'Failed');
  if (failed) {
    const why = failed.status?.conditions?.find(({ type }) => type === 'Ready')?.message;
    return fail(`Disk ${failed.metadata.name}: ${why ?? 'it failed.'}`);
  }
  const wanted = target.spec.dataVolumeTemplates?.length ?? 0;
  const ready = dataVolumes.filter(({ status }) => status?.phase === 'Succeeded').length;
  return { action: { do: ready >= wanted ? 'succeed' : 'wait' } };
}
