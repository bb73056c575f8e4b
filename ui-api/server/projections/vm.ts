/** VirtualMachine (with its instance and claims) → the flat VM of `/v1`. Pure. */
import { formatBytes, parseBytes } from '../../../appliance/resources/quantity.ts';
import {
  poolOf,
  poolOfClaim,
  type DataVolumeSpec,
  type PersistentVolumeClaim,
} from '../../../appliance/resources/data-volume.ts';
import type { CapturedTypes } from '../../../appliance/resources/instancetype.ts';
import { idLabel } from '../../../appliance/resources/identity.ts';
import type { Condition } from '../../../appliance/resources/meta.ts';
import type {
  InstanceSpec,
  PrintableStatus,
  VirtualMachine,
  VirtualMachineInstance,
} from '../../../appliance/resources/virtual-machine.ts';
import { busOf } from '../../../appliance/vm/fixed-disks.ts';
import { emptyDrives, macOf, networkOf, wishedDisks, wishedNics } from '../../../appliance/vm/guest-shape.ts';
import { instanceSpecOf } from '../../../appliance/vm/instance-spec.ts';
import { startOrderOf } from '../../../appliance/vm/start-order.ts';
import { runStrategyOf, stateOf } from '../../../appliance/vm/lifecycle.ts';
import type { Vm } from '../../schemas/vm.ts';
import { compact, identityOf } from './common.ts';
import { projectKernelBoot } from './kernel-boot.ts';

/** The present state; a VM no reconciler has seen yet is `Provisioning`, or `Stopped` when it isn't to start. */
export function printableStatusOf(vm: VirtualMachine): PrintableStatus {
  if (vm.metadata.deletionTimestamp) return 'Terminating';
  return vm.status?.printableStatus ?? (['Halted', 'Manual'].includes(runStrategyOf(vm.spec)) ? 'Stopped' : 'Provisioning');
}

/** vCPUs of a domain: sockets × cores × threads, 1 each where absent. */
export function cpusOf({ domain }: InstanceSpec): number {
  const { cores = 1, sockets = 1, threads = 1 } = domain.cpu ?? {};
  return cores * sockets * threads;
}

/** Bytes a guest is given; 0 where the manifest says nothing or nonsense (the reconciler says so in a condition). */
export function memoryOf({ domain }: InstanceSpec): number {
  return bytesOf(domain.memory?.guest ?? domain.resources?.requests?.memory) ?? 0;
}

/** Bytes of a stored quantity. A stored manifest may hold one we cannot read: shown as unknown. */
export function bytesOf(quantity: number | string | undefined): number | undefined {
  if (quantity === undefined) return undefined;
  try {
    return parseBytes(quantity, 'size');
  } catch {
    // Not shown is right here: reading must work for whatever was stored.
    return undefined;
  }
}

export const requestOf = (spec: DataVolumeSpec) => (spec.storage ?? spec.pvc)?.resources?.requests?.storage;
export const classOf = (spec: DataVolumeSpec) => (spec.storage ?? spec.pvc)?.storageClassName;

const letters = 'abcdefghijklmnopqrstuvwxyz';

function disksOf(vm: VirtualMachine, spec: InstanceSpec, claims: ReadonlyMap<string, PersistentVolumeClaim>): Vm['disks'] {
  const counts = { vd: 0, sd: 0, sr: 0 };
  const filled = wishedDisks(spec).map(({ claim: claimName, volume, disk }) => {
    const claim = claims.get(claimName);
    const template = vm.spec.dataVolumeTemplates?.find(({ metadata }) => metadata.name === claimName);
    const bus = busOf(disk);
    const prefix = disk.cdrom ? 'sr' : bus === 'virtio' ? 'vd' : 'sd';
    const index = counts[prefix]++;
    return compact({
      name: volume,
      volume: claimName,
      size:
        bytesOf(claim?.status?.capacity?.storage) ??
        bytesOf(claim?.spec.resources?.requests?.storage) ??
        bytesOf(template && requestOf(template.spec)),
      pool: claim ? poolOfClaim(claim) : poolOf(template && classOf(template.spec)),
      type: disk.cdrom ? ('cdrom' as const) : ('disk' as const),
      bus,
      device: prefix === 'sr' ? `sr${index}` : `${prefix}${letters[index] ?? '?'}`,
    });
  });
  const empty = emptyDrives(spec).map((disk) => ({
    name: disk.name,
    type: 'cdrom' as const,
    bus: busOf(disk),
    device: `sr${counts.sr++}`,
  }));
  return [...filled, ...empty];
}

