/**
 * Snapshots, restores, clones and moves as tasks. The objects' own status is the truth and the reconcilers' work goes on with or
 * without a task; a task only tells of it, for those who watch tasks, and is taken up again after a restart. Where a task
may be cancelled, that deletes the object, and the task ends when its reconciler has undone the work.
 */
import { CroftError, isCroftError } from '../../errors.ts';
import type { Logger } from '../../host/logger.ts';
import type { Task, TaskHandle, Tasks } from '../../reconcile/tasks.ts';
import { idLabel, newId } from '../../resources/identity.ts';
import type { Kind } from '../../resources/kind.ts';
import type { Resource } from '../../resources/meta.ts';
import {
  taskAnnotation,
  virtualMachineClone,
  virtualMachineRestore,
  virtualMachineSnapshot,
  type RestoreStep,
  type VirtualMachineClone,
  type VirtualMachineRestore,
  type VirtualMachineSnapshot,
} from '../../resources/snapshot.ts';
import { virtualMachineInstanceMigration, type VirtualMachineInstanceMigration } from '../../resources/migration.ts';
import { humanBytes } from '../../resources/quantity.ts';
import { volumeMove, type VolumeMove } from '../../resources/volume-move.ts';
import type { ResourceStore } from '../../store/store.ts';

/** How far work is: a fraction and words, and its end. */
export type WorkState = { progress: number; step: string; ended?: true; error?: string };

const restoreSteps: Record<RestoreStep, [number, string]> = {
  saving: [0.2, 'saving the disks as they are now'],
  stopping: [0.4, 'stopping the VM'],
  disks: [0.6, 'putting the disks back'],
  releasing: [0.9, 'letting the VM go'],
  undoing: [0.7, 'undoing'],
};

export function restoreState({ status }: VirtualMachineRestore): WorkState {
  const { step, endedAt, error } = status?.croft ?? {};
  const [progress, words] = step === undefined ? [0, 'waiting'] : restoreSteps[step];
  return { progress, step: words, ...(endedAt === undefined ? {} : { ended: true }), ...(error === undefined ? {} : { error }) };
}

export function snapshotState({ status }: VirtualMachineSnapshot): WorkState {
  const step = status?.croft?.content ? 'freezing the disks' : 'waiting for the disks';
  const ended = status?.phase === 'Succeeded' || status?.phase === 'Failed';
  const error = status?.phase === 'Failed' ? (status.error?.message ?? 'it failed.') : undefined;
  return {
    progress: status?.croft?.content ? 0.5 : 0,
    step,
    ...(ended ? { ended } : {}),
    ...(error === undefined ? {} : { error }),
  };
}

export function cloneState({ status }: VirtualMachineClone): WorkState {
  const { endedAt, error } = status?.croft ?? {};
  const phases = {
    SnapshotInProgress: [0.2, 'taking a snapshot'],
    CreatingTargetVM: [0.5, 'making the VM'],
    RestoreInProgress: [0.7, 'making its disks'],
  } as const;
  const [progress, step] = phases[status?.phase as keyof typeof phases] ?? [0, 'waiting'];
  return { progress, step, ...(endedAt === undefined ? {} : { ended: true }), ...(error === undefined ? {} : { error }) };
}

export function moveState({ spec, status }: VolumeMove): WorkState {
  const { endedAt, error, from, step } = status?.croft ?? {};
  const waiting = status?.conditions?.find(({ type }) => type === 'Progressing')?.message;
  const copying = `copying from ${from} to ${spec.pool}`;
  const words = step === undefined ? (waiting ?? 'waiting') : step === 'undoing' ? 'undoing' : copying;
  const failed = endedAt !== undefined && status?.phase !== 'Succeeded';
  return {
    progress: status?.progress ?? 0,
    step: words,
    ...(endedAt === undefined ? {} : { ended: true }),
    ...(failed ? { error: error ?? 'It failed.' } : {}),
  };
}

export function migrationState({ status }: VirtualMachineInstanceMigration): WorkState {
  const { progress = 0, endedAt, error, dirtyRate, etaSeconds } = status?.croft ?? {};
  const waiting = status?.conditions?.find(({ type }) => type === 'Progressing')?.message;
  const rate = dirtyRate === undefined ? '' : `, the guest writes ${humanBytes(dirtyRate)}/s`;
  const eta = etaSeconds === undefined ? '' : `, ${etaSeconds} s left`;
  const words = status?.phase === 'Running' ? `sending memory${rate}${eta}` : (waiting ?? 'preparing the target');
  return {
    progress,
    step: words,
    ...(endedAt === undefined ? {} : { ended: true }),
    ...(error === undefined ? {} : { error }),
  };
}

type Trackable = {
  kind: Kind;
  verb: string;
  state: (object: never) => WorkState;
  cancellable?: true;
};

const trackables: readonly Trackable[] = [
  { kind: virtualMachineSnapshot, verb: 'vm.snapshot', state: snapshotState },
  { kind: virtualMachineRestore, verb: 'vm.restore', state: restoreState },
  { kind: virtualMachineClone, verb: 'vm.clone', state: cloneState },
  { kind: volumeMove, verb: 'volume.move', state: moveState, cancellable: true },
  { kind: virtualMachineInstanceMigration, verb: 'vm.migrate', state: migrationState, cancellable: true },
];

