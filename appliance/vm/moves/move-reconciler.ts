/** VolumeMove: observes (observe-move.ts), plans (plan-move.ts), takes one step. */
import { CroftError, isCroftError } from '../../errors.ts';
import { moveAnnotation, persistentVolumeClaim, poolAnnotation, poolOfClaim } from '../../resources/data-volume.ts';
import { idLabel, newId } from '../../resources/identity.ts';
import { parseBytes } from '../../resources/quantity.ts';
import { volumeMove, type VolumeMove } from '../../resources/volume-move.ts';
import { editObject } from '../../store/edit.ts';
import type { VmContext } from '../context.ts';
import type { Guest } from '../hypervisor.ts';
import { stopShortening } from '../shorten.ts';
import { isPassing, namespaceOf, placeOf, sentenceOf } from '../snapshots/volumes.ts';
import type { Copies } from './copies.ts';
import type { Convergence } from './convergence.ts';
import { hold, release } from './hold.ts';
import {
  cancelJob,
  closeNodes,
  completeJob,
  dismissJob,
  finalizeJob,
  indexOf,
  qemuVersion,
  startLosesWrites,
  startMirror,
  targetPrefix,
} from './mirror.ts';
import { moveIdOf, observeMove, userOf } from './observe-move.ts';
import { setProgressing, setStatus, tell, type Croft } from './move-status.ts';
import { moveFinalizer, planMove, type MoveAction } from './plan-move.ts';

export type MoveParts = { context: VmContext; copies: Copies; convergence: Convergence };

type Again = { requeueAfter?: number };

const retry = 1_000;
/** Look again at once: the next step follows. */
const next = { requeueAfter: 1 };

export async function reconcileMove(parts: MoveParts, key: { name: string; namespace: string }): Promise<Again> {
  const { context, copies, convergence } = parts;
  const move = await context.store.get(volumeMove, key.name, key.namespace);
  if (!move) return freeClaims(context, key);
  const observed = await observeMove(context, move, { copier: copies.stateOf(moveIdOf(move)), convergence });
  const { action, requeueAfter } = planMove(observed);
  return (await execute(parts, move, action)) ?? { requeueAfter };
}

/** A move that isn't there any more holds nothing. */
async function freeClaims({ store }: VmContext, { name, namespace }: { name: string; namespace: string }): Promise<Again> {
  const { items } = await store.list(persistentVolumeClaim, { namespace });
  for (const claim of items.filter(({ metadata }) => metadata.annotations?.[moveAnnotation] === name)) {
    await unlock(store, claim, name);
  }
  return {};
}

const unlock = (store: VmContext['store'], claim: { metadata: { name: string; namespace?: string } }, move: string) =>
  editObject(store, persistentVolumeClaim, { name: claim.metadata.name, namespace: claim.metadata.namespace }, (draft) => {
    if (draft.metadata.annotations?.[moveAnnotation] !== move) return false;
    delete draft.metadata.annotations[moveAnnotation];
    return undefined;
  });

const claimOf = (move: VolumeMove) => ({ name: move.spec.claimName, namespace: move.metadata.namespace });

