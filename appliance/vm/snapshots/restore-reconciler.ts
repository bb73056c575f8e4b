/** VirtualMachineRestore: observes, plans (plan-restore.ts), takes one step. */
import { CroftError } from '../../errors.ts';
import { idLabel, newId } from '../../resources/identity.ts';
import { ownerReferenceTo, setCondition } from '../../resources/meta.ts';
import {
  reasonAnnotation,
  startAnnotation,
  virtualMachineRestore,
  virtualMachineSnapshot,
  type RestoreStep,
  type VirtualMachineRestore,
  type VirtualMachineSnapshot,
} from '../../resources/snapshot.ts';
import { virtualMachine, virtualMachineInstance, type VirtualMachine } from '../../resources/virtual-machine.ts';
import { editObject, editStatus } from '../../store/edit.ts';
import type { VmContext } from '../context.ts';
import { runStrategyOf } from '../lifecycle.ts';
import { restoreSpec } from './content.ts';
import { patience, planRestore, restoreFinalizer, type RestoreAction } from './plan-restore.ts';
import { createUnlessThere, isPassing, locate, locateAll, namespaceOf, placeOf, sentenceOf, tell, vmIdOf } from './volumes.ts';

type Again = { requeueAfter?: number };

const retry = 1_000;

export async function reconcileRestore(context: VmContext, key: { name: string; namespace: string }): Promise<Again> {
  const { store } = context;
  const restore = await store.get(virtualMachineRestore, key.name, key.namespace);
  if (!restore) return freeVms(context, key);
  const { target, virtualMachineSnapshotName } = restore.spec;
  const safetyName = restore.status?.croft?.safetySnapshot;
  const [vm, instance, snapshot, safety] = await Promise.all([
    store.get(virtualMachine, target.name, key.namespace),
    store.get(virtualMachineInstance, target.name, key.namespace),
    store.get(virtualMachineSnapshot, virtualMachineSnapshotName, key.namespace),
    safetyName === undefined ? undefined : store.get(virtualMachineSnapshot, safetyName, key.namespace),
  ]);
  const begins = restore.status?.croft?.step === undefined && restore.status?.croft?.endedAt === undefined;
  const lost = begins && snapshot ? await lostDisks(context, snapshot) : [];
  const { action, requeueAfter } = planRestore({ restore, vm, instance, snapshot, safety, lost, now: Date.now() });
  return (await execute(context, { restore, vm, snapshot, safety }, action)) ?? { requeueAfter };
}

type Observed = {
  restore: VirtualMachineRestore;
  vm: VirtualMachine | undefined;
  snapshot: VirtualMachineSnapshot | undefined;
  safety: VirtualMachineSnapshot | undefined;
};

/** A restore that isn't there any more holds nobody. */
async function freeVms({ store }: VmContext, { name, namespace }: { name: string; namespace: string }): Promise<Again> {
  const { items } = await store.list(virtualMachine, { namespace });
  for (const vm of items.filter(({ status }) => status?.restoreInProgress === name)) {
    await editStatus(store, virtualMachine, placeOf(vm), (draft) => {
      if (draft.status?.restoreInProgress === name) delete draft.status.restoreInProgress;
    });
  }
  return {};
}

async function lostDisks(context: VmContext, snapshot: VirtualMachineSnapshot): Promise<string[]> {
  const content = snapshot.status?.croft?.content;
  const found = await Promise.all(
    (content?.disks ?? []).map(async (disk) => {
      const located = await locate(context, namespaceOf(snapshot), disk);
      const volume = await located?.driver.get(disk.volumeId);
      const there = volume?.snapshots.some(({ id }) => id === content?.snapshotId) ?? false;
      return there ? [] : [`Disk ${disk.name} (volume ${disk.claim}) of the snapshot was deleted.`];
    }),
  );
  return found.flat();
}