function nicsOf(vm: VirtualMachine, spec: InstanceSpec, instance: VirtualMachineInstance | undefined): Vm['nics'] {
  return wishedNics(spec).map((nic) => {
    const seen = instance?.status?.interfaces?.find(({ name }) => name === nic.name);
    const id = vm.metadata.labels?.[idLabel];
    return compact({
      name: nic.name,
      network: networkOf(spec, nic.name),
      mac: nic.macAddress?.toLowerCase() ?? seen?.mac ?? (id ? macOf(id, nic.name) : undefined),
      model: nic.model ?? 'virtio',
      addresses: seen?.ipAddresses ?? (seen?.ipAddress ? [seen.ipAddress] : []),
    });
  });
}

/** Why it is not as wished: a failure first, then why it isn't ready while it should run. */
function reasonOf(vm: VirtualMachine, conditions: readonly Condition[]): string | undefined {
  const failure = conditions.find(({ type, status }) => type === 'Failure' && status === 'True');
  const notReady = conditions.find(({ type, status }) => type === 'Ready' && status === 'False');
  const quiet: readonly PrintableStatus[] = ['Running', 'Stopped'];
  const found = failure ?? (quiet.includes(printableStatusOf(vm)) ? undefined : notReady);
  return found ? found.message || found.reason : undefined;
}

/** The template with what its instance type and preference say: as its next instance will be. */
export function specOf(vm: VirtualMachine, types: CapturedTypes | undefined = vm.status?.croft?.types): InstanceSpec {
  const spec = vm.spec.template.spec;
  if (types?.preference) return instanceSpecOf(vm, types, undefined);
  if (!types?.instancetype) return spec;
  // Lists of a thousand VMs are made of these: nothing is copied that needn't be.
  const { cpu, memory } = types.instancetype.spec;
  return { ...spec, domain: { ...spec.domain, cpu: { sockets: cpu.guest }, memory: { guest: memory.guest } } };
}

const imageOf = (vm: VirtualMachine): string | undefined =>
  vm.spec.dataVolumeTemplates?.map(({ spec }) => spec.sourceRef?.name).find((name) => name !== undefined);

export type VmParts = {
  vm: VirtualMachine;
  instance?: VirtualMachineInstance;
  /** Its instance type and preference where no controller has captured them yet. */
  types?: CapturedTypes;
  /** Claims of the VM's project by name. */
  claims: ReadonlyMap<string, PersistentVolumeClaim>;
};

export function projectVm({ vm, instance, claims, types }: VmParts): Vm {
  const spec = specOf(vm, types);
  const nics = nicsOf(vm, spec, instance);
  const conditions = vm.status?.conditions ?? [];
  const extra = (instance?.status?.conditions ?? []).filter(
    ({ type }) => !conditions.some((condition) => condition.type === type),
  );
  const all = [...conditions, ...extra];
  return compact({
    kind: 'vm' as const,
    ...identityOf(vm),
    project: vm.metadata.namespace ?? 'default',
    state: stateOf(printableStatusOf(vm)),
    reason: reasonOf(vm, all),
    cpus: cpusOf(spec),
    memory: memoryOf(spec),
    size: vm.spec.instancetype?.name,
    preference: vm.spec.preference?.name,
    machine: vm.status?.croft?.machine ?? vm.spec.template.spec.domain.machine?.type,
    image: imageOf(vm),
    firmware: spec.domain.firmware?.bootloader?.efi ? ('efi' as const) : ('bios' as const),
    kernelBoot: projectKernelBoot(spec.domain.firmware?.kernelBoot),
    runStrategy: runStrategyOf(vm.spec),
    startOrder: Number.isFinite(startOrderOf(vm)) ? startOrderOf(vm) : undefined,
    disks: disksOf(vm, spec, claims),
    nics,
    node: instance?.status?.nodeName,
    addresses: nics.flatMap(({ addresses }) => addresses),
    os: instance?.status?.guestOSInfo?.prettyName ?? instance?.status?.guestOSInfo?.name,
    conditions: all,
  });
}

/** A quantity for a manifest, as short as it can be. */
export const quantityOf = (value: number | string, field: string): string => formatBytes(parseBytes(value, field));