async function execute(
  { context, copies, convergence }: MoveParts,
  move: VolumeMove,
  action: MoveAction,
): Promise<Again | undefined> {
  const { store } = context;
  const { name } = move.metadata;
  const id = moveIdOf(move);
  const { vmId, volumeId = '', from = '' } = move.status?.croft ?? {};
  const guest = vmId === undefined ? undefined : context.registry.get(vmId);
  switch (action.do) {
    case 'none':
      return undefined;
    case 'adorn':
      await editObject(store, volumeMove, placeOf(move), (draft) => {
        if (draft.metadata.deletionTimestamp) return false;
        draft.metadata.finalizers = [...new Set([...(draft.metadata.finalizers ?? []), moveFinalizer])];
        draft.metadata.labels = { [idLabel]: newId(), ...draft.metadata.labels };
        return undefined;
      });
      return undefined;
    case 'wait':
      await setProgressing(context, move, action.message);
      return undefined;
    case 'begin':
      await begin(context, move);
      return undefined;
    case 'mirror':
      return orUndo(context, move, () => mirror(context, move, guest));
    case 'copy':
      return orUndo(context, move, () => copy(context, copies, move));
    case 'report':
      await setStatus(context, move, { progress: action.progress });
      return undefined;
    case 'hold':
      if (guest) await hold(context, move, guest, 'switch');
      return undefined;
    case 'release':
      await release(context, move, guest);
      return next;
    case 'complete':
      if (guest) await completeJob(guest, id);
      return undefined;
    case 'switch': {
      const done = await bind(context, move, move.spec.pool);
      // Its requests are held until it is told: not even a look at the world comes between.
      if (done && guest && move.status?.croft?.liveEpoch === guest.epoch) await finalizeIfPending(guest, id);
      return next;
    }
    case 'switch-back':
      await bind(context, move, from);
      await setStatus(
        context,
        move,
        { phase: 'Undoing' },
        { step: 'undoing', error: `QEMU did not change over. ${action.error}`.trim() },
      );
      return next;
    case 'finalize':
      if (guest) await finalizeJob(guest, id);
      return undefined;
    case 'dismiss':
      if (guest) await dismissJob(guest, id);
      return next;
    case 'cancel-job':
      if (guest) await cancelJob(guest, id);
      return undefined;
    case 'close-target-nodes':
      if (guest) await closeNodes(guest, id, 'target');
      return next;
    case 'close-source-nodes': {
      const top = (await guest?.topNodes())?.get(move.status?.croft?.disk ?? '');
      if (guest && top !== undefined) await closeNodes(guest, id, 'source', indexOf(top));
      return next;
    }
    case 'cancel-copy':
      await copies.cancel(id);
      return undefined;
    case 'drop-source':
      return drop(context, from, volumeId);
    case 'drop-target':
      return drop(context, move.spec.pool, volumeId);
    case 'undo':
      await setStatus(
        context,
        move,
        { phase: 'Undoing' },
        { step: 'undoing', error: action.error, ...(action.cancelled ? { cancelled: true } : {}) },
      );
      return next;
    case 'end':
      copies.forget(id);
      convergence.forget(id);
      await end(context, move);
      return next;
    case 'unlock':
      await unlock(store, { metadata: claimOf(move) }, name);
      return next;
    case 'fail':
      await setStatus(context, move, { phase: 'Failed' }, { error: action.message, endedAt: new Date().toISOString() });
      tell(context, move, 'VolumeMoveFailed', action.message);
      return undefined;
    case 'let-go':
      await editObject(store, volumeMove, placeOf(move), (draft) => {
        draft.metadata.finalizers = draft.metadata.finalizers?.filter((one) => one !== moveFinalizer);
      });
      return undefined;
    case 'expire':
      await store.delete(volumeMove, name, move.metadata.namespace);
      return undefined;
  }
}

/**
 * Marks the claim, then writes down what is moved from where. With the VM's lock held, a guest that is being started is
 * either there afterwards, or finds the mark and waits.
 */
async function begin(context: VmContext, move: VolumeMove): Promise<void> {
  const { store } = context;
  const user = await userOf(context, namespaceOf(move), move.spec.claimName);
  if (user?.migrating) throw new CroftError('busy', `VM ${user.name} is being migrated; its disk is moved after that.`);
  await context.locks.with(user ? [user.vmId] : [], async () => {
    const claim = await editObject(store, persistentVolumeClaim, claimOf(move), (draft) => {
      const { metadata } = draft;
      const other = metadata.annotations?.[moveAnnotation];
      if (metadata.deletionTimestamp !== undefined || (other !== undefined && other !== move.metadata.name)) return false;
      metadata.annotations = { ...metadata.annotations, [moveAnnotation]: move.metadata.name };
      return undefined;
    });
    const volumeId = claim?.metadata.labels?.[idLabel];
    if (!claim || volumeId === undefined || claim.metadata.annotations?.[moveAnnotation] !== move.metadata.name) return;
    const from = poolOfClaim(claim);
    const volume = await context.volumes.pool(from).get(volumeId);
    if (!volume) throw new CroftError('unavailable', `Volume ${move.spec.claimName} is not in pool ${from}.`);
    const facts: Croft = { step: 'copying', from, volumeId, size: volume.size };
    await setStatus(
      context,
      move,
      { phase: 'Copying', progress: 0 },
      user ? { ...facts, vmId: user.vmId, disk: user.disk } : facts,
    );
  });
}

/** Whatever lies under its id in the target's pool is nobody's: the claim says that the disk is elsewhere. */
async function freshTarget(context: VmContext, move: VolumeMove) {
  const { volumeId = '', size = 0 } = move.status?.croft ?? {};
  const driver = context.volumes.pool(move.spec.pool);
  await driver.delete(volumeId);
  await driver.create({ id: volumeId, size, source: { blank: true } });
  return driver;
}

