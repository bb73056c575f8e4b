/** From an instance's spec to the devices of its guest: disks resolved in their pools, NICs plugged into the switch. */
import type { GuestDisk, GuestNic } from './hypervisor.ts';
import type { NicPlugger } from '../../network/driver.ts';
import type { VolumeResolver } from '../../storage/driver.ts';
import type { InstanceSpec, Interface } from '../resources/virtual-machine.ts';
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

type ReadyDisk = Awaited<ReturnType<typeof resolveDisks>>['ready'][number];

/** Opens a volume for QEMU: its block graph with node names made from the slot. */
export async function guestDisk({ wish, volume }: ReadyDisk, slots: Slots, owner: Owner): Promise<GuestDisk> {
  const index = slots[wish.volume] as number;
  const target = wish.disk.cdrom ?? wish.disk.disk;
  return {
    name: wish.volume,
    index,
    kind: wish.disk.cdrom ? 'cdrom' : 'disk',
    bus: target?.bus ?? (wish.disk.cdrom ? 'sata' : 'virtio'),
    graph: await volume.driver.blockdev(volume.volumeId, `d${index}`, owner),
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
