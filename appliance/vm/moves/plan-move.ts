/**
 * What a VolumeMove needs next: pure. The disk is where its claim's pool says, and nothing else decides: the claim
 * changes in one compare-and-swap, at an instant when both copies are the same and nobody can write (a mirror that is
 * `pending` holds the guest's requests; a closed volume has no guest). Before it the copy can be dropped at any point,
 * after it the old volume. So a service that is killed anywhere finds, when it returns, which of the two is the disk.
 *
 * A mirror follows the guest's writes and never catches up with one that writes all the time. So once little is left,
 * the guest is held (its vCPUs stopped, which ends its requests), the rest is copied, the change-over made, and the
 * guest let go on. That it is held stands in the move before it is, so that it is never forgotten.
 */
import type { VolumeMove } from '../../resources/volume-move.ts';
import { keepEnded } from '../snapshots/plan-restore.ts';

/** QEMU's JobStatus (qapi/job.json), and what is known of the job. */
export type MirrorJob = {
  status: string;
  /** Bytes done and bytes in all; both grow while the guest writes. */
  done: number;
  total: number;
  error?: string;
};

/** The guest whose disk the volume is, on this box. */
export type MoveGuest = {
  epoch: number;
  /** What its device uses: the volume as it was, the copy, or it has no such device. */
  uses: 'source' | 'target' | 'nothing';
  /** Its vCPUs run. */
  running: boolean;
  job: MirrorJob | undefined;
  /** Block nodes that are open beside those the device uses. */
  sourceNodes: boolean;
  targetNodes: boolean;
};

/** Copying a closed volume. */
export type Copier = { state: 'running' | 'done' } | { state: 'failed'; error: string };

export type MoveObservation = {
  move: VolumeMove;
  /** Undefined when it is gone, or another volume has its name now. */
  claim: { pool: string; moving: string | undefined; deleting: boolean } | undefined;
  guest: MoveGuest | undefined;
  copier: Copier | undefined;
  /** What the pools have under the volume's id. */
  sourceThere: boolean;
  targetThere: boolean;
  /** The mirror has not come nearer to its end for a while: the guest writes as fast as it copies. */
  stalled: boolean;
  /** Why the volume cannot be moved, asked before it begins and once more before the switch. */
  refusal: string | undefined;
  /** Why it cannot be begun yet. */
  pending: string | undefined;
  /** The VM's instance is held by another box. */
  elsewhere: boolean;
  /** ms since the epoch. */
  now: number;
};

export type MoveAction =
  | { do: 'none' }
  | { do: 'adorn' }
  | { do: 'begin' }
  | { do: 'wait'; message: string }
  /** Makes the target and lets the guest's QEMU copy to it. */
  | { do: 'mirror' }
  /** Makes the target and copies the closed volume to it. */
  | { do: 'copy' }
  | { do: 'report'; progress: number }
  /** Stops the guest, so that what is left can be copied. */
  | { do: 'hold' }
  /** Lets a guest go on that was held. */
  | { do: 'release' }
  | { do: 'complete' }
  /** The compare-and-swap on the claim. */
  | { do: 'switch' }
  | { do: 'switch-back'; error: string }
  | { do: 'finalize' }
  | { do: 'dismiss' }
  | { do: 'close-source-nodes' }
  | { do: 'close-target-nodes' }
  | { do: 'drop-source' }
  | { do: 'drop-target' }
  | { do: 'cancel-job' }
  | { do: 'cancel-copy' }
  | { do: 'undo'; error: string; cancelled?: true }
  | { do: 'end' }
  /** Lets go of the claim. */
  | { do: 'unlock' }
  | { do: 'fail'; message: string }
  | { do: 'let-go' }
  | { do: 'expire' };

type MoveFacts = NonNullable<NonNullable<VolumeMove['status']>['croft']>;
type Held = NonNullable<MoveFacts['held']>;

export type MovePlan = { action: MoveAction; requeueAfter?: number };

export const moveFinalizer = 'croft.io/move';

/** ms between looks at a copy under way. */
const copyInterval = 500;
/** While the guest's requests are held, every ms counts. */
const switchInterval = 10;
const waitInterval = 2_000;
/** Bytes left for which a guest is held; those for which it is when the mirror comes no nearer. */
const near = 16 * 2 ** 20;
const nearWhenStalled = 256 * 2 ** 20;
/** ms a guest is held at most: then the copy is too slow, and tried again later. */
const holdLimit = 15_000;
const startLimit = 60_000;

