/**
 * Who runs a VM while it moves between two boxes: pure. Both boxes plan from the one record in the store (the instance's
 * `nodeName` and migration state, read by quorum, changed by compare-and-swap on its version) and from their own QEMU.
 *
 *   preparing ─► ready ─► switched ─► handed ─► completed
 *       └──────────┴──────────┴──────────┴────► failed (the source holds it)
 *
 * The source lets QEMU copy until it pauses the guest before the switch. In that pause it writes `switched`: the record
 * names the target. Refused, or not answered in time, it cancels and the guest goes on where it is; the record is put
 * right later. Else the rest is sent. *QEMU's own end says too little*: the source can fail, and let the guest go on, after
 * all has arrived at the target (two generals). So the target doesn't run because it has everything, nor because the
 * record names it, but when the source wrote `handed`: its QEMU has completed, and such a guest never goes on by itself.
 * A target that has lost what came says so (`targetFailed`), and only then may the source take the guest back. Where the
 * source dies in `switched` nobody knows whether its guest went on and wrote: what came is thrown away, not run.
 */

export type HandOver = 'preparing' | 'ready' | 'switched' | 'handed' | 'completed' | 'failed';

export type MigrationRecord = {
  uid: string;
  source: string;
  target: string;
  state: HandOver;
  /** A person wants it ended; heeded until the switch. */
  abort: boolean;
  /** The target's QEMU is gone without having run. */
  targetFailed: boolean;
};

/** MIGRATION_STATUS of QEMU (qapi/migration.json), as far as it matters. */
export type OutgoingState =
  | 'none'
  | 'setup'
  | 'active'
  | 'pre-switchover'
  | 'device'
  | 'completed'
  | 'failed'
  | 'cancelling'
  | 'cancelled';

export type SourceObservation = {
  /** Undefined: the store doesn't answer. `null`: it names no such migration any more. */
  record: MigrationRecord | null | undefined;
  /** The instance's `nodeName`, read with the record. */
  holder: string | undefined;
  /** Undefined: QEMU has ended. */
  qemu: { running: boolean; migration: OutgoingState } | undefined;
  /** The present state lasts longer than it may: the target doesn't get ready, or the store doesn't answer in the pause. */
  overdue: boolean;
};

export type SourceAction =
  | { do: 'wait' }
  | { do: 'start' }
  /** Compare-and-swap: `switched`, the target is the holder. */
  | { do: 'switch' }
  | { do: 'continue' }
  | { do: 'cancel' }
  /** Compare-and-swap: `handed`. */
  | { do: 'hand-over' }
  /** Compare-and-swap: `failed`, the source is (or stays) the holder. */
  | { do: 'take-back'; reason: string }
  /** The vCPUs go on. */
  | { do: 'resume' }
  /** Ends the QEMU that has given its guest away. */
  | { do: 'release' }
  | { do: 'done' };

const wait = { do: 'wait' } as const;

