/**
 * QEMU's side of a move: a mirror job from the node that a disk's device uses to the target's. The job ends nothing by
 * itself: it stays `pending`, with the guest's requests held and both copies the same, until it is finalized, and
 * `concluded` until it is dismissed; so whoever comes after a crash finds it. Its id and the target's node names are
 * made from the move's id.
 *
 * It copies in the background, never `write-blocking`: there QEMU (7.2 to 10, block/mirror.c) frees the bitmap of what is
 * in flight before the guest's own writes have ended when the job is cancelled or fails. That damages its heap, and some
 * moments later, mostly when the next mirror begins, it aborts and takes the guest with it.
 */
import { isCroftError } from '../../errors.ts';
import { shortId } from '../../resources/identity.ts';
import type { BlockdevGraph } from '../../../storage/driver.ts';
import type { Guest } from '../hypervisor.ts';
import type { MirrorJob, MoveGuest } from './plan-move.ts';

/** QEMU allows letters first (docs/interop: well-formed ids). */
export const jobIdOf = (moveId: string): string => `move-${shortId(moveId)}`;

const nodeIndex = (node: string): number | undefined => {
  const found = /^d(\d+)(?!\d)/.exec(node)?.[1];
  return found === undefined ? undefined : Number(found);
};

/** Prefix of the target's nodes (at most 15 characters): those of its disk, told apart from every other move's. */
export const targetPrefix = (index: number, moveId: string): string => `d${index}m${shortId(moveId).slice(-7)}`;

export type QemuVersion = { major: number; minor: number };

type Job = { id: string; status: string; 'current-progress': number; 'total-progress': number; error?: string };

/** What QEMU has of the disk `name`. @throws CroftError when QEMU doesn't answer */
export async function observeMirror(guest: Guest, name: string | undefined, moveId: string): Promise<MoveGuest> {
  const [tops, jobs, nodes, state] = await Promise.all([
    guest.topNodes(),
    guest.qmp<Job[]>('query-jobs'),
    nodeNames(guest),
    guest.state(),
  ]);
  const job = jobs.find(({ id }) => id === jobIdOf(moveId));
  const top = name === undefined ? undefined : tops.get(name);
  const targetPattern = new RegExp(`^d\\d+m${shortId(moveId).slice(-7)}(?![0-9a-f])`);
  const isTarget = (node: string): boolean => targetPattern.test(node);
  const index = top === undefined ? undefined : nodeIndex(top);
  return {
    epoch: guest.epoch,
    uses: top === undefined ? 'nothing' : isTarget(top) ? 'target' : 'source',
    running: state === 'running',
    job: job && jobOf(job),
    sourceNodes: index !== undefined && nodes.some((node) => nodeIndex(node) === index && !isTarget(node)),
    targetNodes: nodes.some(isTarget),
  };
}

const jobOf = (job: Job): MirrorJob => ({
  status: job.status,
  done: job['current-progress'],
  total: job['total-progress'],
  ...(job.error === undefined ? {} : { error: job.error }),
});

/** Opens the target and begins to copy. `bandwidth`: bytes a second, 0: no limit. @throws CroftError `qmp-failed`; no node stays */
export async function startMirror(
  guest: Guest,
  { moveId, source, target, bandwidth }: { moveId: string; source: string; target: BlockdevGraph; bandwidth: number },
): Promise<void> {
  try {
    for (const node of target.nodes) await guest.qmp('blockdev-add', node);
    await guest.qmp('blockdev-mirror', {
      'job-id': jobIdOf(moveId),
      device: source,
      target: target.top,
      sync: 'full',
      'copy-mode': 'background',
      'auto-finalize': false,
      'auto-dismiss': false,
      ...(bandwidth > 0 ? { speed: bandwidth } : {}),
    });
  } catch (error) {
    await closeNodes(guest, moveId, 'target').catch(() => undefined); // The first error says more; the move closes them again.
    throw error;
  }
}

/**
 * True where writes are lost that the guest makes while a mirror starts: from 8.2 on QEMU looks at what there is to copy
 * before it notes what changes (mended by "mirror: Fix missed dirty bitmap writes during startup", which an older
 * version may carry or not).
 */
export const startLosesWrites = ({ major, minor }: QemuVersion): boolean => major > 8 || (major === 8 && minor >= 2);

export const qemuVersion = async (guest: Guest): Promise<QemuVersion> =>
  (await guest.qmp<{ qemu: QemuVersion }>('query-version')).qemu;

/** What is left is copied as fast as it can be: the guest stands still meanwhile. */
export const liftLimit = (guest: Guest, moveId: string): Promise<unknown> =>
  guest.qmp('block-job-set-speed', { device: jobIdOf(moveId), speed: 0 });

export const completeJob = (guest: Guest, moveId: string): Promise<unknown> => guest.qmp('job-complete', { id: jobIdOf(moveId) });
export const finalizeJob = (guest: Guest, moveId: string): Promise<unknown> => guest.qmp('job-finalize', { id: jobIdOf(moveId) });
export const dismissJob = (guest: Guest, moveId: string): Promise<unknown> => guest.qmp('job-dismiss', { id: jobIdOf(moveId) });
export const cancelJob = (guest: Guest, moveId: string): Promise<unknown> => guest.qmp('job-cancel', { id: jobIdOf(moveId) });

const nodeNames = async (guest: Guest): Promise<string[]> =>
  (await guest.qmp<{ 'node-name'?: string }[]>('query-named-block-nodes', { flat: true })).flatMap(
    (node) => node['node-name'] ?? [],
  );

/**
 * Takes away the nodes of the target, or all others of the disk `index`. A node can go when nobody uses it, so each
 * round takes the uppermost. @throws CroftError `in-use` naming what QEMU holds
 */
export async function closeNodes(guest: Guest, moveId: string, which: 'target' | 'source', index?: number): Promise<void> {
  const pattern = new RegExp(`^d(\\d+)m${shortId(moveId).slice(-7)}(?![0-9a-f])`);
  const wanted = (node: string): boolean =>
    which === 'target' ? pattern.test(node) : nodeIndex(node) === index && !pattern.test(node);
  for (;;) {
    const nodes = (await nodeNames(guest)).filter(wanted);
    let removed = 0;
    let refusal: unknown;
    for (const node of nodes) {
      try {
        await guest.qmp('blockdev-del', { 'node-name': node });
        removed++;
      } catch (error) {
        if (!isCroftError(error, 'qmp-failed')) throw error;
        refusal = error; // One above it goes first.
      }
    }
    if (removed > 0) continue;
    if (nodes.length > 0) throw refusal;
    return;
  }
}

/** The index of the disk that uses this node. */
export const indexOf = nodeIndex;