export function planMove(observed: MoveObservation): MovePlan {
  const { move, claim, now } = observed;
  const { metadata, status, spec } = move;
  const croft = status?.croft;
  const removing = metadata.deletionTimestamp !== undefined;
  const held = metadata.finalizers?.includes(moveFinalizer) ?? false;
  const ours = claim?.moving === metadata.name;
  if (removing && !held) return { action: { do: 'none' } };
  if (croft?.endedAt !== undefined) {
    if (ours) return { action: { do: 'unlock' } };
    if (removing) return { action: { do: 'let-go' } };
    const left = Date.parse(croft.endedAt) + keepEnded - now;
    return left > 0 ? { action: { do: 'none' }, requeueAfter: left } : { action: { do: 'expire' } };
  }
  if (!held) return { action: { do: 'adorn' } };
  if (observed.elsewhere) return { action: { do: 'none' }, requeueAfter: waitInterval };
  if (croft?.step === undefined) return planBegin(observed, removing, ours);
  const switched = claim !== undefined && claim.pool === spec.pool;
  if (switched) return planSwitched(observed);
  if (croft.step === 'undoing') return planUndo(observed);
  if (!claim || claim.deleting) return undo('The volume was deleted meanwhile.');
  if (!ours) return undo('The volume was let go of meanwhile.');
  if (removing) return { action: { do: 'undo', error: 'It was cancelled.', cancelled: true } };
  return croft.liveEpoch === undefined ? planClosed(observed) : planLive(observed, croft);
}

const undo = (error: string): MovePlan => ({ action: { do: 'undo', error } });

function planBegin({ claim, move, refusal, pending, guest }: MoveObservation, removing: boolean, ours: boolean): MovePlan {
  if (removing) return { action: { do: ours ? 'unlock' : 'let-go' } };
  const fail = (message: string): MovePlan => ({ action: { do: 'fail', message } });
  const { claimName, pool } = move.spec;
  if (!claim) return fail(`There is no volume ${claimName} in project ${move.metadata.namespace}.`);
  if (claim.deleting) return fail(`Volume ${claimName} is being deleted.`);
  if (claim.moving !== undefined && !ours) return fail(`Volume ${claimName} is being moved already.`);
  if (claim.pool === pool) return fail(`Volume ${claimName} is in pool ${pool} already.`);
  if (refusal !== undefined) return fail(refusal);
  if (pending !== undefined && !ours) return { action: { do: 'wait', message: pending }, requeueAfter: waitInterval };
  // What an earlier move could not close keeps QEMU from copying again.
  if (guest?.targetNodes && guest.uses !== 'target') return { action: { do: 'close-target-nodes' } };
  return { action: { do: 'begin' } };
}

function planClosed({ guest, copier, refusal }: MoveObservation): MovePlan {
  // It was plugged between the begin and now; the copy below is not of it.
  if (guest && guest.uses !== 'nothing')
    return copier?.state === 'running' ? { action: { do: 'cancel-copy' } } : { action: { do: 'mirror' } };
  if (!copier) return { action: { do: 'copy' }, requeueAfter: copyInterval };
  if (copier.state === 'failed') return undo(copier.error);
  if (copier.state === 'running') return { action: { do: 'none' }, requeueAfter: copyInterval };
  return refusal === undefined ? { action: { do: 'switch' } } : undo(refusal);
}

function planLive(observed: MoveObservation, { liveEpoch, held }: MoveFacts): MovePlan {
  const { guest, refusal } = observed;
  if (!guest || guest.epoch !== liveEpoch) return undo('The VM ended while its disk was being moved.');
  // Only a finished mirror brings a guest there: QEMU is right, whatever the claim says.
  if (guest.uses === 'target') return { action: { do: 'switch' } };
  if (guest.uses === 'nothing') return undo('The disk was detached while it was being moved.');
  const { job } = guest;
  if (!job) return { action: { do: 'mirror' } };
  switch (job.status) {
    case 'running':
    case 'ready':
      if (job.status === 'ready' && refusal !== undefined) return undo(refusal);
      return held ? planHeld(observed, guest.running, job, held) : planCopying(observed, guest.running, job);
    case 'pending':
      return refusal === undefined ? { action: { do: 'switch' } } : undo(refusal);
    case 'waiting':
      return { action: { do: 'none' }, requeueAfter: switchInterval };
    case 'concluded':
    case 'aborting':
    case 'null':
      return undo(job.error ? `QEMU could not copy the disk: ${job.error}` : 'The copy was ended from outside.');
    default:
      return { action: { do: 'report', progress: fractionOf(job) }, requeueAfter: copyInterval };
  }
}

