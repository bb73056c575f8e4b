/** Changes of an existing VirtualMachine asked for by flat requests; each edits the draft it is given. Pure otherwise. */
import { CroftError } from '../../../appliance/errors.ts';
import type { CapturedTypes, InstancetypeMatcher } from '../../../appliance/resources/instancetype.ts';
import { formatBytes } from '../../../appliance/resources/quantity.ts';
import type { VirtualMachine } from '../../../appliance/resources/virtual-machine.ts';
import { emptyDrives, networkOf, wishedDisks, wishedNics } from '../../../appliance/vm/guest-shape.ts';
import { startOrderAnnotation } from '../../../appliance/vm/start-order.ts';
import type { DiskWish, MediumBody, VmPatch } from '../../schemas/vm.ts';
import { patchLabels } from './common.ts';
import { kernelBootOf } from './kernel-boot.ts';
import { cpusOf, memoryOf, specOf } from './vm.ts';
import { bindingOf, diskParts, mediumParts, memoryBytes, networkSource, refuseField, resourcesOf } from './vm-draft.ts';

/** Moves one NIC to another network; only that changes. @throws CroftError `not-found` */
export function moveNic(vm: VirtualMachine, nicName: string, network: string): void {
  const spec = vm.spec.template.spec;
  const nic = wishedNics(spec).find(({ name }) => name === nicName);
  if (!nic) {
    const known = wishedNics(spec).map(({ name }) => name);
    throw new CroftError('not-found', `VM ${vm.metadata.name} has no NIC ${nicName}; it has ${known.join(', ') || 'none'}.`);
  }
  if (networkOf(spec, nicName) === network) return;
  delete nic.bridge;
  delete nic.masquerade;
  Object.assign(nic, bindingOf(network));
  const sources = spec.networks ?? [];
  spec.networks = sources.some(({ name }) => name === nicName)
    ? sources.map((source) => (source.name === nicName ? networkSource(nicName, network) : source))
    : [...sources, networkSource(nicName, network)];
}

/** Disks and NICs on virtio, or on SATA and e1000e, which need no drivers. CDs stay where they are. */
export function switchDevices(vm: VirtualMachine, to: 'compatible' | 'virtio'): void {
  const { devices } = vm.spec.template.spec.domain;
  for (const disk of devices.disks ?? []) {
    // The seed is no disk of the guest's; it stays where cloud-init has found it.
    if (!disk.cdrom && disk.name !== 'cloudinit') disk.disk = { ...disk.disk, bus: to === 'virtio' ? 'virtio' : 'sata' };
  }
  for (const nic of devices.interfaces ?? []) nic.model = to === 'virtio' ? 'virtio' : 'e1000e';
}

/** What `patch.size` names, and what the VM is made of where no controller has captured it yet. */
export type PatchTypes = { type?: InstancetypeMatcher; types?: CapturedTypes };

/** CPUs and memory are either an instance type's or the VM's own; what isn't asked for stays as it is. */
function resize(vm: VirtualMachine, patch: VmPatch, { type, types }: PatchTypes): void {
  const { domain } = vm.spec.template.spec;
  const model = domain.cpu?.model ? { model: domain.cpu.model } : {};
  if (patch.size !== undefined) {
    resourcesOf(patch);
    vm.spec.instancetype = type;
    domain.cpu = model;
    delete domain.memory;
    return;
  }
  const now = specOf(vm, types ?? vm.status?.croft?.types);
  const wished = {
    cpus: patch.cpus ?? cpusOf(now),
    memory: patch.memory === undefined ? memoryOf(now) : memoryBytes(patch.memory),
  };
  if (vm.spec.instancetype || wished.cpus !== cpusOf(now)) domain.cpu = { ...model, cores: wished.cpus };
  if (vm.spec.instancetype || wished.memory !== memoryOf(now)) domain.memory = { guest: formatBytes(wished.memory) };
  delete vm.spec.instancetype;
}

/** A running guest keeps its cpus and memory until it is restarted. */
export function patchVm(vm: VirtualMachine, patch: VmPatch, types: PatchTypes = {}): void {
  if (patch.size !== undefined || patch.cpus !== undefined || patch.memory !== undefined) resize(vm, patch, types);
  if (patch.machine !== undefined) vm.spec.template.spec.domain.machine = { type: patch.machine };
  if (patch.kernelBoot !== undefined) {
    const { domain } = vm.spec.template.spec;
    const { kernelBoot: _before, ...firmware } = domain.firmware ?? {};
    domain.firmware = patch.kernelBoot === null ? firmware : { ...firmware, kernelBoot: kernelBootOf(patch.kernelBoot) };
  }
  if (patch.startOrder !== undefined) {
    const { [startOrderAnnotation]: _before, ...annotations } = vm.metadata.annotations ?? {};
    vm.metadata.annotations =
      patch.startOrder === null ? annotations : { ...annotations, [startOrderAnnotation]: String(patch.startOrder) };
  }
  if (patch.runStrategy !== undefined) {
    delete vm.spec.running;
    vm.spec.runStrategy = patch.runStrategy;
  }
  for (const [index, { name, network }] of (patch.nics ?? []).entries()) {
    if (!wishedNics(vm.spec.template.spec).some((nic) => nic.name === name)) {
      refuseField(`/nics/${index}/name`, `nics[${index}].name: this VM has no NIC ${JSON.stringify(name)}.`);
    }
    moveNic(vm, name, network);
  }
  if (patch.labels !== undefined) vm.metadata.labels = patchLabels(vm.metadata.labels, patch.labels);
}

