/**
 * What a VirtualMachineRestore needs next: pure. Its steps, each written down before it is begun and harmless to repeat:
 * `saving` (a safety snapshot), `stopping` (the VM is held stopped by its `restoreInProgress`), `disks` (and spec),
 * `releasing`. Until `disks` nothing is changed and it can be given up; after that it is completed, or undone from the
 * safety snapshot. Whatever happens, it ends: no VM is held for ever.
 */
import {
  snapshotObjectName,
  type RestoreStep,
  type VirtualMachineRestore,
  type VirtualMachineSnapshot,
} from '../../resources/snapshot.ts';
import type { VirtualMachine, VirtualMachineInstance } from '../../resources/virtual-machine.ts';
import { isFinished } from '../instance-phase.ts';

export type RestoreObservation = {
  restore: VirtualMachineRestore;
  vm: VirtualMachine | undefined;
  instance: VirtualMachineInstance | undefined;
  snapshot: VirtualMachineSnapshot | undefined;
  safety: VirtualMachineSnapshot | undefined;
  /** Disks of the snapshot that are gone, as sentences. */
  lost: string[];
  /** ms since the epoch. */
  now: number;
};

export type RestoreAction =
  | { do: 'none' }
  | { do: 'adorn' }
  | { do: 'begin'; ran: boolean; safetySnapshot: string }
  | { do: 'save'; safetySnapshot: string }
  | { do: 'enter'; step: RestoreStep; error?: string }
  | { do: 'hold' }
  | { do: 'stop' }
  | { do: 'wait'; message: string }
  | { do: 'put-back' }
  | { do: 'undo' }
  | { do: 'release' }
  /** Nothing was changed, or nothing is left to change. */
  | { do: 'fail'; message: string }
  | { do: 'let-go' }
  | { do: 'expire' };

export type RestorePlan = { action: RestoreAction; requeueAfter?: number };

export const restoreFinalizer = 'croft.io/restore';
/** Ended restores are kept this long for whoever asks how it went, ms. */
export const keepEnded = 3_600_000;
const look = 1_000;
/** How long a step may fail or wait before the restore is given up, ms. */
export const patience = 60_000;

export const safetyName = (restore: VirtualMachineRestore): string => {
  const at = (restore.metadata.creationTimestamp ?? '').slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-');
  return snapshotObjectName(restore.spec.target.name, `before-restore-${at}`);
};

export function planRestore(observed: RestoreObservation): RestorePlan {
  const { restore, vm, now } = observed;
  const { metadata, status } = restore;
  const croft = status?.croft;
  const removing = metadata.deletionTimestamp !== undefined;
  const held = metadata.finalizers?.includes(restoreFinalizer) ?? false;
  if (removing && !held) return { action: { do: 'none' } };
  if (croft?.endedAt !== undefined) {
    if (removing) return { action: { do: 'let-go' } };
    const left = Date.parse(croft.endedAt) + keepEnded - now;
    return left > 0 ? { action: { do: 'none' }, requeueAfter: left } : { action: { do: 'expire' } };
  }
  if (!held) return { action: { do: 'adorn' } };
  if (!vm)
    return { action: { do: 'fail', message: `There is no VM ${restore.spec.target.name} in project ${metadata.namespace}.` } };
  if (removing && (croft?.step === undefined || croft.step === 'saving')) return { action: { do: 'let-go' } };
  switch (croft?.step) {
    case undefined:
      return planBegin(observed, vm);
    case 'saving':
      return planSaving(observed);
    case 'stopping':
      return removing ? { action: { do: 'enter', step: 'releasing', error: 'It was cancelled.' } } : planStopping(observed, vm);
    case 'disks':
      return { action: { do: 'put-back' } };
    case 'undoing':
      return { action: { do: 'undo' } };
    case 'releasing':
      return { action: { do: 'release' } };
  }
}

function planBegin({ restore, instance, snapshot, lost }: RestoreObservation, vm: VirtualMachine): RestorePlan {
  const fail = (message: string): RestorePlan => ({ action: { do: 'fail', message } });
  const { virtualMachineSnapshotName: name, target } = restore.spec;
  if (vm.metadata.deletionTimestamp !== undefined) return fail(`VM ${target.name} is being deleted.`);
  if (!snapshot) return fail(`There is no snapshot ${name} in project ${restore.metadata.namespace}.`);
  if (snapshot.spec.source.name !== target.name)
    return fail(`Snapshot ${name} is of VM ${snapshot.spec.source.name}, not of ${target.name}; clone it instead.`);
  if (snapshot.status?.readyToUse !== true) return fail(`Snapshot ${name} is not ready.`);
  if (lost.length > 0) return fail(lost.join(' '));
  const other = vm.status?.restoreInProgress;
  if (other !== undefined && other !== restore.metadata.name)
    return { action: { do: 'wait', message: `It waits for restore ${other}.` }, requeueAfter: look };
  const ran = instance !== undefined && !isFinished(instance) && instance.metadata.deletionTimestamp === undefined;
  return { action: { do: 'begin', ran, safetySnapshot: safetyName(restore) } };
}

function planSaving({ restore, safety }: RestoreObservation): RestorePlan {
  const safetySnapshot = restore.status?.croft?.safetySnapshot as string;
  if (!safety) return { action: { do: 'save', safetySnapshot } };
  if (safety.status?.phase === 'Failed') {
    return {
      action: { do: 'fail', message: `The disks as they are now could not be saved first: ${safety.status.error?.message}` },
    };
  }
  if (safety.status?.readyToUse !== true)
    return { action: { do: 'wait', message: 'The disks as they are now are being saved.' }, requeueAfter: look };
  return { action: { do: 'enter', step: 'stopping' } };
}

function planStopping({ restore, instance, now }: RestoreObservation, vm: VirtualMachine): RestorePlan {
  if (vm.status?.restoreInProgress !== restore.metadata.name) return { action: { do: 'hold' } };
  if (instance && now - Date.parse(restore.status?.croft?.since ?? '') > patience) {
    return {
      action: {
        do: 'enter',
        step: 'releasing',
        error: `The VM did not stop within ${patience / 1000} s; its disks are as they were.`,
      },
    };
  }
  if (instance) return { action: { do: 'stop' }, requeueAfter: look };
  return { action: { do: 'enter', step: 'disks' } };
}
