/** VirtualMachineInstanceMigration: begins it, gives each box its turn, tells of it, ends it. */
import { idLabel, newId } from '../../resources/identity.ts';
import { setCondition } from '../../resources/meta.ts';
import {
  virtualMachineInstanceMigration,
  type MigrationPhase,
  type VirtualMachineInstanceMigration,
} from '../../resources/migration.ts';
import { virtualMachineInstance, type MigrationState, type VirtualMachineInstance } from '../../resources/virtual-machine.ts';
import { editObject, editStatus } from '../../store/edit.ts';
import type { ResourceStore } from '../../store/store.ts';
import { wishedDisks, wishedNics } from '../guest-shape.ts';
import { aboutOf } from '../instance-identity.ts';
import { isFinished } from '../instance-phase.ts';
import { slotsFor } from '../slots.ts';
import { keepEnded } from '../snapshots/plan-restore.ts';
import { placeOf } from '../snapshots/volumes.ts';
import { keyFor, type MigrationParts } from './parts.ts';
import type { SendingState } from './qemu-side.ts';
import { refusalOf } from './refusal.ts';
import { isMigrating, isOf, isOver, swapOrLook } from './record.ts';
import { turnSource } from './source.ts';
import { turnTarget, type Shape } from './target.ts';

type Again = { requeueAfter?: number };

/** Upstream's, so that tools which know it wait for us. */
export const migrationFinalizer = 'kubevirt.io/migrationJobFinalize';
export const hostnameLabel = 'kubernetes.io/hostname';
const retry = 2_000;
/** ms that the scheduler may take to find a place, from the wish on; ms between looks at it. */
const placeDeadline = 60_000;
const placeLook = 300;
/** ms after which the target tells how it ended. */
const sourceTells = 10_000;

/** Key of what is left of a migration whose object somebody removed by force: its instance must not wait for ever. */
export const orphanKey = (instance: VirtualMachineInstance): string =>
  `${instance.metadata.namespace}/${orphan}${instance.metadata.name}`;
const orphan = 'orphan:';

async function endOrphan(parts: MigrationParts, name: string, namespace: string): Promise<Again> {
  const instance = await parts.context.store.get(virtualMachineInstance, name, namespace);
  const state = instance?.status?.migrationState;
  const vmId = instance?.metadata.labels?.[idLabel];
  if (!instance || !state || isOver(state) || vmId === undefined) return {};
  const { items } = await parts.context.store.list(virtualMachineInstanceMigration, { namespace, consistent: true });
  if (items.some(({ metadata }) => metadata.uid === state.migrationUid)) return {};
  if (![state.sourceNode, state.targetNode].includes(parts.context.nodeName)) return {};
  const { apiVersion, kind } = virtualMachineInstanceMigration;
  const metadata = { name: state.migrationUid, namespace, uid: state.migrationUid, deletionTimestamp: new Date().toISOString() };
  return takePart(parts, { apiVersion, kind, metadata, spec: { vmiName: name } }, instance, state, vmId);
}

export async function reconcileMigration(parts: MigrationParts, key: { name: string; namespace: string }): Promise<Again> {
  const { context } = parts;
  const { store, nodeName } = context;
  if (key.name.startsWith(orphan)) return endOrphan(parts, key.name.slice(orphan.length), key.namespace);
  const migration = await store.get(virtualMachineInstanceMigration, key.name, key.namespace);
  if (!migration) return {};
  const instance = await store.get(virtualMachineInstance, migration.spec.vmiName, key.namespace);
  const state = instance?.status?.migrationState;
  const mine = isOf(state, migration) ? state : undefined;
  const vmId = instance?.metadata.labels?.[idLabel];
  if (instance && mine && vmId !== undefined && (nodeName === mine.sourceNode || nodeName === mine.targetNode)) {
    return await takePart(parts, migration, instance, mine, vmId);
  }
  if (migration.status?.croft?.endedAt !== undefined) return ended(store, migration);
  const removing = migration.metadata.deletionTimestamp !== undefined;
  if (mine && !isOver(mine)) return {};
  // The box that holds the guest speaks for it; a migration of nothing is anybody's to end.
  const running = instance && !isFinished(instance) && instance.metadata.deletionTimestamp === undefined;
  if (running && instance.status?.nodeName !== undefined && instance.status.nodeName !== nodeName) return {};
  if (removing) return end(parts, migration, undefined, 'It was cancelled.');
  if (!running || vmId === undefined) return end(parts, migration, undefined, `VM ${migration.spec.vmiName} does not run.`);
  if (!migration.metadata.finalizers?.includes(migrationFinalizer)) {
    await adorn(store, migration);
    return { requeueAfter: 1 };
  }
  return begin(parts, migration, instance, vmId);
}

