/** Brings a running guest to its instance's spec (NICs, networks, disks) and writes what is seen of it. */
import { setTimeout } from 'node:timers/promises';
import { messageOf } from '../errors.ts';
import type { VirtualMachineInstance } from '../resources/virtual-machine.ts';
import { virtualMachineInstance } from '../resources/virtual-machine.ts';
import { editStatus } from '../store/edit.ts';
import { growDisk } from './grow-disk.ts';
import {
  emptyDrive,
  guestDisk,
  guestNic,
  mediumGraph,
  mediumPrefix,
  nicMacs,
  resolveDisks,
  type ReadyDisk,
} from './guest-devices.ts';
import { driveNames, emptyDrives, networkOf, wishedNics } from './guest-shape.ts';
import type { Guest } from './hypervisor.ts';
import { aboutOf } from './instance-identity.ts';
import { setGuestFacts, setRunning } from './instance-status.ts';
import { shortenDisks } from './shorten.ts';
import { slotsFor, type Slots } from './slots.ts';
import type { VmContext } from './context.ts';

/** Until the guest has an address its agent is asked again, ms; leases come as events. */
const addressInterval = 3_000;

/** Long enough for a guest to see the carrier go: shorter ones are missed by guests that poll it, ms. */
const linkDownMs = 1_000;

/** Returns ms after which to look again, or undefined. */
export async function syncGuest(context: VmContext, instance: VirtualMachineInstance, guest: Guest): Promise<number | undefined> {
  let shortening: number | undefined;
  const state = await guest.state();
  const live = state === 'running' || state === 'paused';
  if (live) {
    await syncNics(context, instance, guest);
    shortening = await syncDisks(context, instance, guest);
  }
  const agent = state === 'running' ? await guest.agentInfo() : undefined;
  const macs = nicMacs(guest.id, instance.spec);
  const written = await editStatus(context.store, virtualMachineInstance, instance.metadata, (draft) => {
    setRunning(draft, state, guest, context.registry.holdOf(guest.id));
    setGuestFacts(draft, macs, (mac) => context.plugger.addressesOf(mac), agent);
  });
  const waiting = written?.status?.interfaces?.some((nic) => nic.ipAddress === undefined) ?? false;
  return shortening ?? (state === 'running' && waiting ? addressInterval : undefined);
}

async function syncNics(context: VmContext, instance: VirtualMachineInstance, guest: Guest): Promise<void> {
  const wished = wishedNics(instance.spec);
  const present = await guest.nics();
  const slots = slotsFor(context.journal, guest.id, 'nic', [...new Set([...wished.map(({ name }) => name), ...present])]);
  for (const name of present.filter((candidate) => !wished.some((nic) => nic.name === candidate))) {
    await guest.detachNic(name);
    await context.plugger.unplug(guest.id, slots[name] as number);
    report(context, instance, guest, 'NicDetached', `NIC ${name} was detached.`);
  }
  for (const nic of wished) {
    const plugged = await guestNic(
      context.plugger,
      { id: guest.id, spec: instance.spec, owner: context.ownerOf(guest.id) },
      nic,
      slots,
    );
    if (!present.includes(nic.name)) {
      await guest.attachNic(plugged);
      report(context, instance, guest, 'NicAttached', `NIC ${nic.name} was attached.`);
    } else if (plugged.tap?.moved) {
      await bounceLink(guest, nic.name);
      report(context, instance, guest, 'NicMoved', `NIC ${nic.name} moved to the network ${networkOf(instance.spec, nic.name)}.`);
    }
  }
}

/** Link down and up: what makes a guest ask DHCP again, as when a cable is moved. */
async function bounceLink(guest: Guest, nic: string): Promise<void> {
  await guest.setLink(nic, false);
  await setTimeout(linkDownMs);
  await guest.setLink(nic, true);
}

/** Returns ms after which to look again. */
async function syncDisks(context: VmContext, instance: VirtualMachineInstance, guest: Guest): Promise<number | undefined> {
  const wished = driveNames(instance.spec);
  const present = await guest.disks();
  const slots = slotsFor(context.journal, guest.id, 'disk', [...new Set([...wished, ...present])]);
  for (const name of present.filter((candidate) => !wished.includes(candidate))) {
    await guest.detachDisk(name);
    report(context, instance, guest, 'DiskDetached', `Disk ${name} was detached.`);
  }
  const { ready } = await resolveDisks(context.volumes, instance.metadata.namespace as string, instance.spec);
  await syncMedia(context, instance, guest, { ready, present, slots });
  for (const disk of ready.filter(({ wish, volume }) => present.includes(wish.volume) && volume.wished !== undefined)) {
    await growDisk(context, instance, guest, disk);
  }
  for (const disk of ready.filter(({ wish }) => !present.includes(wish.volume))) {
    try {
      await guest.attachDisk(await guestDisk(disk, slots, context.ownerOf(guest.id)));
      report(context, instance, guest, 'DiskAttached', `Disk ${disk.wish.volume} was attached.`);
    } catch (error) {
      context.events.record({
        type: 'Warning',
        reason: 'FailedAttach',
        message: `Disk ${disk.wish.volume}: ${messageOf(error)}`,
        about: aboutOf(instance, guest.id),
      });
      throw error;
    }
  }
  return shortenDisks(context, instance, guest, ready);
}

type Present = { ready: readonly ReadyDisk[]; present: readonly string[]; slots: Slots };

/** What is in the drives: the node in use says which volume it is. New drives are attached empty or filled. */
async function syncMedia(
  context: VmContext,
  instance: VirtualMachineInstance,
  guest: Guest,
  { ready, present, slots }: Present,
): Promise<void> {
  const drives = ready.filter(({ wish }) => wish.disk.cdrom && present.includes(wish.volume));
  const empty = emptyDrives(instance.spec);
  if (drives.length + empty.length === 0) return;
  const inside = await guest.topNodes();
  for (const disk of drives) {
    const { volume: name } = disk.wish;
    if (inside.get(name)?.startsWith(mediumPrefix(slots[name] as number, disk.volume.volumeId))) continue;
    await guest.changeMedium(name, await mediumGraph(disk, slots, context.ownerOf(guest.id)));
    report(context, instance, guest, 'MediumInserted', `${disk.wish.claim} is in the drive ${name}.`);
  }
  for (const drive of empty) {
    if (!present.includes(drive.name)) {
      await guest.attachDisk(emptyDrive(drive, slots));
      report(context, instance, guest, 'DiskAttached', `The drive ${drive.name} was attached.`);
    } else if (inside.has(drive.name)) {
      await guest.changeMedium(drive.name, undefined);
      report(context, instance, guest, 'MediumEjected', `The drive ${drive.name} is empty.`);
    }
  }
}

const report = (context: VmContext, instance: VirtualMachineInstance, guest: Guest, reason: string, message: string): void =>
  context.events.record({ type: 'Normal', reason, message, about: aboutOf(instance, guest.id) });
