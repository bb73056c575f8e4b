/** The fenced box's own part: it ends what isn't its any more, proves it, and takes its fence away. And the guard of every start. */
import type { StorageFence } from '../../../storage/driver.ts';
import { CroftError, isCroftError } from '../../errors.ts';
import type { Logger } from '../../host/logger.ts';
import { fence } from '../../resources/peer-kinds.ts';
import { idLabel } from '../../resources/identity.ts';
import { virtualMachineInstance } from '../../resources/virtual-machine.ts';
import type { ResourceStore } from '../../store/store.ts';
import { epochOf } from '../../vm/guest-shape.ts';
import { uncordon } from './cordon.ts';
import { planRejoin, startRefusal, type RejoinStep } from './fence-plan.ts';

/** What runs on this box. */
export type OwnGuests = {
  all(): { id: string; epoch: number }[];
  /** Resolves when it is gone. */
  end(id: string): Promise<void>;
};

export type StartGuard = {
  /** Before anything of a start is done. @returns what says that it is over. @throws CroftError `unavailable` while fenced */
  enter(): Promise<() => void>;
  /** Starts under way. */
  readonly under: number;
};

export function createStartGuard(store: ResourceStore, box: string): StartGuard {
  let under = 0;
  return {
    get under() {
      return under;
    },
    async enter() {
      // Counted before looking: a rejoin that begins in between waits for it.
      under++;
      try {
        const present = await store.get(fence, box);
        const refusal = startRefusal(present && { phase: present.status?.phase ?? 'pending' });
        if (refusal) throw new CroftError('unavailable', refusal);
      } catch (error) {
        under--;
        throw error;
      }
      let left = false;
      return () => {
        if (!left) under--;
        left = true;
      };
    },
  };
}

export type RejoinContext = {
  store: ResourceStore;
  storage: StorageFence;
  box: string;
  guests: OwnGuests;
  guard: StartGuard;
  logger: Logger;
};

/** Guests here that the store gives to nobody or to another, or to this box with a later start. */
async function staleGuests({ store, box, guests }: RejoinContext): Promise<string[]> {
  const running = guests.all();
  if (running.length === 0) return [];
  const { items } = await store.list(virtualMachineInstance, { consistent: true });
  return running
    .filter(({ id, epoch }) => {
      const instance = items.find(({ metadata }) => metadata.labels?.[idLabel] === id);
      return !(instance && instance.status?.nodeName === box && epochOf(instance) === epoch);
    })
    .map(({ id }) => id);
}

/** @returns the step taken */
export async function advanceRejoin(context: RejoinContext): Promise<RejoinStep> {
  const { store, storage, box, guests, guard, logger } = context;
  const present = await store.get(fence, box);
  if (!present) return { do: 'nothing' };
  const stale = await staleGuests(context);
  const phase = present.status?.phase ?? 'pending';
  const step = planRejoin({
    fence: { phase, settled: present.status?.settled ?? false },
    staleGuests: stale.length + guard.under,
  });
  try {
    switch (step.do) {
      case 'end-guests':
        for (const id of stale) {
          logger.warn({ box, vm: id }, 'rejoin: ends a guest that is another box’s now');
          await guests.end(id);
        }
        break;
      case 'claim':
        await store.updateStatus(fence, { ...present, status: { ...present.status, phase: 'lifting' } });
        logger.warn({ box }, 'rejoin: takes its fence away');
        break;
      case 'lift': {
        await storage.letIn({ box, addresses: present.spec.addresses });
        await uncordon(store, box);
        const { uid, resourceVersion } = present.metadata;
        await store.delete(fence, box, undefined, { ...(uid ? { uid } : {}), ...(resourceVersion ? { resourceVersion } : {}) });
        logger.warn({ box }, 'rejoin: the fence is gone');
        break;
      }
      default:
    }
  } catch (error) {
    // The leader took it back: the next look plans anew.
    if (!isCroftError(error, 'conflict')) throw error;
  }
  return step;
}