async function mirror(context: VmContext, move: VolumeMove, guest: Guest | undefined): Promise<void> {
  const { vmId = '', disk = '', volumeId = '', liveEpoch } = move.status?.croft ?? {};
  await context.locks.with([vmId], async () => {
    if (guest) await stopShortening(guest);
    const source = (await guest?.topNodes())?.get(disk);
    const index = source === undefined ? undefined : indexOf(source);
    if (!guest || source === undefined || index === undefined) return;
    if (liveEpoch !== guest.epoch) await setStatus(context, move, {}, { liveEpoch: guest.epoch });
    const moveId = moveIdOf(move);
    await closeNodes(guest, moveId, 'target');
    const driver = await freshTarget(context, move);
    const target = await driver.blockdev(volumeId, targetPrefix(index, moveId), context.ownerOf(vmId));
    const bandwidth = move.spec.bandwidth === undefined ? 0 : parseBytes(move.spec.bandwidth, 'spec.bandwidth');
    if (startLosesWrites(await qemuVersion(guest))) await hold(context, move, guest, 'start');
    await startMirror(guest, { moveId, source, target, bandwidth });
  });
}

async function copy(context: VmContext, copies: Copies, move: VolumeMove): Promise<void> {
  const { volumeId = '', from = '' } = move.status?.croft ?? {};
  const moveId = moveIdOf(move);
  const target = await freshTarget(context, move);
  const owner = context.ownerOf(moveId);
  const graphs = {
    source: await context.volumes.pool(from).blockdev(volumeId, 'from', owner),
    target: await target.blockdev(volumeId, 'to', owner),
  };
  const report = (progress: number) =>
    setStatus(context, move, { progress: Math.min(0.99, progress) }).catch((error: unknown) =>
      context.logger.warn({ err: error, move: move.metadata.name }, 'the progress of a move could not be written'),
    );
  copies.start({ moveId, key: `${namespaceOf(move)}/${move.metadata.name}`, owner, ...graphs, report });
}

/** Trouble that goes by itself is tried again; with any other the disk stays where it is. */
async function orUndo(context: VmContext, move: VolumeMove, work: () => Promise<void>): Promise<Again | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    if (isPassing(error) || !isCroftError(error)) throw error;
    const message = sentenceOf(context, error, 'copying a volume');
    await setStatus(context, move, { phase: 'Undoing' }, { step: 'undoing', error: message });
    return next;
  }
}

/** The switch. @returns false when the claim is not ours to change any more */
async function bind(context: VmContext, move: VolumeMove, pool: string): Promise<boolean> {
  const written = await editObject(context.store, persistentVolumeClaim, claimOf(move), (draft) => {
    const { metadata } = draft;
    const ours = metadata.annotations?.[moveAnnotation] === move.metadata.name;
    const same = metadata.labels?.[idLabel] === move.status?.croft?.volumeId;
    if (!ours || !same || metadata.deletionTimestamp !== undefined) return false;
    metadata.annotations = { ...metadata.annotations, [poolAnnotation]: pool };
    return undefined;
  });
  return written !== undefined && poolOfClaim(written) === pool;
}

async function finalizeIfPending(guest: Guest, id: string): Promise<void> {
  try {
    await finalizeJob(guest, id);
  } catch (error) {
    // Not pending, or silent: what is so is read again in the next run.
    if (!isCroftError(error)) throw error;
  }
}

async function drop(context: VmContext, pool: string, volumeId: string): Promise<Again> {
  try {
    await context.volumes.pool(pool).delete(volumeId);
  } catch (error) {
    if (!isPassing(error)) throw error;
    return { requeueAfter: retry };
  }
  return next;
}

async function end(context: VmContext, move: VolumeMove): Promise<void> {
  const { error, cancelled, from } = move.status?.croft ?? {};
  // A copy that was cancelled too late has arrived.
  const claim = await context.store.get(persistentVolumeClaim, move.spec.claimName, move.metadata.namespace);
  const arrived = claim !== undefined && poolOfClaim(claim) === move.spec.pool;
  const phase = arrived ? 'Succeeded' : cancelled ? 'Cancelled' : 'Failed';
  await setStatus(context, move, { phase, ...(arrived ? { progress: 1 } : {}) }, { endedAt: new Date().toISOString() });
  if (arrived) tell(context, move, 'VolumeMoved', `Volume ${move.spec.claimName} is in pool ${move.spec.pool} now.`);
  else if (!cancelled) tell(context, move, 'VolumeMoveFailed', `Volume ${move.spec.claimName} stays in pool ${from}: ${error}`);
}
