/** What a VM's spec means in numbers: CPUs, memory, firmware, MAC addresses. Pure; upstream's defaults. */
import { createHash } from 'node:crypto';
import { parseBytes } from '../resources/quantity.ts';
import type { Disk, InstanceSpec, VirtualMachineInstance } from '../resources/virtual-machine.ts';

export type CpuTopology = { sockets: number; cores: number; threads: number; model?: string };

/** One vCPU unless asked otherwise (upstream: cores, sockets and threads default to 1). */
export function cpusOf(spec: InstanceSpec): CpuTopology {
  const { sockets = 1, cores = 1, threads = 1, model } = spec.domain.cpu ?? {};
  return { sockets, cores, threads, model };
}

export const vcpuCount = ({ sockets, cores, threads }: CpuTopology): number => sockets * cores * threads;

const defaultMemory = 512 * 2 ** 20;

/** Bytes of guest memory: `memory.guest`, else `resources.requests.memory`, else 512 MiB. */
export function memoryOf(spec: InstanceSpec): number {
  const { memory, resources } = spec.domain;
  if (memory?.guest !== undefined) return parseBytes(memory.guest, 'spec.template.spec.domain.memory.guest');
  const requested = resources?.requests?.memory;
  return requested === undefined ? defaultMemory : parseBytes(requested, 'spec.template.spec.domain.resources.requests.memory');
}

/** Processors of `resources.limits.cpu` (`2`, `500m`); undefined without one. */
export function cpuLimitOf(spec: InstanceSpec): number | undefined {
  const limit = spec.domain.resources?.limits?.cpu;
  if (limit === undefined) return undefined;
  const text = String(limit);
  const count = text.endsWith('m') ? Number(text.slice(0, -1)) / 1000 : Number(text);
  return Number.isFinite(count) && count > 0 ? count : undefined;
}

/** BIOS unless the bootloader says efi (upstream's default). */
export const firmwareOf = (spec: InstanceSpec): 'bios' | 'efi' => (spec.domain.firmware?.bootloader?.efi ? 'efi' : 'bios');

/** Upstream waits 180 s by default before it forces a guest off; so do we. */
export const graceOf = (spec: InstanceSpec): number => spec.terminationGracePeriodSeconds ?? 180;

/** A stable, locally administered MAC for a NIC without one: the same for the same VM and NIC name, for ever. */
export function macOf(vmId: string, nic: string): string {
  const digest = createHash('sha256').update(`${vmId}/${nic}`).digest();
  return ['52', '54', '00', ...[...digest.subarray(0, 3)].map((byte) => byte.toString(16).padStart(2, '0'))].join(':');
}

/** The NIC's croft.io Network: `default` for the pod network, else the name in its `networkName` (`[namespace/]name`). */
export function networkOf(spec: InstanceSpec, nic: string): string {
  const source = spec.networks?.find((network) => network.name === nic);
  return source?.multus ? (source.multus.networkName.split('/').at(-1) as string) : 'default';
}

/** Interfaces that are wished to be there (upstream marks an unplug by `state: absent`). */
export const wishedNics = (spec: InstanceSpec) => (spec.domain.devices.interfaces ?? []).filter((nic) => nic.state !== 'absent');

/** Volumes bound to a claim, with the disk entry of the same name; a volume without one is a virtio disk (upstream's defaulting). */
export function wishedDisks(spec: InstanceSpec) {
  return (spec.volumes ?? []).flatMap((volume) => {
    const claim = volume.persistentVolumeClaim?.claimName ?? volume.dataVolume?.name;
    const disk = spec.domain.devices.disks?.find((entry) => entry.name === volume.name) ?? { name: volume.name };
    return claim === undefined ? [] : [{ claim, volume: volume.name, disk }];
  });
}

/** CD drives without a medium (upstream: a cdrom disk without a volume of its name). */
export function emptyDrives(spec: InstanceSpec): Disk[] {
  const filled = new Set(wishedDisks(spec).map(({ volume }) => volume));
  return (spec.domain.devices.disks ?? []).filter((disk) => disk.cdrom && !filled.has(disk.name));
}

/** Names of all disks and drives the guest is to have, filled or not. */
export const driveNames = (spec: InstanceSpec): string[] => [
  ...wishedDisks(spec).map(({ volume }) => volume),
  ...emptyDrives(spec).map(({ name }) => name),
];

/** The annotation that carries a start's number from the VM to its instance. */
export const epochAnnotation = 'croft.io/epoch';
export const epochOf = (instance: VirtualMachineInstance): number =>
  Number(instance.metadata.annotations?.[epochAnnotation] ?? 1);
