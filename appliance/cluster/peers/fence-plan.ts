/**
 * What a dead box's fence needs next, and what the fenced box may do about it: pure. The argument why no disk ever has
 * two writers is docs/ha.md; test/unit/cluster/peers/two-writers.test.ts runs these very functions through all the
 * orders, crashes and cuts it can find.
 *
 * One step at a time, on fresh facts. Each step may be repeated and cut off, by any box: what has been done is read
 * from the store and from the disks' own map, never remembered.
 */

export type FencePhase = 'pending' | 'confirmed' | 'lifting';

/** What the storage cluster says of a box now. */
export type ShutOut = {
  /** All its addresses are refused, by the map. */
  blocked: boolean;
  /** Its disks are down and may not come up. */
  disksStopped: boolean;
  /** The pools serve with the copies that are left. */
  servesWithout: boolean;
};

export type FenceFacts = {
  /** By heartbeat and by its disks. */
  dead: boolean;
  fence: { phase: FencePhase; settled: boolean } | undefined;
  /** Undefined: the storage cluster has no quorum, or doesn't answer. */
  shutOut: ShutOut | undefined;
  /** VMs on shared disks that the store still gives to the box. */
  held: number;
};

export type FenceStep =
  | { do: 'nothing' }
  | { do: 'wait'; why: string }
  /** Quorum-write of the record, phase `pending`. */
  | { do: 'open' }
  /** The box died again while it was taking its fence away. */
  | { do: 'reopen' }
  | { do: 'block' }
  | { do: 'stop-disks' }
  /** Lets the pools serve with the copies that are left. */
  | { do: 'serve-without' }
  /** Proves, by a read of every placement group with that map, that no disk takes a write of the box; then says so. */
  | { do: 'confirm' }
  /** Gives the box's VMs free: their next start is another box's, with the next epoch. */
  | { do: 'release' }
  | { do: 'settle' };

export function planFence({ dead, fence, shutOut, held }: FenceFacts): FenceStep {
  if (!fence) return dead ? { do: 'open' } : { do: 'nothing' };
  if (fence.phase === 'lifting') return dead ? { do: 'reopen' } : { do: 'nothing' };
  // Also once confirmed: whatever took it back, nothing more is given free before it holds again.
  if (!shutOut) return { do: 'wait', why: 'the storage cluster has no quorum of monitors, or does not answer' };
  if (!shutOut.blocked) return { do: 'block' };
  if (!shutOut.disksStopped) return { do: 'stop-disks' };
  if (!shutOut.servesWithout) return { do: 'serve-without' };
  if (fence.phase === 'pending') return { do: 'confirm' };
  if (held > 0) return { do: 'release' };
  return fence.settled ? { do: 'nothing' } : { do: 'settle' };
}

export type RejoinFacts = {
  fence: { phase: FencePhase; settled: boolean } | undefined;
  /**
   * Guests on shared disks that run here and aren't this box's by the store, box and epoch; and every start under way,
   * for one that looked for a fence before there was any would else begin after it.
   */
  staleGuests: number;
};

export type RejoinStep =
  | { do: 'nothing' }
  | { do: 'wait' }
  | { do: 'end-guests' }
  /** `confirmed` → `lifting`, by compare-and-swap: from here on the fence is this box's alone. */
  | { do: 'claim' }
  /** Lets its addresses and disks in again, then removes the record it claimed. */
  | { do: 'lift' };

/** For the fenced box, about itself. */
export function planRejoin({ fence, staleGuests }: RejoinFacts): RejoinStep {
  if (!fence) return { do: 'nothing' };
  if (staleGuests > 0) return { do: 'end-guests' };
  if (fence.phase === 'lifting') return { do: 'lift' };
  return fence.phase === 'confirmed' && fence.settled ? { do: 'claim' } : { do: 'wait' };
}

/** Why a box may not start a guest now; undefined: it may. `present` is read by quorum, just before. */
export const startRefusal = (present: { phase: FencePhase } | undefined): string | undefined =>
  present && `This box is fenced (${present.phase}): it starts nothing until it has rejoined.`;
