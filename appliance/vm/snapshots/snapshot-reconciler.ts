/** VirtualMachineSnapshot: observes, plans (plan-snapshot.ts), takes one step. */
import { idLabel, newId } from '../../resources/identity.ts';
import { ownerReferenceTo, setCondition } from '../../resources/meta.ts';
import {
  snapshotShortName,
  virtualMachineSnapshot,
  type SnapshotContent,
  type VirtualMachineSnapshot,
} from '../../resources/snapshot.ts';
import { virtualMachine, type VirtualMachine } from '../../resources/virtual-machine.ts';
import { persistentVolumeClaim, poolOfClaim, storageClassOf } from '../../resources/data-volume.ts';
import { CroftError } from '../../errors.ts';
import { editObject, editStatus, mustGet } from '../../store/edit.ts';
import type { VmContext } from '../context.ts';
import { contentOf, snapshotDisks } from './content.ts';
import { planSnapshot, snapshotDeadline, snapshotFinalizer, type SnapshotStep } from './plan-snapshot.ts';
import { takeLive, takeOffline, wake, type Taken } from './take.ts';
import { isPassing, locateAll, namespaceOf, placeOf, removeFromVolumes, sentenceOf, tell, vmIdOf } from './volumes.ts';

type Again = { requeueAfter?: number };

const retry = 1_000;

export async function reconcileSnapshot(context: VmContext, key: { name: string; namespace: string }): Promise<Again> {
  const snapshot = await context.store.get(virtualMachineSnapshot, key.name, key.namespace);
  if (!snapshot) return {};
  const vm = await context.store.get(virtualMachine, snapshot.spec.source.name, key.namespace);
  const { step, requeueAfter } = planSnapshot({
    snapshot,
    vm,
    disksPending: vm ? await pendingDisks(context, vm) : [],
    now: Date.now(),
  });
  return (await execute(context, snapshot, vm, step)) ?? { requeueAfter };
}

async function pendingDisks({ volumes }: VmContext, vm: VirtualMachine): Promise<string[]> {
  const found = await Promise.all(
    snapshotDisks(vm.spec.template.spec).map(({ claim }) => volumes.resolve(namespaceOf(vm), claim)),
  );
  return found.flatMap((volume) => ('pending' in volume ? [volume.pending] : []));
}

async function execute(
  context: VmContext,
  snapshot: VirtualMachineSnapshot,
  vm: VirtualMachine | undefined,
  step: SnapshotStep,
): Promise<Again | undefined> {
  const { store } = context;
  switch (step.do) {
    case 'none':
      return undefined;
    case 'adorn':
      await editObject(store, virtualMachineSnapshot, placeOf(snapshot), (draft) => {
        if (draft.metadata.deletionTimestamp) return false;
        draft.metadata.finalizers = [...new Set([...(draft.metadata.finalizers ?? []), snapshotFinalizer])];
        draft.metadata.labels = { [idLabel]: newId(), ...draft.metadata.labels };
        // The bytes are in the VM's volumes: they go with them.
        if (vm && !draft.metadata.ownerReferences)
          draft.metadata.ownerReferences = [{ ...ownerReferenceTo(vm), controller: false }];
        return undefined;
      });
      return undefined;
    case 'wait':
      await setProgress(context, snapshot, step.message);
      return undefined;
    case 'begin': {
      const begun = await begin(context, snapshot, vm as VirtualMachine);
      return begun ? takeOrFail(context, begun, vm as VirtualMachine, false) : undefined;
    }
    case 'take':
      return takeOrFail(context, snapshot, vm as VirtualMachine, true);
    case 'fail':
      return fail(context, snapshot, vm, step.message);
    case 'remove':
      await context.locks.with([vmIdOf(vm)], async () => {
        const content = snapshot.status?.croft?.content;
        await wakeGuest(context, snapshot, vm);
        if (content) await removeFromVolumes(context, namespaceOf(snapshot), content);
      });
      await editObject(store, virtualMachineSnapshot, placeOf(snapshot), (draft) => {
        draft.metadata.finalizers = draft.metadata.finalizers?.filter((name) => name !== snapshotFinalizer);
      });
      return undefined;
  }
}

/** Writes down what is to be frozen: whatever happens from here on can be completed or undone from that. */
async function begin(
  context: VmContext,
  snapshot: VirtualMachineSnapshot,
  vm: VirtualMachine,
): Promise<VirtualMachineSnapshot | undefined> {
  const namespace = namespaceOf(vm);
  const disks = await Promise.all(
    snapshotDisks(vm.spec.template.spec).map(async ({ claim, volume }) => {
      const found = await context.volumes.resolve(namespace, claim);
      if ('pending' in found) throw new CroftError('unavailable', found.pending);
      const storageClassName = storageClassOf(poolOfClaim(await mustGet(context.store, persistentVolumeClaim, claim, namespace)));
      return { name: volume, claim, volumeId: found.volumeId, size: found.size, storageClassName };
    }),
  );
  const content = contentOf(vm, disks, snapshot.metadata.labels?.[idLabel] as string);
  return editStatus(context.store, virtualMachineSnapshot, placeOf(snapshot), (draft) => {
    draft.status = {
      ...draft.status,
      phase: 'InProgress',
      readyToUse: false,
      sourceUID: vm.metadata.uid,
      croft: { ...draft.status?.croft, content },
    };
  });
}