async function execute(context: VmContext, observed: Observed, action: RestoreAction): Promise<Again | undefined> {
  const { store } = context;
  const { restore, vm } = observed;
  switch (action.do) {
    case 'none':
      return undefined;
    case 'adorn':
      await editObject(store, virtualMachineRestore, placeOf(restore), (draft) => {
        if (draft.metadata.deletionTimestamp) return false;
        draft.metadata.finalizers = [...new Set([...(draft.metadata.finalizers ?? []), restoreFinalizer])];
        draft.metadata.labels = { [idLabel]: newId(), ...draft.metadata.labels };
        if (vm && !draft.metadata.ownerReferences)
          draft.metadata.ownerReferences = [{ ...ownerReferenceTo(vm), controller: false }];
        return undefined;
      });
      return undefined;
    case 'begin':
      await enter(context, restore, 'saving', { ran: action.ran, safetySnapshot: action.safetySnapshot });
      return undefined;
    case 'save':
      await createUnlessThere(
        store.create(virtualMachineSnapshot, {
          metadata: {
            name: action.safetySnapshot,
            namespace: namespaceOf(restore),
            labels: { [idLabel]: newId() },
            annotations: { [reasonAnnotation]: 'restore' },
          },
          spec: { source: restore.spec.target },
        }),
      );
      return undefined;
    case 'enter':
      await enter(context, restore, action.step, action.error === undefined ? {} : { error: action.error });
      return undefined;
    case 'wait':
      await editStatus(store, virtualMachineRestore, placeOf(restore), (draft) => {
        const conditions = setCondition(draft.status?.conditions, {
          type: 'Progressing',
          status: 'True',
          reason: 'Waiting',
          message: action.message,
        });
        draft.status = { ...draft.status, complete: false, conditions };
      });
      return undefined;
    case 'hold':
      await editStatus(store, virtualMachine, placeOf(vm as VirtualMachine), (draft) => {
        if (draft.status?.restoreInProgress === undefined)
          draft.status = { ...draft.status, restoreInProgress: restore.metadata.name };
      });
      return { requeueAfter: retry / 10 };
    case 'stop':
      // What the guest would still write is about to be replaced: it has no say in it.
      await editObject(store, virtualMachineInstance, placeOf(vm as VirtualMachine), (draft) => {
        draft.spec.terminationGracePeriodSeconds = 0;
      });
      return undefined;
    case 'put-back':
      return putBackOr(context, observed, observed.snapshot, (message) => enter(context, restore, 'undoing', { error: message }));
    case 'undo': {
      const why = restore.status?.croft?.error ?? '';
      const told = (message: string) => `${why} The disks could not be put back as they were either: ${message}`;
      return putBackOr(context, observed, observed.safety, (message) =>
        enter(context, restore, 'releasing', { error: told(message) }),
      );
    }
    case 'release':
      await release(context, restore, vm as VirtualMachine);
      return finish(context, restore, restore.status?.croft?.error);
    case 'fail':
      return finish(context, restore, action.message);
    case 'let-go':
      await editObject(store, virtualMachineRestore, placeOf(restore), (draft) => {
        draft.metadata.finalizers = draft.metadata.finalizers?.filter((name) => name !== restoreFinalizer);
      });
      return undefined;
    case 'expire':
      await store.delete(virtualMachineRestore, restore.metadata.name, restore.metadata.namespace);
      return undefined;
  }
}

type Facts = { ran?: boolean; safetySnapshot?: string; error?: string };

async function enter(context: VmContext, restore: VirtualMachineRestore, step: RestoreStep, facts: Facts): Promise<void> {
  await editStatus(context.store, virtualMachineRestore, placeOf(restore), (draft) => {
    const conditions = setCondition(draft.status?.conditions, {
      type: 'Progressing',
      status: 'True',
      reason: 'Running',
      message: '',
    });
    draft.status = {
      ...draft.status,
      complete: false,
      conditions,
      croft: { ...draft.status?.croft, ...facts, step, since: new Date().toISOString() },
    };
  });
}

