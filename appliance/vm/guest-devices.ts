/** From an instance's spec to the devices of its guest: disks resolved in their pools, NICs plugged into the switch. */
import { createHash } from 'node:crypto';
import type { GuestDisk, GuestNic } from './hypervisor.ts';
import type { NicPlugger } from '../../network/driver.ts';
import type { BlockdevGraph, VolumeResolver } from '../../storage/driver.ts';
import type { Disk, InstanceSpec, Interface } from '../resources/virtual-machine.ts';
import { busOf } from './fixed-disks.ts';
import { macOf, networkOf, wishedDisks, wishedNics } from './guest-shape.ts';
import type { Slots } from './slots.ts';

export type Owner = { uid: number; gid: number } | undefined;

export type DiskWish = ReturnType<typeof wishedDisks>[number];

/** What is known of each wished disk: its volume, or why it isn't ready. */
export async function resolveDisks(resolver: VolumeResolver, namespace: string, spec: InstanceSpec) {
  const wishes = wishedDisks(spec);
  const resolved = await Promise.all(
    wishes.map(async (wish) => ({ wish, found: await resolver.resolve(namespace, wish.claim) })),
  );
  return {
    pending: resolved.flatMap(({ found }) => ('pending' in found ? [found.pending] : [])),
    ready: resolved.flatMap(({ wish, found }) => ('pending' in found ? [] : [{ wish, volume: found }])),
  };
}

export type ReadyDisk = Awaited<ReturnType<typeof resolveDisks>>['ready'][number];

/** A CD's nodes are named from its volume too: so what is in a drive can be read from QEMU. */
export const mediumPrefix = (index: number, volumeId: string): string =>
  `d${index}m${createHash('sha256').update(volumeId).digest('hex').slice(0, 8)}`;

/** A CD drive without a medium. */
export const emptyDrive = (disk: Disk, slots: Slots): GuestDisk => ({
  name: disk.name,
  index: slots[disk.name] as number,
  kind: 'cdrom',
  bus: busOf(disk),
  bootOrder: disk.bootOrder,
});

/** The block graph of a CD's volume. */
export const mediumGraph = ({ wish, volume }: ReadyDisk, slots: Slots, owner: Owner): Promise<BlockdevGraph> =>
  volume.driver.blockdev(volume.volumeId, mediumPrefix(slots[wish.volume] as number, volume.volumeId), owner);

/** Opens a volume for QEMU: its block graph with node names made from the slot. */
export async function guestDisk({ wish, volume }: ReadyDisk, slots: Slots, owner: Owner): Promise<GuestDisk> {
  const index = slots[wish.volume] as number;
  return {
    name: wish.volume,
    index,
    kind: wish.disk.cdrom ? 'cdrom' : 'disk',
    bus: busOf(wish.disk),
    graph: wish.disk.cdrom
      ? await mediumGraph({ wish, volume }, slots, owner)
      : await volume.driver.blockdev(volume.volumeId, `d${index}`, owner),
    bootOrder: wish.disk.bootOrder,
    serial: wish.disk.serial,
  };
}

/** Plugs a NIC (idempotent; a changed network moves it) and describes it for QEMU. */
export async function guestNic(
  plugger: NicPlugger,
  vm: { id: string; spec: InstanceSpec; owner: Owner },
  nic: Interface,
  slots: Slots,
): Promise<GuestNic> {
  const index = slots[nic.name] as number;
  const mac = nic.macAddress?.toLowerCase() ?? macOf(vm.id, nic.name);
  const wish = {
    vmId: vm.id,
    index,
    nic: nic.name,
    mac,
    network: networkOf(vm.spec, nic.name),
    uid: vm.owner?.uid,
    linkUp: nic.state !== 'down',
  };
  const tap = plugger.mode === 'tap' ? await plugger.plug(wish) : undefined;
  return { name: nic.name, index, mac, model: nic.model ?? 'virtio', tap, bootOrder: nic.bootOrder };
}

/** Name and MAC of each wished NIC. */
export const nicMacs = (vmId: string, spec: InstanceSpec): { name: string; mac: string }[] =>
  wishedNics(spec).map((nic) => ({ name: nic.name, mac: nic.macAddress?.toLowerCase() ?? macOf(vmId, nic.name) }));