/** Adds a disk with its volume (and, for a new blank one, its template). Returns the disk's name. */
export function addDisk(vm: VirtualMachine, wish: DiskWish): string {
  const spec = vm.spec.template.spec;
  const taken = new Set([...(spec.volumes ?? []), ...(spec.domain.devices.disks ?? [])].map(({ name }) => name));
  let next = wishedDisks(spec).length;
  while (taken.has(`disk${next}`)) next++;
  const name = wish.name ?? `disk${next}`;
  if (taken.has(name))
    throw new CroftError('already-exists', `VM ${vm.metadata.name} has a disk ${name} already; choose another name.`);
  const { disk, volume, template } = diskParts(vm.metadata.name, name, wish, 0, true);
  spec.domain.devices.disks = [...(spec.domain.devices.disks ?? []), disk];
  if (volume) spec.volumes = [...(spec.volumes ?? []), volume];
  if (template) vm.spec.dataVolumeTemplates = [...(vm.spec.dataVolumeTemplates ?? []), template];
  return name;
}

/**
 * Puts an image or a volume into a CD drive, or takes out what is in it. Returns the claims that were the VM's own for
 * that: they go. @throws CroftError `not-found`, `invalid-input`
 */
export function changeMedium(vm: VirtualMachine, drive: string, wish: MediumBody): string[] {
  const spec = vm.spec.template.spec;
  const disk = spec.domain.devices.disks?.find(({ name }) => name === drive);
  if (!disk?.cdrom) {
    const drives = (spec.domain.devices.disks ?? []).filter(({ cdrom }) => cdrom).map(({ name }) => name);
    throw new CroftError('not-found', `VM ${vm.metadata.name} has no CD drive ${drive}; it has ${drives.join(', ') || 'none'}.`);
  }
  if (wish.image !== undefined && wish.volume !== undefined) refuseField('/volume', 'volume: give either image or volume.');
  const { volume, template } = mediumParts(vm.metadata.name, drive, wish);
  const before = spec.volumes?.find(({ name }) => name === drive)?.dataVolume?.name;
  const own = (vm.spec.dataVolumeTemplates ?? []).filter(({ metadata }) => metadata.name === before);
  const others = (vm.spec.dataVolumeTemplates ?? []).filter(({ metadata }) => metadata.name !== before);
  vm.spec.dataVolumeTemplates = template ? [...others, template] : others;
  spec.volumes = [...(spec.volumes ?? []).filter(({ name }) => name !== drive), ...(volume ? [volume] : [])];
  return own.map(({ metadata }) => metadata.name).filter((name) => name !== template?.metadata.name);
}

/** One disk by its name: the volume in it, and whether it is the first. @throws CroftError `not-found` */
export function mustHaveDisk(vm: VirtualMachine, name: string): { volume: string; first: boolean } {
  const disks = wishedDisks(vm.spec.template.spec);
  const found = disks.find(({ volume }) => volume === name);
  if (found) return { volume: found.claim, first: found === disks[0] };
  throw new CroftError(
    'not-found',
    `VM ${vm.metadata.name} has no disk ${name}; it has ${disks.map(({ volume }) => volume).join(', ') || 'none'}.`,
  );
}

/** Takes a disk away; its volume stays. Returns the volume's name; empty for an empty CD drive. @throws CroftError `not-found`, `invalid-state` */
export function removeDisk(vm: VirtualMachine, name: string, running: boolean): string {
  const spec = vm.spec.template.spec;
  if (emptyDrives(spec).some((drive) => drive.name === name)) {
    spec.domain.devices.disks = spec.domain.devices.disks?.filter((disk) => disk.name !== name);
    return '';
  }
  const found = mustHaveDisk(vm, name);
  if (running && found.first) {
    throw new CroftError('invalid-state', `Disk ${name} of VM ${vm.metadata.name} is the one it runs from; stop the VM first.`);
  }
  spec.domain.devices.disks = spec.domain.devices.disks?.filter((disk) => disk.name !== name);
  spec.volumes = spec.volumes?.filter((volume) => volume.name !== name);
  const templates = vm.spec.dataVolumeTemplates?.filter(({ metadata }) => metadata.name !== found.volume);
  if (templates) vm.spec.dataVolumeTemplates = templates;
  return found.volume;
}