/** Labels and annotations of an object whose work is to be told of by a task. */
export function trackedMetadata(): {
  taskId: string;
  metadata: { labels: Record<string, string>; annotations: Record<string, string> };
} {
  const taskId = newId();
  return { taskId, metadata: { labels: { [idLabel]: newId() }, annotations: { [taskAnnotation]: taskId } } };
}

/** Begins the task that an object's annotation names; `about` is a VM's name, or whatever else it is done to. The work is the reconcilers'; this only follows it. */
export function track(
  parts: { tasks: Pick<Tasks, 'run' | 'get'>; store: ResourceStore; logger: Logger },
  object: Resource,
  about: string | Task['target'],
  by?: string,
): Task | undefined {
  const found = trackables.find(({ kind }) => kind.kind === object.kind);
  const id = object.metadata.annotations?.[taskAnnotation];
  if (!found || id === undefined) return undefined;
  const target = typeof about === 'string' ? { kind: 'VirtualMachine', name: about, project: object.metadata.namespace } : about;
  const { verb, cancellable = false } = found;
  parts.tasks
    .run({ id, verb, target, cancellable, ...(by === undefined ? {} : { by }) }, (handle) =>
      follow(parts.store, found, object, handle),
    )
    .catch((error: unknown) => parts.logger.debug({ err: error, task: id }, 'a task ended without success'));
  return parts.tasks.get(id);
}

export type ResumableTasks = Tasks & {
  interrupted(): Task[];
  resume<T>(id: string, work: (handle: TaskHandle) => Promise<T>): Promise<T>;
};

/** Takes up the tasks that the end of the service cut off. */
export async function resumeTracked({
  tasks,
  store,
  logger,
}: {
  tasks: ResumableTasks;
  store: ResourceStore;
  logger: Logger;
}): Promise<void> {
  const interrupted = tasks.interrupted().filter(({ verb }) => trackables.some((trackable) => trackable.verb === verb));
  for (const task of interrupted) {
    const trackable = trackables.find(({ verb }) => verb === task.verb) as Trackable;
    const { items } = await store.list(trackable.kind, { namespace: task.target.project });
    const object = items.find(({ metadata }) => metadata.annotations?.[taskAnnotation] === task.id);
    if (!object) continue;
    tasks
      .resume(task.id, (handle) => follow(store, trackable, object, handle))
      .catch((error: unknown) => logger.debug({ err: error, task: task.id }, 'a task ended without success'));
  }
}

/** Resolves when the object's work has ended well. @throws CroftError with the sentence of its failure */
async function follow(store: ResourceStore, trackable: Trackable, { metadata }: Resource, handle: TaskHandle): Promise<void> {
  const { kind, state } = trackable;
  const { name, namespace } = metadata;
  for (;;) {
    if (trackable.cancellable && isCancelled(handle)) return await undone(store, trackable, metadata, handle);
    const { resourceVersion } = await store.list(kind, { namespace, limit: 1 });
    const present = await store.get(kind, name, namespace);
    if (!present) throw new CroftError('not-found', `${kind.kind} ${name} was deleted.`);
    if (isOver(state(present as never), handle)) return;
    try {
      for await (const { type, object } of store.watch(kind, { namespace, resourceVersion, signal: handle.signal })) {
        if (object.metadata.name !== name || type === 'BOOKMARK') continue;
        if (type === 'DELETED') throw new CroftError('not-found', `${kind.kind} ${name} was deleted.`);
        if (isOver(state(object as never), handle)) return;
      }
    } catch (error) {
      if (!isCroftError(error, 'expired') && !isCancelled(handle)) throw error;
    }
    if (!trackable.cancellable || !isCancelled(handle)) handle.signal.throwIfAborted();
  }
}

/** By a person; the end of the service cuts a task off, and the work goes on at the next start. */
const isCancelled = ({ signal }: TaskHandle): boolean =>
  signal.aborted && isCroftError(signal.reason) && signal.reason.code !== 'unavailable';

/** Deletes the object and waits until its reconciler has let it go. @throws the cancellation, unless it came too late */
async function undone(
  store: ResourceStore,
  { kind, state }: Trackable,
  metadata: Resource['metadata'],
  handle: TaskHandle,
): Promise<void> {
  const { name, namespace } = metadata;
  for (;;) {
    const { resourceVersion } = await store.list(kind, { namespace, limit: 1 });
    if (!(await store.delete(kind, name, namespace))) throw handle.signal.reason;
    try {
      for await (const { type, object } of store.watch(kind, { namespace, resourceVersion })) {
        if (object.metadata.name !== name || type === 'BOOKMARK') continue;
        const { ended, error } = state(object as never);
        if (ended && error === undefined) return;
        if (ended || type === 'DELETED') throw handle.signal.reason;
      }
    } catch (error) {
      if (!isCroftError(error, 'expired')) throw error;
    }
  }
}

function isOver({ progress, step, ended, error }: WorkState, handle: TaskHandle): boolean {
  if (ended && error !== undefined) throw new CroftError('invalid-state', error);
  handle.progress(progress, step);
  return ended === true;
}
