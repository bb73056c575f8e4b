/** Whether mirrors come nearer to their end. In memory: a service that starts again looks anew. */
import type { MirrorJob } from './plan-move.ts';

export type Convergence = {
  /** True when no less was left than before for a while. `now`: ms. */
  stalled(moveId: string, job: MirrorJob | undefined, now: number): boolean;
  forget(moveId: string): void;
};

const patience = 10_000;

export function createConvergence(): Convergence {
  const least = new Map<string, { left: number; at: number }>();
  return {
    stalled(moveId, job, now) {
      if (!job) return false;
      const left = job.total - job.done;
      const before = least.get(moveId);
      if (!before || left < before.left || job.total === 0) {
        least.set(moveId, { left, at: now });
        return false;
      }
      return now - before.at > patience;
    },
    forget: (moveId) => void least.delete(moveId),
  };
}
