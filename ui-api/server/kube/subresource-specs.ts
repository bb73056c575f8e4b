/** Subresources that change or work out a VM's spec: volumes plugged in and out, instance type and preference applied. */
import { CroftError } from '../../../appliance/errors.ts';
import { virtualMachine, virtualMachineInstance, type VirtualMachine } from '../../../appliance/resources/virtual-machine.ts';
import { editObject, mustGet } from '../../../appliance/store/edit.ts';
import type { ResourceStore } from '../../../appliance/store/store.ts';
import { validateObject } from '../../../appliance/store/validate.ts';
import { instanceSpecOf } from '../../../appliance/vm/instance-spec.ts';
import { typesOf } from '../../../appliance/vm/types-of-vm.ts';
import { removeDisk } from '../projections/vm-changes.ts';
import { mustBeFree } from '../views.ts';
import { incoming, isObject, outgoing, type Json } from './wire.ts';

export type Target = { name: string; namespace: string };

const missing = (field: string): never => {
  throw new CroftError('invalid-input', `${field}: is missing and required.`, {
    errors: [{ pointer: `/${field}`, detail: 'is missing and required' }],
  });
};

/** AddVolumeOptions and RemoveVolumeOptions of kubevirt api core/v1. */
function volumeOf(body: Json): { name: string; claim: string; source: Json; disk: Json } {
  const { name, disk = {}, volumeSource } = body;
  if (typeof name !== 'string' || name === '') return missing('name');
  if (!isObject(volumeSource)) return missing('volumeSource');
  const { dataVolume, persistentVolumeClaim } = volumeSource as Record<string, Json | undefined>;
  const claim = dataVolume?.name ?? persistentVolumeClaim?.claimName;
  if (typeof claim !== 'string' || claim === '') return missing('volumeSource.dataVolume.name');
  const source = dataVolume
    ? { dataVolume: { name: claim, hotpluggable: true } }
    : { persistentVolumeClaim: { claimName: claim, hotpluggable: true } };
  return { name, claim, source, disk: isObject(disk) ? disk : {} };
}

/** A running guest gets it at once; it stays with the VM. @throws CroftError `invalid-input`, `in-use`, `already-exists` */
export async function addVolume(store: ResourceStore, key: Target, body: Json, dry: boolean): Promise<void> {
  const { name, claim, source, disk } = volumeOf(body);
  await mustBeFree(store, claim, key.namespace, '/volumeSource');
  const change = (draft: VirtualMachine): void => {
    const spec = draft.spec.template.spec;
    if (spec.volumes?.some((volume) => volume.name === name))
      throw new CroftError('already-exists', `VM ${key.name} has a volume ${name} already.`);
    // virtctl leaves the disk's own name empty.
    const added = { ...disk, name } as NonNullable<typeof spec.domain.devices.disks>[number];
    spec.volumes = [...(spec.volumes ?? []), { name, ...source }];
    spec.domain.devices.disks = [...(spec.domain.devices.disks ?? []), added];
  };
  await edit(store, key, change, dry);
}

/** @throws CroftError `not-found`, `invalid-state` for the disk that a running guest runs from */
export async function removeVolume(store: ResourceStore, key: Target, body: Json, dry: boolean): Promise<void> {
  const { name } = body;
  if (typeof name !== 'string' || name === '') return missing('name');
  const running = (await store.get(virtualMachineInstance, key.name, key.namespace)) !== undefined;
  await edit(store, key, (draft) => void removeDisk(draft, name, running), dry);
}

async function edit(store: ResourceStore, key: Target, change: (draft: VirtualMachine) => void, dry: boolean): Promise<void> {
  const vm = structuredClone(await mustGet(store, virtualMachine, key.name, key.namespace));
  change(vm);
  validateObject(virtualMachine, vm);
  if (!dry) await editObject(store, virtualMachine, key, change);
}

/** The VM with instance type and preference written out and named no more. @throws CroftError `invalid-input` */
export async function expand(store: ResourceStore, vm: VirtualMachine): Promise<Json> {
  const found = await typesOf(store, vm);
  if ('failure' in found) throw new CroftError('invalid-input', `VirtualMachine ${vm.metadata.name}: ${found.failure}`);
  const { instancetype: _i, preference: _p, ...spec } = vm.spec;
  const template = { ...spec.template, spec: instanceSpecOf(vm, found.types, undefined) };
  return outgoing(virtualMachine, { ...vm, spec: { ...spec, template } });
}

/** The same for a VM that isn't there: `expand-vm-spec`. */
export async function expandGiven(store: ResourceStore, namespace: string, body: unknown): Promise<Json> {
  const { object } = incoming(virtualMachine, body, { namespace }, 'Strict');
  validateObject(virtualMachine, object);
  return expand(store, object as VirtualMachine);
}