export function planSource({ record, holder, qemu, overdue }: SourceObservation): SourceAction {
  const migration = qemu?.migration;
  const paused = migration === 'pre-switchover';
  if (record === undefined) return paused && overdue ? { do: 'cancel' } : wait;
  const under = migration === 'setup' || migration === 'active' || paused;
  if (record === null) return under ? { do: 'cancel' } : { do: 'done' };
  const takeBack = (reason: string): SourceAction => ({ do: 'take-back', reason });
  switch (record.state) {
    case 'preparing':
      if (!qemu) return takeBack('The VM ended.');
      if (record.abort) return takeBack('It was cancelled.');
      if (record.targetFailed) return takeBack('The target could not take the guest.');
      return overdue ? takeBack('The target did not get ready in time.') : wait;
    case 'ready':
      if (!qemu) return takeBack('The VM ended.');
      if (migration === 'none' && record.targetFailed) return takeBack('The target could not take the guest.');
      if (migration === 'none') return record.abort ? takeBack('It was cancelled.') : { do: 'start' };
      if (under && record.abort) return { do: 'cancel' };
      if (paused) return { do: 'switch' };
      if (migration === 'cancelled') return takeBack('It was cancelled.');
      return migration === 'failed' ? takeBack('QEMU could not send the guest.') : wait;
    case 'switched':
      if (paused) return { do: 'continue' };
      if (migration === 'failed' || migration === 'cancelled') return takeBack('The guest could not be sent whole.');
      // It may have gone on before it ended, and what the target has may be older than the disks.
      if (!qemu) return takeBack('The VM ended before it was handed over.');
      if (record.targetFailed && migration === 'completed') return takeBack('The target lost the guest.');
      return migration === 'completed' ? { do: 'hand-over' } : wait;
    case 'handed':
      return record.targetFailed ? takeBack('The target lost the guest.') : wait;
    case 'completed':
      return { do: qemu ? 'release' : 'done' };
    case 'failed':
      // The target gave it up while this box was shut out: the VM starts from its disks there, and never goes on here.
      if (holder === record.target) return { do: qemu ? 'release' : 'done' };
      if (under) return { do: 'cancel' };
      return migration === 'completed' && !qemu?.running ? { do: 'resume' } : { do: 'done' };
  }
}

export type TargetObservation = {
  record: MigrationRecord | null | undefined;
  /** Undefined: there is none, or it has ended. */
  qemu: { running: boolean; incoming: 'listening' | 'active' | 'completed' } | undefined;
  /** Noted on this box before a guest is let run: it may have written to its disks. */
  mayHaveRun: boolean;
  /** The source's box is fenced: it can neither run the guest nor write from now on. It may have until now. */
  sourceFenced: boolean;
};

export type TargetAction =
  | { do: 'wait' }
  /** Starts a QEMU that waits for the guest, and publishes where. */
  | { do: 'prepare' }
  /** Compare-and-swap: `ready`. */
  | { do: 'publish' }
  /** Notes it, then lets the vCPUs run. */
  | { do: 'run' }
  /** Compare-and-swap: `completed`. */
  | { do: 'complete' }
  /** Compare-and-swap: `targetFailed`. */
  | { do: 'report-failure' }
  /** Compare-and-swap: `failed`, the target stays the holder: the memory is lost, the VM starts anew from its disks. */
  | { do: 'give-up' }
  | { do: 'discard' }
  | { do: 'done' };

export function planTarget({ record, qemu, mayHaveRun, sourceFenced }: TargetObservation): TargetAction {
  if (record === undefined) return wait;
  if (record === null) return { do: qemu && !qemu.running && !mayHaveRun ? 'discard' : 'done' };
  switch (record.state) {
    case 'preparing':
      return { do: qemu ? 'publish' : record.targetFailed ? 'wait' : 'prepare' };
    case 'ready':
      return qemu || record.targetFailed ? wait : { do: 'report-failure' };
    case 'switched':
    case 'handed': {
      if (mayHaveRun) return { do: qemu && !qemu.running ? 'run' : 'complete' };
      if (!qemu && record.targetFailed) return sourceFenced ? { do: 'give-up' } : wait;
      if (!qemu) return { do: 'report-failure' };
      if (record.state === 'switched') return sourceFenced ? { do: 'discard' } : wait;
      return qemu.incoming === 'completed' && !record.targetFailed ? { do: 'run' } : wait;
    }
    case 'completed':
      // Cut off between the note and the vCPUs.
      return { do: qemu && !qemu.running && mayHaveRun ? 'run' : 'done' };
    case 'failed':
      return { do: qemu ? 'discard' : 'done' };
  }
}

/**
 * The boxes that must be fenced, or say that the VM has stopped there, before it may be started from its disks.
 * `holder`: the instance's `nodeName`.
 */
export function holdersOf(holder: string, record: MigrationRecord | undefined): string[] {
  return record?.state === 'switched' ? [record.source, record.target] : [holder];
}