async function takePart(
  parts: MigrationParts,
  migration: VirtualMachineInstanceMigration,
  instance: VirtualMachineInstance,
  state: MigrationState,
  vmId: string,
): Promise<Again> {
  const { context } = parts;
  if (context.nodeName === state.targetNode) {
    const again = await turnTarget(parts, instance, state, vmId);
    if (again !== undefined) return { requeueAfter: again };
    // The source tells how it ended, unless it is no more.
    if (migration.status?.croft?.endedAt !== undefined) return {};
    if (Date.now() - Date.parse(state.endTimestamp ?? state.croft.since) < sourceTells) return { requeueAfter: sourceTells };
    return end(parts, migration, state, state.croft.state === 'failed' ? (state.failureReason ?? 'It failed.') : undefined);
  }
  const wantsEnd = migration.metadata.deletionTimestamp !== undefined || instance.metadata.deletionTimestamp !== undefined;
  if (wantsEnd && !state.abortRequested && !isOver(state)) {
    await swapOrLook(context, instance, { fields: { abortRequested: true } });
    return { requeueAfter: 1 };
  }
  const { sending, requeueAfter } = await turnSource(parts, migration, instance, state, vmId);
  await tellProgress(context.store, migration, state, sending);
  if (requeueAfter !== undefined) return { requeueAfter };
  if (migration.status?.croft?.endedAt !== undefined) return ended(context.store, migration);
  return end(parts, migration, state, state.croft.state === 'failed' ? (state.failureReason ?? 'It failed.') : undefined);
}

const adorn = (store: ResourceStore, migration: VirtualMachineInstanceMigration) =>
  editObject(store, virtualMachineInstanceMigration, placeOf(migration), (draft) => {
    if (draft.metadata.deletionTimestamp) return false;
    draft.metadata.finalizers = [...new Set([...(draft.metadata.finalizers ?? []), migrationFinalizer])];
    draft.metadata.labels = { [idLabel]: newId(), ...draft.metadata.labels };
    return undefined;
  });

async function begin(
  parts: MigrationParts,
  migration: VirtualMachineInstanceMigration,
  instance: VirtualMachineInstance,
  vmId: string,
): Promise<Again> {
  const { context } = parts;
  const guest = context.registry.get(vmId);
  const { phase = 'Pending' } = migration.status ?? {};
  if (phase !== 'Pending') return end(parts, migration, undefined, 'Another migration of the VM came first.');
  if (isMigrating(instance)) return waiting(context.store, migration, 'It waits for another migration of the VM.');
  if (!guest || (await guest.state()) !== 'running') return waiting(context.store, migration, 'It waits until the VM runs.');
  const refusal = await refusalOf(context.store, parts.isShared, instance);
  if (refusal !== undefined) return end(parts, migration, undefined, refusal);
  const wished = migration.spec.addedNodeSelector?.[hostnameLabel];
  const targets = (await parts.targets()).filter((name) => wished === undefined || name === wished);
  if (targets.length === 0) {
    const none =
      wished === undefined
        ? 'There is no other box that could take it.'
        : `Box ${wished} cannot take it: it is this one, unknown, or not ready.`;
    return end(parts, migration, undefined, none);
  }
  const uid = migration.metadata.uid ?? '';
  const place = (await context.placement.reserve?.(instance, vmId, uid, targets)) ?? { box: targets[0] as string };
  if ('message' in place) {
    const since = Date.parse(migration.metadata.creationTimestamp ?? '');
    if (Date.now() - since > placeDeadline) return end(parts, migration, undefined, place.message);
    await waiting(context.store, migration, place.message);
    return { requeueAfter: placeLook };
  }
  const { box: target } = place;
  const own = await keyFor(parts, vmId, 'source', uid);
  const shape: Shape = {
    ...guest.shape,
    slots: {
      disk: slotsFor(
        context.journal,
        vmId,
        'disk',
        wishedDisks(instance.spec).map(({ volume }) => volume),
      ),
      nic: slotsFor(
        context.journal,
        vmId,
        'nic',
        wishedNics(instance.spec).map(({ name }) => name),
      ),
    },
  };
  const now = new Date().toISOString();
  const migrationState: MigrationState = {
    migrationUid: uid,
    sourceNode: context.nodeName,
    targetNode: target,
    startTimestamp: now,
    mode: 'PreCopy',
    croft: { state: 'preparing', since: now, sourceCertificate: own.cert, shape: JSON.stringify(shape) },
  };
  const draft = structuredClone(instance);
  draft.status = { ...draft.status, migrationState };
  await context.store.updateStatus(virtualMachineInstance, draft);
  context.events.record({
    type: 'Normal',
    reason: 'Migrating',
    message: `It moves from ${context.nodeName} to ${target}.`,
    about: aboutOf(instance, vmId),
  });
  return { requeueAfter: 1 };
}

