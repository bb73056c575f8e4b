/**
 * The boxes of a cluster, theory of operation (docs/ha.md has the argument).
 *
 * Each beat a box renews its heartbeat and reads all heartbeats, tries to become or stay the leader, and does its own
 * part of a rejoin if it is fenced. The leader looks for boxes that are silent *and* whose disks are silent: a stopped
 * service alone is no death, for its guests run on. Such a box is fenced, step by step (fence-plan.ts); only then are its
 * VMs given free, and started by others as any VM is. With fewer than three voters nobody is fenced by itself: one of two
 * boxes cannot know which of them is cut off.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { StorageFence } from '../../../storage/driver.ts';
import { messageOf } from '../../errors.ts';
import type { Logger } from '../../host/logger.ts';
import type { Gate } from '../../reconcile/controller.ts';
import { node, type Node } from '../../resources/croft-kinds.ts';
import { fence } from '../../resources/peer-kinds.ts';
import { setCondition } from '../../resources/meta.ts';
import { editStatus } from '../../store/edit.ts';
import type { ResourceStore } from '../../store/store.ts';
import { wishVotes } from '../join/promote.ts';
import { createDetector } from './detector.ts';
import { advanceFence, type Suspect } from './fence.ts';
import { beat, listen } from './heartbeat.ts';
import { createLeadership } from './leadership.ts';
import { advanceMaintenance } from './maintenance.ts';
import { advanceRejoin, createStartGuard, type OwnGuests, type StartGuard } from './rejoin.ts';
import type { Timing } from './timing.ts';

export type PeersOptions = {
  store: ResourceStore;
  box: string;
  bootId: string;
  timing: Timing;
  logger: Logger;
  /** Follows the wish for a vote; true when it was followed just now. */
  followWish: () => Promise<boolean>;
};

export type Peers = {
  /** Open where this box leads. */
  gate: Gate;
  guard: StartGuard;
  /** Resolves when the box's part has changed: its service must start anew. */
  changed: Promise<void>;
  /** From when storage and guests are there. */
  watch(parts: { storage: StorageFence; guests: OwnGuests }): void;
  stop(): Promise<void>;
};

/** A fence goes on at once after each step; this many at most in one beat. */
const stepsPerBeat = 12;
const votersForTakeover = 3;
/** Times the silence: a box without disks says nothing when its service is stopped, though its guests run on. */
const patienceWithoutDisks = 12;

