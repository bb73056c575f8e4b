/**
 * Which box does what only one may do: a Lease renewed each beat. Kubernetes' way of leader election (client-go
 * leaderelection): another takes over only after the lease stood still for `takeover` by its own clock, and the holder
 * stops by itself well before. It saves work being done twice; it guards no disk (docs/ha.md): a leader that stands still
 * in the middle of a step may go on later, and every step is safe then.
 */
import { isCroftError } from '../../errors.ts';
import type { Logger } from '../../host/logger.ts';
import type { Gate } from '../../reconcile/controller.ts';
import { systemNamespace } from '../../resources/core-kinds.ts';
import { lease } from '../../resources/peer-kinds.ts';
import type { ResourceStore } from '../../store/store.ts';
import type { Timing } from './timing.ts';

export type Leadership = Gate & { /** One try to become or to stay the leader. @throws as the store */ tick(): Promise<void> };

const name = 'croft-leader';

let stamps = 0;

/** As the API server wants MicroTime; each is another one, for a write that changes nothing is none. */
export function microTime(date = new Date()): string {
  stamps = (stamps + 1) % 1000;
  return date.toISOString().replace(/Z$/, `${String(stamps).padStart(3, '0')}Z`);
}

export function createLeadership(
  store: ResourceStore,
  box: string,
  timing: Timing,
  logger: Logger,
  now: () => number = () => performance.now(),
): Leadership {
  const listeners = new Set<() => void>();
  let renewed = -Infinity;
  let seen = { version: '', at: 0 };
  let led = false;

  const isOpen = (): boolean => now() - renewed < timing.resign;
  const mine = (began: number): void => {
    // From before the write: that is what the others' clocks may have seen of it.
    renewed = began;
    if (led) return;
    led = true;
    logger.info({ box }, 'this box leads the cluster now');
    for (const listener of listeners) listener();
  };

  return {
    open: isOpen,
    onOpen(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    async tick() {
      if (led && !isOpen()) {
        led = false;
        logger.warn({ box }, 'this box leads no more: its lease could not be renewed');
      }
      const began = now();
      const spec = { holderIdentity: box, renewTime: microTime(), leaseDurationSeconds: Math.ceil(timing.takeover / 1000) };
      const present = await store.get(lease, name, systemNamespace);
      try {
        if (!present) {
          await store.create(lease, { metadata: { name, namespace: systemNamespace }, spec });
          return mine(began);
        }
        const version = present.metadata.resourceVersion ?? '';
        if (version !== seen.version) seen = { version, at: now() };
        if (present.spec.holderIdentity !== box && now() - seen.at < timing.takeover) return;
        const written = await store.update(lease, { ...present, spec: { ...present.spec, ...spec } });
        seen = { version: written.metadata.resourceVersion ?? '', at: now() };
        mine(began);
      } catch (error) {
        // Another came first: it leads.
        if (!isCroftError(error, 'conflict') && !isCroftError(error, 'already-exists')) throw error;
      }
    },
  };
}
