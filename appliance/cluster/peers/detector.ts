/**
 * Which boxes are silent: pure bookkeeping on one box's own monotonic clock. Times in the heartbeats are never compared,
 * for clocks differ and step.
 *
 * Silence only counts as far as this box has since seen its *own* heartbeat come back the same way, through quorum and
 * watch. So when the store stands still (an election, a cut of our own), nobody becomes silent.
 */

export type Detector = {
  /** A heartbeat of `box` came in; `beat` is whatever changes with each. */
  seen(box: string, beat: string): void;
  forget(box: string): void;
  /** ms of proven silence; 0 while unknown. */
  silence(box: string): number;
  /** False while this box's own heartbeats don't come back: it knows nothing of the others then. */
  hears(): boolean;
};

/** @param deaf ms without an own heartbeat after which this box knows nothing. @param now monotonic ms */
export function createDetector(self: string, deaf: number, now: () => number = () => performance.now()): Detector {
  const last = new Map<string, { beat: string; at: number }>();
  const own = (): number | undefined => last.get(self)?.at;
  return {
    seen(box, beat) {
      if (last.get(box)?.beat !== beat) last.set(box, { beat, at: now() });
    },
    forget: (box) => void last.delete(box),
    silence(box) {
      const [mine, theirs] = [own(), last.get(box)?.at];
      return mine === undefined || theirs === undefined ? 0 : Math.max(0, mine - theirs);
    },
    hears() {
      const mine = own();
      return mine !== undefined && now() - mine <= deaf;
    },
  };
}
