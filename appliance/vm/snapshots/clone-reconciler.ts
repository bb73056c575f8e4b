/** VirtualMachineClone: observes, plans (plan-clone.ts), takes one step. */
import { dataVolume } from '../../resources/data-volume.ts';
import { idLabel, newId } from '../../resources/identity.ts';
import { ownerReferenceTo, setCondition } from '../../resources/meta.ts';
import {
  reasonAnnotation,
  startAnnotation,
  virtualMachineClone,
  virtualMachineSnapshot,
  type SnapshotContent,
  type VirtualMachineClone,
} from '../../resources/snapshot.ts';
import { virtualMachine } from '../../resources/virtual-machine.ts';
import { editObject, editStatus } from '../../store/edit.ts';
import type { VmContext } from '../context.ts';
import { cloneDraft } from './content.ts';
import { clonedByAnnotation, planClone, type CloneAction, type CloneObservation } from './plan-clone.ts';
import { createUnlessThere, namespaceOf, placeOf, tell } from './volumes.ts';

type Again = { requeueAfter?: number };

export async function reconcileClone(context: VmContext, key: { name: string; namespace: string }): Promise<Again> {
  const { store } = context;
  const clone = await store.get(virtualMachineClone, key.name, key.namespace);
  if (!clone) return {};
  const { snapshotName } = clone.status ?? {};
  const targetName = clone.status?.targetName ?? clone.spec.target?.name;
  const [snapshot, target] = await Promise.all([
    snapshotName === undefined ? undefined : store.get(virtualMachineSnapshot, snapshotName, key.namespace),
    targetName === undefined ? undefined : store.get(virtualMachine, targetName, key.namespace),
  ]);
  const names = (target?.spec.dataVolumeTemplates ?? []).map(({ metadata }) => metadata.name);
  const dataVolumes = (await Promise.all(names.map((name) => store.get(dataVolume, name, key.namespace)))).filter(
    (found) => found !== undefined,
  );
  const observed = { clone, id: clone.metadata.labels?.[idLabel], snapshot, target, dataVolumes, now: Date.now() };
  const { action, requeueAfter } = planClone(observed);
  await execute(context, observed, action);
  return { requeueAfter };
}

async function execute(
  context: VmContext,
  { clone, id, snapshot, target }: CloneObservation,
  action: CloneAction,
): Promise<void> {
  const { store } = context;
  const setStatus = (change: NonNullable<VirtualMachineClone['status']>) =>
    editStatus(store, virtualMachineClone, placeOf(clone), (draft) => {
      draft.status = { ...draft.status, ...change };
    });
  switch (action.do) {
    case 'none':
    case 'wait':
      return;
    case 'adorn':
      await editObject(store, virtualMachineClone, placeOf(clone), (draft) => {
        draft.metadata.labels = { [idLabel]: newId(), ...draft.metadata.labels };
      });
      return;
    case 'begin':
      await setStatus({ phase: 'SnapshotInProgress', snapshotName: action.snapshotName, targetName: action.targetName });
      return;
    case 'snapshot':
      await createUnlessThere(
        store.create(virtualMachineSnapshot, {
          metadata: {
            name: clone.status?.snapshotName as string,
            namespace: namespaceOf(clone),
            labels: { [idLabel]: newId() },
            annotations: { [reasonAnnotation]: 'clone' },
            ownerReferences: [ownerReferenceTo(clone)],
          },
          spec: { source: { apiGroup: 'kubevirt.io', kind: 'VirtualMachine', name: clone.spec.source.name } },
        }),
      );
      return;
    case 'create': {
      const content = snapshot?.status?.croft?.content as SnapshotContent;
      await createUnlessThere(
        store.create(
          virtualMachine,
          cloneDraft(content, {
            source: snapshot?.spec.source.name ?? '',
            name: clone.status?.targetName as string,
            namespace: namespaceOf(clone),
            start: clone.metadata.annotations?.[startAnnotation] === 'true',
            annotations: { [clonedByAnnotation]: id as string },
          }),
        ),
      );
      return;
    }
    case 'enter':
      await setStatus({ phase: action.phase });
      return;
    case 'succeed':
      await forgetSnapshot(context, clone);
      await end(context, clone, undefined);
      return;
    case 'fail':
      // Half a clone is none.
      if (target?.metadata.annotations?.[clonedByAnnotation] === id)
        await store.delete(virtualMachine, target?.metadata.name ?? '', namespaceOf(clone));
      await forgetSnapshot(context, clone);
      await end(context, clone, action.message);
      return;
    case 'expire':
      await store.delete(virtualMachineClone, clone.metadata.name, clone.metadata.namespace);
  }
}

/** The snapshot that was taken for the clone; one that it was made of is somebody's. */
async function forgetSnapshot({ store }: VmContext, clone: VirtualMachineClone): Promise<void> {
  const name = clone.status?.snapshotName;
  if (clone.spec.source.kind === 'VirtualMachine' && name !== undefined)
    await store.delete(virtualMachineSnapshot, name, namespaceOf(clone));
}

async function end(context: VmContext, clone: VirtualMachineClone, error: string | undefined): Promise<void> {
  const at = new Date().toISOString();
  const ok = error === undefined;
  await editStatus(context.store, virtualMachineClone, placeOf(clone), (draft) => {
    const ready = {
      type: 'Ready',
      status: ok ? ('True' as const) : ('False' as const),
      reason: ok ? 'Cloned' : 'Failed',
      message: error ?? '',
    };
    const croft = { endedAt: at, ...(ok ? {} : { error }) };
    draft.status = {
      ...draft.status,
      phase: ok ? 'Succeeded' : 'Failed',
      conditions: setCondition(draft.status?.conditions, ready),
      croft,
      ...(ok ? { creationTime: at } : {}),
    };
  });
  const { source } = clone.spec;
  const targetName = clone.status?.targetName ?? clone.spec.target?.name ?? '';
  if (ok) tell(context, clone, targetName, 'Cloned', `It is a clone of ${source.name}.`);
  else tell(context, clone, source.name, 'CloneFailed', `Clone ${targetName}: ${error}`, true);
}
