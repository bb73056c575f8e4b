/** What a VirtualMachineSnapshot needs next: pure. */
import type { VirtualMachineSnapshot } from '../../resources/snapshot.ts';
import type { VirtualMachine } from '../../resources/virtual-machine.ts';
import { snapshotDisks } from './content.ts';

export type SnapshotObservation = {
  snapshot: VirtualMachineSnapshot;
  vm: VirtualMachine | undefined;
  /** Why disks cannot be frozen yet; empty: they can. */
  disksPending: string[];
  /** ms since the epoch. */
  now: number;
};

export type SnapshotStep =
  | { do: 'none' }
  | { do: 'adorn' }
  /** Writes down what is to be frozen, then freezes it. */
  | { do: 'begin' }
  /** Was begun before; repeats it. */
  | { do: 'take' }
  | { do: 'wait'; message: string }
  | { do: 'fail'; message: string }
  | { do: 'remove' };

export type SnapshotPlan = { step: SnapshotStep; requeueAfter?: number };

export const snapshotFinalizer = 'croft.io/snapshot';

/** Upstream waits 5 min (`failureDeadline`); a box that can't freeze a disk for a minute won't. */
export const snapshotDeadline = 60_000;
const retry = 1_000;

export function planSnapshot({ snapshot, vm, disksPending, now }: SnapshotObservation): SnapshotPlan {
  const { metadata, spec, status } = snapshot;
  const held = metadata.finalizers?.includes(snapshotFinalizer) ?? false;
  if (metadata.deletionTimestamp !== undefined) return { step: { do: held ? 'remove' : 'none' } };
  if (status?.phase === 'Succeeded' || status?.phase === 'Failed') return { step: { do: 'none' } };
  if (!held) return { step: { do: 'adorn' } };
  const fail = (message: string): SnapshotPlan => ({ step: { do: 'fail', message } });
  if (!vm) return fail(`There is no VM ${spec.source.name} in project ${metadata.namespace}.`);
  if (vm.metadata.deletionTimestamp !== undefined) return fail(`VM ${spec.source.name} is being deleted.`);
  if (snapshotDisks(vm.spec.template.spec).length === 0) return fail(`VM ${spec.source.name} has no disks.`);
  const late = now - Date.parse(metadata.creationTimestamp ?? new Date(now).toISOString()) > snapshotDeadline;
  const wait = (message: string): SnapshotPlan => (late ? fail(message) : { step: { do: 'wait', message }, requeueAfter: retry });
  if (vm.status?.restoreInProgress !== undefined) return wait('Its disks are being put back to another snapshot.');
  if (disksPending.length > 0) return wait(disksPending.join(' '));
  return { step: { do: status?.croft?.content ? 'take' : 'begin' } };
}
