/** The VirtualMachine controller: observes, plans (plan-vm.ts), writes the status, then takes the steps. */
import { isCroftError } from '../errors.ts';
import { dataVolume, type DataVolumeSpec } from '../resources/data-volume.ts';
import { idLabel, newId } from '../resources/identity.ts';
import { ownerReferenceTo } from '../resources/meta.ts';
import { virtualMachine, virtualMachineInstance, type VirtualMachine } from '../resources/virtual-machine.ts';
import { editObject } from '../store/edit.ts';
import type { ResourceStore } from '../store/store.ts';
import { epochAnnotation } from './guest-shape.ts';
import { planVm, wishedSpec, type VmStep } from './plan-vm.ts';
import { openGate, type StartGate } from './start-order.ts';
import { typesOf } from './types-of-vm.ts';

/** Upstream's name for the same finalizer. */
export const vmFinalizer = 'kubevirt.io/virtualMachineControllerFinalize';

type Key = { name: string; namespace: string };

/** Gives back what a VM held beside its instance: uid, firmware variables, seed. Must repeat without harm. */
export type Retire = (vmId: string) => Promise<void>;

/** Reconciles `namespace/name`. Returns when to look again, in ms, where no event will tell. */
export async function reconcileVm(
  store: ResourceStore,
  retire: Retire,
  key: Key,
  gate: StartGate = openGate,
): Promise<{ requeueAfter?: number }> {
  const vm = await adorned(store, key);
  if (!vm) return {};
  const instance = await store.get(virtualMachineInstance, key.name, key.namespace);
  const names = (vm.spec.dataVolumeTemplates ?? []).map((template) => template.metadata.name);
  const volumes = await Promise.all(names.map((name) => store.get(dataVolume, name, key.namespace)));
  const plan = planVm({
    vm,
    instance,
    types: await typesOf(store, vm),
    hold: gate(vm),
    dataVolumes: new Map(volumes.flatMap((volume) => (volume ? [[volume.metadata.name, volume]] : []))),
    now: new Date(),
  });
  // Planned from this very version: a request that came meanwhile makes the write fail, and we plan anew.
  const draft = { ...vm, status: plan.status };
  const current =
    JSON.stringify(draft.status) === JSON.stringify(vm.status) ? vm : await store.updateStatus(virtualMachine, draft);
  for (const step of plan.steps) await execute(store, retire, current, key, step);
  return { requeueAfter: plan.requeueAfter };
}

/** The VM with finalizer and id, given on first sight. */
async function adorned(store: ResourceStore, key: Key): Promise<VirtualMachine | undefined> {
  return editObject(store, virtualMachine, key, (draft) => {
    if (draft.metadata.deletionTimestamp) return false;
    draft.metadata.finalizers = [...new Set([...(draft.metadata.finalizers ?? []), vmFinalizer])];
    draft.metadata.labels = { [idLabel]: newId(), ...draft.metadata.labels };
    return undefined;
  });
}

async function execute(store: ResourceStore, retire: Retire, vm: VirtualMachine, key: Key, step: VmStep): Promise<void> {
  switch (step.do) {
    case 'create-data-volume':
      return createDataVolume(store, vm, key, step.name);
    case 'create-instance':
      return createInstance(store, vm, key, step.epoch);
    case 'update-instance':
      await editObject(store, virtualMachineInstance, key, (draft) => {
        draft.spec = step.spec;
      });
      return undefined;
    case 'delete-instance':
      await store.delete(virtualMachineInstance, key.name, key.namespace);
      return undefined;
    case 'release':
      await retire(vm.metadata.labels?.[idLabel] ?? '');
      await editObject(store, virtualMachine, key, (draft) => {
        draft.metadata.finalizers = draft.metadata.finalizers?.filter((finalizer) => finalizer !== vmFinalizer);
      });
      return undefined;
  }
}

async function createDataVolume(store: ResourceStore, vm: VirtualMachine, key: Key, name: string): Promise<void> {
  const template = vm.spec.dataVolumeTemplates?.find((candidate) => candidate.metadata.name === name);
  if (!template) return;
  await unlessThere(
    store.create(dataVolume, {
      metadata: {
        ...template.metadata,
        namespace: key.namespace,
        labels: { ...template.metadata.labels, 'kubevirt.io/created-by': vm.metadata.uid ?? '' },
        ownerReferences: [ownerReferenceTo(vm)],
      },
      spec: withStorageClass(template.spec, vm.status?.croft?.types?.preference?.spec.volumes?.preferredStorageClassName),
    }),
  );
}

/** Upstream's: the preferred class where the template names none. */
function withStorageClass(spec: DataVolumeSpec, preferred: string | undefined): DataVolumeSpec {
  if (preferred === undefined) return spec;
  if (spec.storage) return { ...spec, storage: { storageClassName: preferred, ...spec.storage } };
  return spec.pvc ? { ...spec, pvc: { storageClassName: preferred, ...spec.pvc } } : spec;
}

async function createInstance(store: ResourceStore, vm: VirtualMachine, key: Key, epoch: number): Promise<void> {
  const template = vm.spec.template;
  const types = vm.status?.croft?.types;
  await unlessThere(
    store.create(virtualMachineInstance, {
      metadata: {
        name: key.name,
        namespace: key.namespace,
        labels: { ...template.metadata?.labels, [idLabel]: vm.metadata.labels?.[idLabel] as string },
        annotations: {
          ...types?.instancetype?.spec.annotations,
          ...types?.preference?.spec.annotations,
          ...template.metadata?.annotations,
          [epochAnnotation]: String(epoch),
        },
        ownerReferences: [ownerReferenceTo(vm)],
      },
      spec: wishedSpec(vm, vm.status ?? {}),
    }),
  );
}

/** Another run made it already: that is as good. */
async function unlessThere(creation: Promise<unknown>): Promise<void> {
  try {
    await creation;
  } catch (error) {
    if (!isCroftError(error, 'already-exists')) throw error;
  }
}