async function takeOrFail(
  context: VmContext,
  snapshot: VirtualMachineSnapshot,
  vm: VirtualMachine,
  again: boolean,
): Promise<Again | undefined> {
  const content = snapshot.status?.croft?.content as SnapshotContent;
  let taken: Taken;
  try {
    taken = await context.locks.with([vmIdOf(vm)], async () => {
      if (again) await wakeGuest(context, snapshot, vm);
      return take(context, snapshot, vm, content);
    });
  } catch (error) {
    const message = sentenceOf(context, error, 'taking a snapshot');
    const late = Date.now() - Date.parse(snapshot.metadata.creationTimestamp ?? '') > snapshotDeadline;
    if (!isPassing(error) || late) return fail(context, snapshot, vm, message);
    await setProgress(context, snapshot, message);
    return { requeueAfter: retry };
  }
  await editStatus(context.store, virtualMachineSnapshot, placeOf(snapshot), (draft) => {
    const { pausedGuest: _woken, ...croft } = draft.status?.croft ?? {};
    const conditions = ending(draft, true, '');
    draft.status = {
      ...draft.status,
      phase: 'Succeeded',
      readyToUse: true,
      creationTime: taken.at,
      indications: taken.indications,
      conditions,
      croft,
    };
  });
  tell(
    context,
    snapshot,
    vm.metadata.name,
    'SnapshotTaken',
    `Snapshot ${snapshotShortName(snapshot)} holds ${content.disks.length} ${content.disks.length === 1 ? 'disk' : 'disks'}.`,
  );
  return undefined;
}

async function take(
  context: VmContext,
  snapshot: VirtualMachineSnapshot,
  vm: VirtualMachine,
  content: SnapshotContent,
): Promise<Taken> {
  const disks = await locateAll(context, namespaceOf(snapshot), content);
  if (disks.length < content.disks.length) throw new CroftError('not-found', 'A disk was deleted meanwhile.');
  const guest = context.registry.get(vmIdOf(vm));
  if (!guest) return takeOffline(disks, content.snapshotId);
  const beforePause = async (): Promise<void> => {
    await editStatus(context.store, virtualMachineSnapshot, placeOf(snapshot), (draft) => {
      draft.status = { ...draft.status, croft: { ...draft.status?.croft, pausedGuest: true } };
    });
  };
  return takeLive(guest, disks, content.snapshotId, { logger: context.logger, beforePause });
}

/** A try that was cut off may have left the guest frozen or stopped. */
async function wakeGuest(context: VmContext, { status }: VirtualMachineSnapshot, vm: VirtualMachine | undefined): Promise<void> {
  const guest = status?.phase === 'InProgress' ? context.registry.get(vmIdOf(vm)) : undefined;
  if (guest) await wake(guest, status?.croft?.pausedGuest === true, context.logger);
}

const ending = (draft: VirtualMachineSnapshot, ok: boolean, message: string) =>
  setCondition(
    setCondition(draft.status?.conditions, {
      type: 'Ready',
      status: ok ? 'True' : 'False',
      reason: ok ? 'Taken' : 'Failed',
      message,
    }),
    { type: 'Progressing', status: 'False', reason: ok ? 'Taken' : 'Failed', message: '' },
  );

async function setProgress(context: VmContext, snapshot: VirtualMachineSnapshot, message: string): Promise<void> {
  await editStatus(context.store, virtualMachineSnapshot, placeOf(snapshot), (draft) => {
    const conditions = setCondition(draft.status?.conditions, {
      type: 'Progressing',
      status: 'True',
      reason: 'Waiting',
      message,
    });
    draft.status = { ...draft.status, phase: 'InProgress', readyToUse: false, conditions };
  });
}

/** Half a snapshot is none: what was frozen is given up. */
async function fail(
  context: VmContext,
  snapshot: VirtualMachineSnapshot,
  vm: VirtualMachine | undefined,
  message: string,
): Promise<undefined> {
  const content = snapshot.status?.croft?.content;
  await context.locks.with([vmIdOf(vm)], async () => {
    await wakeGuest(context, snapshot, vm);
    if (content) await removeFromVolumes(context, namespaceOf(snapshot), content);
  });
  await editStatus(context.store, virtualMachineSnapshot, placeOf(snapshot), (draft) => {
    const error = { time: new Date().toISOString(), message };
    draft.status = { ...draft.status, phase: 'Failed', readyToUse: false, error, conditions: ending(draft, false, message) };
  });
  tell(
    context,
    snapshot,
    snapshot.spec.source.name,
    'SnapshotFailed',
    `Snapshot ${snapshotShortName(snapshot)}: ${message}`,
    true,
  );
  return undefined;
}