/** Begins to beat. @throws what the first beat throws */
export async function startPeers({ store, box, bootId, timing, logger, followWish }: PeersOptions): Promise<Peers> {
  const closing = new AbortController();
  const changed = Promise.withResolvers<void>();
  const detector = createDetector(box, 3 * timing.beat);
  const leadership = createLeadership(store, box, timing, logger);
  const guard = createStartGuard(store, box);
  let parts: { storage: StorageFence; guests: OwnGuests } | undefined;
  const told = new Map<string, string>();
  /** Each trouble once, until it changes. */
  const tell = (about: string, what: string): void => {
    if (told.get(about) === what) return;
    told.set(about, what);
    if (what !== '') logger.warn({ about }, what);
  };

  /** Becoming a voter takes a minute; the box is heard meanwhile. */
  let following: Promise<void> | undefined;
  const follow = (): void => {
    following ??= followWish()
      .then(
        (became) => (became ? changed.resolve() : undefined),
        (error: unknown) => tell('vote', `this box did not become a voter yet: ${messageOf(error)}`),
      )
      .finally(() => {
        following = undefined;
      });
  };

  const turn = async (): Promise<void> => {
    await beat(store, box, bootId);
    const boots = await listen(store, detector);
    await leadership.tick();
    follow();
    if (!parts) return;
    const { storage, guests } = parts;
    for (let step = 0; step < stepsPerBeat; step++) {
      const { do: done } = await advanceRejoin({ store, storage, box, guests, guard, logger });
      if (done === 'nothing' || done === 'wait') break;
    }
    if (leadership.open()) await lead(storage, boots);
    await advanceMaintenance({ store, box, logger }).then(
      () => tell('maintenance', ''),
      (error: unknown) => tell('maintenance', `maintenance does not go on: ${messageOf(error)}`),
    );
  };

  const lead = async (storage: StorageFence, boots: Map<string, string>): Promise<void> => {
    const nodes = (await store.list(node)).items.filter(({ status }) => status?.peer !== undefined);
    const voters = nodes.filter(({ status }) => status?.peer?.role === 'voter').length;
    await wishVotes(store);
    const fences = (await store.list(fence, { consistent: true })).items;
    for (const one of nodes) {
      const { name } = one.metadata;
      if (name === box) continue;
      const silent = detector.hears() && detector.silence(name) >= timing.dead;
      await markNode(store, one, silent, Math.round(detector.silence(name) / 1000));
      const fenced = fences.some(({ metadata }) => metadata.name === name);
      if (!fenced && (!silent || one.status?.peer?.witness)) {
        tell(name, '');
        continue;
      }
      await pursue(storage, one, { silent, voters, bootId: boots.get(name) ?? '' });
    }
    if (fences.length === 0 && nodes.length > 1) await storage.mend();
  };

  const pursue = async (
    storage: StorageFence,
    { metadata: { name }, status }: Node,
    { silent, voters, bootId: boot }: { silent: boolean; voters: number; bootId: string },
  ): Promise<void> => {
    const disks = silent ? await storage.serves(name) : undefined;
    const serves = disks === true || (disks === undefined && detector.silence(name) < patienceWithoutDisks * timing.dead);
    if (silent && serves)
      tell(
        name,
        `${name} is silent, but ${disks === undefined ? 'has no disks to tell by' : 'its disks serve'}: its service has stopped, its VMs may run on`,
      );
    const enough = voters >= votersForTakeover;
    if (silent && !enough) tell(name, `${name} is silent; with ${voters} voters nothing is taken over by itself`);
    const reason = `no heartbeat for ${Math.round(detector.silence(name) / 100) / 10} s, and its disks don't serve`;
    const addresses = [status?.peer?.address as string];
    const suspect: Suspect = { box: name, addresses, bootId: boot, dead: silent && !serves && enough, reason };
    for (let count = 0; count < stepsPerBeat; count++) {
      const step = await advanceFence({ store, storage, self: box, logger }, suspect);
      if (step.do === 'wait') tell(`fence of ${name}`, `fence: nothing is started, because ${step.why}`);
      if (step.do === 'nothing' || step.do === 'wait') return;
    }
  };

  const run = async (): Promise<void> => {
    while (!closing.signal.aborted) {
      const began = performance.now();
      await turn().then(
        () => tell('beat', ''),
        (error: unknown) => tell('beat', `the boxes' store or disks do not answer: ${messageOf(error)}`),
      );
      const left = Math.max(50, timing.beat - (performance.now() - began));
      await delay(left, undefined, { signal: closing.signal }).catch(() => undefined); // Closing ends the loop.
    }
  };

  await beat(store, box, bootId);
  await leadership.tick();
  const running = run();
  return {
    gate: leadership,
    guard,
    changed: changed.promise,
    watch: (given) => {
      parts = given;
    },
    stop: async () => {
      closing.abort();
      await running;
      await following;
    },
  };
}

/** What people see of a silent box. */
async function markNode(
  store: ResourceStore,
  { metadata: { name }, status }: Node,
  silent: boolean,
  seconds: number,
): Promise<void> {
  const present = status?.conditions?.find(({ type }) => type === 'Reachable')?.status;
  if (present === (silent ? 'False' : 'True')) return;
  await editStatus(store, node, { name }, (draft) => {
    draft.status = {
      ...draft.status,
      conditions: setCondition(draft.status?.conditions, {
        type: 'Reachable',
        status: silent ? 'False' : 'True',
        reason: silent ? 'NoHeartbeat' : 'Heartbeat',
        message: silent ? `No heartbeat for ${seconds} s.` : '',
      }),
    };
  });
}