function planCopying({ stalled }: MoveObservation, running: boolean, job: MirrorJob): MovePlan {
  // It is paused: nothing is written, and the mirror comes to its end.
  if (job.status === 'ready' && !running) return { action: { do: 'complete' }, requeueAfter: switchInterval };
  const left = job.total - job.done;
  // While the mirror only looks at what there is to copy, it says nothing of how much that is.
  const known = job.total > 0 || job.status === 'ready';
  if (running && known && left <= (stalled ? nearWhenStalled : near))
    return { action: { do: 'hold' }, requeueAfter: switchInterval };
  if (running && stalled) {
    const message = 'The VM writes as fast as its disk is copied: the move ends when it writes less, or may use more bandwidth.';
    return { action: { do: 'wait', message }, requeueAfter: waitInterval };
  }
  return { action: { do: 'report', progress: fractionOf(job) }, requeueAfter: copyInterval };
}

function planHeld({ now }: MoveObservation, running: boolean, job: MirrorJob, held: Held): MovePlan {
  const since = now - Date.parse(held.since);
  if (held.for === 'start') {
    if (job.total > 0 || job.status === 'ready') return { action: { do: 'release' } };
    if (since > startLimit) return undo('QEMU did not begin to copy in time.');
    return { action: { do: 'none' }, requeueAfter: switchInterval };
  }
  if (since > holdLimit) return { action: { do: 'release' }, requeueAfter: waitInterval };
  // The service was killed between writing it down and doing it.
  if (running) return { action: { do: 'hold' }, requeueAfter: switchInterval };
  return { action: { do: job.status === 'ready' ? 'complete' : 'none' }, requeueAfter: switchInterval };
}

/** Almost done is not done: the rest is the switch. */
const fractionOf = ({ done, total }: MirrorJob): number => (total > 0 ? Math.min(0.99, done / total) : 0);

/** The claim names the target. */
function planSwitched({ guest, move, sourceThere }: MoveObservation): MovePlan {
  const live = guest !== undefined && guest.epoch === move.status?.croft?.liveEpoch;
  const held = move.status?.croft?.held;
  if (live && guest.job) {
    const { status, error } = guest.job;
    if (status === 'pending') return { action: { do: 'finalize' }, requeueAfter: switchInterval };
    // QEMU could not change over at the last moment: the guest writes to the source, so that is the disk.
    if (status === 'concluded' && guest.uses === 'source') return { action: { do: 'switch-back', error: error ?? '' } };
    if (status === 'concluded' && held) return { action: { do: 'release' } };
    if (status === 'concluded') return { action: { do: 'dismiss' } };
    return { action: { do: 'none' }, requeueAfter: switchInterval };
  }
  if (live && guest.uses === 'source') return { action: { do: 'switch-back', error: '' } };
  if (held) return { action: { do: 'release' } };
  if (live && guest.sourceNodes) return { action: { do: 'close-source-nodes' } };
  return { action: { do: sourceThere ? 'drop-source' : 'end' } };
}

/** The claim names the source: nothing of the target may stay. */
function planUndo({ move, guest, copier, targetThere }: MoveObservation): MovePlan {
  const over = guest?.job?.status === 'concluded';
  if (move.status?.croft?.held && (over || !guest?.job)) return { action: { do: 'release' } };
  if (guest?.job) {
    return { action: { do: over ? 'dismiss' : 'cancel-job' }, requeueAfter: switchInterval };
  }
  if (guest?.targetNodes) return { action: { do: 'close-target-nodes' } };
  if (copier?.state === 'running') return { action: { do: 'cancel-copy' }, requeueAfter: copyInterval };
  return { action: { do: targetThere ? 'drop-target' : 'end' } };
}