/** Puts disks and spec to a snapshot and goes on; what goes by itself is waited for, what doesn't is given to `giveUp`. */
async function putBackOr(
  context: VmContext,
  { restore, vm }: Observed,
  snapshot: VirtualMachineSnapshot | undefined,
  giveUp: (message: string) => Promise<void>,
): Promise<Again | undefined> {
  try {
    await putBack(context, vm as VirtualMachine, snapshot);
  } catch (error) {
    const message = sentenceOf(context, error, 'putting a VM back to a snapshot');
    const late = Date.now() - Date.parse(restore.status?.croft?.since ?? '') > patience;
    if (isPassing(error) && !late) return { requeueAfter: retry };
    await giveUp(message);
    return undefined;
  }
  await enter(context, restore, 'releasing', {});
  return undefined;
}

async function putBack(context: VmContext, vm: VirtualMachine, snapshot: VirtualMachineSnapshot | undefined): Promise<void> {
  const content = snapshot?.status?.croft?.content;
  if (!content) throw new CroftError('not-found', 'The snapshot was deleted meanwhile.');
  await context.locks.with([vmIdOf(vm)], async () => {
    if (context.registry.get(vmIdOf(vm))) throw new CroftError('unavailable', 'Its guest has not ended yet.');
    const disks = await locateAll(context, namespaceOf(vm), content);
    if (disks.length < content.disks.length) throw new CroftError('not-found', 'A disk was deleted meanwhile.');
    for (const { driver, volumeId, wished } of disks) {
      await driver.restore(volumeId, content.snapshotId);
      // It was grown since: its claim keeps the size it has.
      const size = (await driver.get(volumeId))?.size ?? wished;
      if (size < wished) for (const step of await driver.grow(volumeId, wished, undefined)) if ('host' in step) await step.run();
    }
  });
  await editObject(context.store, virtualMachine, placeOf(vm), (draft) => restoreSpec(draft, content));
}

/** Lets the VM go, to run again if it ran and nothing else was asked. May be repeated. */
async function release({ store }: VmContext, restore: VirtualMachineRestore, vm: VirtualMachine): Promise<void> {
  const { name } = restore.metadata;
  if (vm.status?.restoreInProgress !== name) return;
  const asked = restore.metadata.annotations?.[startAnnotation];
  const start = asked === undefined ? restore.status?.croft?.ran === true : asked === 'true';
  const strategy = runStrategyOf(vm.spec);
  const byStrategy = strategy === 'Always' || strategy === 'Halted';
  if (byStrategy && asked !== undefined) {
    await editObject(store, virtualMachine, placeOf(vm), (draft) => {
      delete draft.spec.running;
      draft.spec.runStrategy = start ? 'Always' : 'Halted';
    });
  }
  await editStatus(store, virtualMachine, placeOf(vm), (draft) => {
    if (draft.status?.restoreInProgress !== name) return;
    const { restoreInProgress: _held, ...status } = draft.status;
    if (byStrategy) draft.status = status;
    else if (start) draft.status = { ...status, stateChangeRequests: [{ action: 'Start' }] };
    else draft.status = { ...status, croft: { ...status.croft, lastExit: 'Stopped' } };
  });
}

async function finish(context: VmContext, restore: VirtualMachineRestore, error: string | undefined): Promise<undefined> {
  const at = new Date().toISOString();
  await editStatus(context.store, virtualMachineRestore, placeOf(restore), (draft) => {
    const ok = error === undefined;
    let conditions = setCondition(draft.status?.conditions, {
      type: 'Ready',
      status: ok ? 'True' : 'False',
      reason: ok ? 'Restored' : 'Failed',
      message: error ?? '',
    });
    conditions = setCondition(conditions, {
      type: 'Progressing',
      status: 'False',
      reason: ok ? 'Restored' : 'Failed',
      message: '',
    });
    const croft = { ...draft.status?.croft, endedAt: at, ...(ok ? {} : { error }) };
    draft.status = { ...draft.status, complete: ok, conditions, croft, ...(ok ? { restoreTime: at } : {}) };
  });
  const { target, virtualMachineSnapshotName } = restore.spec;
  const from = virtualMachineSnapshotName.replace(`${target.name}.`, '');
  if (error === undefined) tell(context, restore, target.name, 'Restored', `Its disks are those of snapshot ${from} again.`);
  else tell(context, restore, target.name, 'RestoreFailed', `Restoring snapshot ${from}: ${error}`, true);
  return undefined;
}
