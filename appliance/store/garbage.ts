/**
 * Garbage collection: objects all of whose owners are gone are deleted, in the background, by the same
 * two-phase delete as any other. What a crash leaves over is found when the store opens.
 */
import type { ObjectTable, Place } from './object-table.ts';

export type GarbageCollector = {
  /** An object of this uid was removed. */
  ownerGone(uid: string): void;
  /** An object was written that names owners: one of them may never have been, or be gone already. */
  check(uids: readonly string[]): void;
  /** All that there is: after opening. */
  sweep(): void;
  close(): void;
};

/** Deletions per turn of the event loop, each a synced write. */
const perTurn = 20;

export function createGarbageCollector(
  table: Pick<ObjectTable, 'orphans' | 'orphansOf' | 'ownerExists'>,
  remove: (place: Place) => void,
  failed: (error: unknown) => void,
): GarbageCollector {
  const gone = new Set<string>();
  let sweeping = false;
  let scheduled: NodeJS.Immediate | undefined;
  let closed = false;

  function turn(): void {
    scheduled = undefined;
    try {
      let left = perTurn;
      if (sweeping) {
        const orphans = table.orphans();
        for (const place of orphans.slice(0, left)) remove(place);
        left -= orphans.length;
        // What waits for its finalizers stays an orphan: one pass is enough, removals report their own.
        sweeping = orphans.length > perTurn;
      }
      for (const uid of gone) {
        if (left <= 0) break;
        const orphans = table.orphansOf(uid);
        for (const place of orphans) remove(place);
        gone.delete(uid);
        left -= orphans.length;
      }
    } catch (error) {
      // A full disk, say: the next removal or start tries again.
      failed(error);
      return;
    }
    if (sweeping || gone.size > 0) schedule();
  }

  function schedule(): void {
    if (!closed) scheduled ??= setImmediate(turn);
  }

  return {
    ownerGone(uid) {
      gone.add(uid);
      schedule();
    },
    check(uids) {
      if (uids.some((uid) => table.ownerExists(uid))) return;
      for (const uid of uids) gone.add(uid);
      if (uids.length > 0) schedule();
    },
    sweep() {
      sweeping = true;
      schedule();
    },
    close() {
      closed = true;
      clearImmediate(scheduled);
    },
  };
}
