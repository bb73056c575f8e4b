/** Carries fence-plan.ts out: one step, on facts read by quorum just before. May run on two boxes at once. */
import type { StorageFence } from '../../../storage/driver.ts';
import { CroftError, isCroftError, messageOf } from '../../errors.ts';
import type { Logger } from '../../host/logger.ts';
import { fence, type Fence } from '../../resources/peer-kinds.ts';
import type { ResourceStore } from '../../store/store.ts';
import { cordon } from './cordon.ts';
import { planFence, type FenceFacts, type FenceStep } from './fence-plan.ts';
import { freePlaces, heldBy, isOnlyHeldBy, setFree } from './held.ts';

export type FenceContext = { store: ResourceStore; storage: StorageFence; self: string; logger: Logger };

/** What is known of a box that may be dead. */
export type Suspect = { box: string; addresses: string[]; bootId: string; dead: boolean; reason: string };

const phaseOf = ({ status }: Fence): 'pending' | 'confirmed' | 'lifting' => status?.phase ?? 'pending';

/** True once no disk takes a write of the box: its fence is confirmed and not being lifted. Read by quorum. */
export async function isShutOut(store: ResourceStore, box: string): Promise<boolean> {
  const present = await store.get(fence, box);
  return present !== undefined && phaseOf(present) === 'confirmed';
}

/** @returns the step that was taken; `wait` with what it waits for */
export async function advanceFence(context: FenceContext, suspect: Suspect): Promise<FenceStep> {
  const { store, storage } = context;
  const present = await store.get(fence, suspect.box);
  if (!present && !suspect.dead) return { do: 'nothing' };
  const facts: FenceFacts = {
    dead: suspect.dead,
    fence: present && { phase: phaseOf(present), settled: present.status?.settled ?? false },
    shutOut: present && (await lookOrNothing(storage, suspect)),
    held: present ? (await heldBy(store, suspect.box)).length : 0,
  };
  const step = planFence(facts);
  try {
    return await takeStep(context, suspect, present, step);
  } catch (error) {
    // Another leader, or the box itself, was first: the next look finds what became of it.
    if (isCroftError(error, 'conflict') || isCroftError(error, 'already-exists')) return { do: 'wait', why: messageOf(error) };
    if (isCroftError(error, 'unavailable') || isCroftError(error, 'command-timeout'))
      return { do: 'wait', why: messageOf(error) };
    throw error;
  }
}

async function lookOrNothing(storage: StorageFence, suspect: Suspect): Promise<FenceFacts['shutOut']> {
  try {
    return await storage.look(suspect);
  } catch (error) {
    if (isCroftError(error, 'unavailable') || isCroftError(error, 'command-timeout')) return undefined;
    throw error;
  }
}

async function takeStep(
  { store, storage, self, logger }: FenceContext,
  suspect: Suspect,
  present: Fence | undefined,
  step: FenceStep,
): Promise<FenceStep> {
  const { box, addresses, bootId, reason } = suspect;
  const write = async (status: NonNullable<Fence['status']>): Promise<void> => {
    if (!present) throw new CroftError('conflict', `The fence of ${box} is gone.`);
    await store.updateStatus(fence, { ...present, status: { ...present.status, ...status } });
  };
  const now = new Date().toISOString();
  switch (step.do) {
    case 'open': {
      const made = await store.create(fence, { metadata: { name: box }, spec: { box, addresses, by: self, reason } });
      await store.updateStatus(fence, { ...made, status: { phase: 'pending', bootId, openedAt: now } });
      logger.warn({ box, reason }, 'fence: opened, the box may start nothing');
      break;
    }
    case 'reopen':
      await write({ phase: 'pending', settled: false, bootId, openedAt: now });
      break;
    case 'block':
      await storage.block(suspect);
      logger.warn({ box, addresses }, 'fence: its addresses are shut out of the disks');
      break;
    case 'stop-disks':
      await storage.stopDisks(suspect);
      break;
    case 'serve-without':
      await storage.serveWithout();
      break;
    case 'confirm': {
      const epoch = await storage.prove();
      await write({ phase: 'confirmed', osdmapEpoch: epoch, confirmedAt: new Date().toISOString() });
      logger.warn({ box, epoch }, 'fence: confirmed, every placement group knows');
      break;
    }
    case 'release':
      await release({ store, logger }, suspect, present?.status?.osdmapEpoch ?? 0);
      break;
    case 'settle':
      await cordon(store, box);
      await freePlaces(store, box);
      await write({ settled: true, settledAt: now });
      break;
    default:
  }
  return step;
}

/**
 * Gives the box's VMs free. Read in this order: instances, then the fence, then each instance is swapped as it was read.
 * So a box that took its fence away meanwhile, and started again, is found by one of the two.
 */
async function release(
  { store, logger }: Pick<FenceContext, 'store' | 'logger'>,
  { box }: Suspect,
  epoch: number,
): Promise<void> {
  const held = await heldBy(store, box);
  await cordon(store, box);
  const present = await store.get(fence, box);
  if (!present || phaseOf(present) !== 'confirmed') throw new CroftError('conflict', `The fence of ${box} is being lifted.`);
  for (const instance of held) {
    if (!(await isOnlyHeldBy(store, instance, box))) continue;
    const { name, namespace } = instance.metadata;
    const free = await setFree(store, instance, `Box ${box} is fenced (disks' map ${epoch}).`);
    if (free) logger.warn({ box, vm: `${namespace}/${name}` }, 'fence: VM is free to start elsewhere');
  }
}