async function waiting(store: ResourceStore, migration: VirtualMachineInstanceMigration, message: string): Promise<Again> {
  await editStatus(store, virtualMachineInstanceMigration, placeOf(migration), (draft) => {
    const condition = { type: 'Progressing', status: 'False' as const, reason: 'Waiting', message };
    draft.status = { ...draft.status, phase: 'Pending', conditions: setCondition(draft.status?.conditions, condition) };
  });
  return { requeueAfter: retry };
}

const phases: Record<MigrationState['croft']['state'], MigrationPhase> = {
  preparing: 'PreparingTarget',
  ready: 'Running',
  switched: 'Running',
  handed: 'Running',
  completed: 'Succeeded',
  failed: 'Failed',
};

function setPhase(draft: VirtualMachineInstanceMigration, phase: MigrationPhase): void {
  if (draft.status?.phase === phase) return;
  const at = { phase, phaseTransitionTimestamp: new Date().toISOString() };
  draft.status = { ...draft.status, phase, phaseTransitionTimestamps: [...(draft.status?.phaseTransitionTimestamps ?? []), at] };
}

async function tellProgress(
  store: ResourceStore,
  migration: VirtualMachineInstanceMigration,
  state: MigrationState,
  sending: SendingState | undefined,
): Promise<void> {
  // While the guest stands still nothing is told: every ms counts.
  if (isOver(state) || sending?.migration === 'pre-switchover' || sending?.migration === 'device') return;
  if (state.croft.state === 'switched' || state.croft.state === 'handed') return;
  await editStatus(store, virtualMachineInstanceMigration, placeOf(migration), (draft) => {
    setPhase(draft, state.croft.state === 'ready' && sending?.migration === 'none' ? 'TargetReady' : phases[state.croft.state]);
    const { progress, dirtyRate, remaining, etaSeconds } = sending ?? {};
    const known = Object.fromEntries(
      Object.entries({ progress, dirtyRate, remaining, etaSeconds }).filter(([, value]) => value !== undefined),
    );
    draft.status = { ...draft.status, croft: { ...draft.status?.croft, ...known } };
  });
}

async function end(
  { context }: MigrationParts,
  migration: VirtualMachineInstanceMigration,
  state: MigrationState | undefined,
  error: string | undefined,
): Promise<Again> {
  const endedAt = new Date().toISOString();
  if (error !== undefined && migration.metadata.uid !== undefined) await context.placement.cancel?.(migration.metadata.uid);
  await editStatus(context.store, virtualMachineInstanceMigration, placeOf(migration), (draft) => {
    setPhase(draft, error === undefined ? 'Succeeded' : 'Failed');
    const total =
      state?.startTimestamp && state.endTimestamp ? Date.parse(state.endTimestamp) - Date.parse(state.startTimestamp) : undefined;
    const { pausedAt } = state?.croft ?? {};
    const downtime = pausedAt && state?.endTimestamp ? Date.parse(state.endTimestamp) - Date.parse(pausedAt) : undefined;
    draft.status = {
      ...draft.status,
      ...(state ? { migrationState: { ...state, croft: { state: state.croft.state, since: state.croft.since } } } : {}),
      croft: {
        ...draft.status?.croft,
        endedAt,
        ...(error === undefined ? { progress: 1 } : { error }),
        ...(total === undefined ? {} : { total }),
        ...(downtime === undefined || error !== undefined ? {} : { downtime }),
      },
    };
  });
  const { spec, metadata } = migration;
  if (error !== undefined)
    context.events.record({
      type: 'Warning',
      reason: 'MigrationFailed',
      message: error,
      about: { kind: 'VirtualMachine', name: spec.vmiName, project: metadata.namespace ?? 'default' },
    });
  return { requeueAfter: 1 };
}

async function ended(store: ResourceStore, migration: VirtualMachineInstanceMigration): Promise<Again> {
  const { metadata, status } = migration;
  if (metadata.deletionTimestamp !== undefined) {
    await editObject(store, virtualMachineInstanceMigration, placeOf(migration), (draft) => {
      draft.metadata.finalizers = draft.metadata.finalizers?.filter((name) => name !== migrationFinalizer);
    });
    return {};
  }
  const left = Date.parse(status?.croft?.endedAt ?? '') + keepEnded - Date.now();
  if (left > 0) return { requeueAfter: left };
  await store.delete(virtualMachineInstanceMigration, metadata.name, metadata.namespace);
  return {};
}
