/**
 * Starts an instance's guest. The order is what makes a double start impossible: first the compare-and-swap
 * that says "this box, this epoch", then disks and NICs, then QEMU; whoever is second finds the swap taken.
 */
import { join } from 'node:path';
import type { VirtualMachineInstance } from '../resources/virtual-machine.ts';
import { virtualMachine, virtualMachineInstance } from '../resources/virtual-machine.ts';
import { CroftError, isCroftError, messageOf } from '../errors.ts';
import { emptyDrive, guestDisk, guestNic, resolveDisks } from './guest-devices.ts';
import { cpuLimitOf, cpusOf, driveNames, emptyDrives, epochOf, firmwareOf, memoryOf, wishedNics } from './guest-shape.ts';
import type { GuestSpec } from './hypervisor.ts';
import { aboutOf } from './instance-identity.ts';
import { isVersioned } from './instance-spec.ts';
import { setPhase, setRunning } from './instance-status.ts';
import { kernelOf } from './kernel-boot.ts';
import { seedContent, writeSeed } from './seed.ts';
import { slotsFor } from './slots.ts';
import type { VmContext } from './context.ts';
import { editStatus } from '../store/edit.ts';

/** `waiting`: something it needs isn't there yet; `failed`: QEMU itself could not be started. */
export type LaunchOutcome = { started: true } | { waiting: string } | { failed: unknown };

/** @throws what the store throws: such a launch is simply tried again. */
export async function executeLaunch(context: VmContext, instance: VirtualMachineInstance, vmId: string): Promise<LaunchOutcome> {
  if (!context.peers) return launch(context, instance, vmId);
  const entered = await settle(context.peers.guard.enter());
  if ('error' in entered) return { waiting: messageOf(entered.error) };
  try {
    return await launch(context, instance, vmId);
  } finally {
    entered.value();
  }
}

async function launch(context: VmContext, instance: VirtualMachineInstance, vmId: string): Promise<LaunchOutcome> {
  const vm = await context.store.get(virtualMachine, instance.metadata.name, instance.metadata.namespace);
  // The VM controller is about to take the instance away; its disks are no longer its own.
  if (vm?.status?.restoreInProgress !== undefined) return { waiting: 'Its disks are being put back to a snapshot.' };
  const claimed = await claim(context, instance);
  const spec = await settle(guestSpec(context, claimed, vmId));
  if ('error' in spec) {
    if (isOfTheStore(spec.error)) throw spec.error;
    return { waiting: messageOf(spec.error) };
  }
  const launched = await settle(context.hypervisor.launch(spec.value));
  if ('error' in launched) return { failed: launched.error };
  const guest = launched.value;
  context.registry.add(guest);
  const key = { name: instance.metadata.name, namespace: instance.metadata.namespace as string };
  const accelerator = (await context.hypervisor.accelerator()).name;
  const state = await guest.state();
  await editStatus(context.store, virtualMachineInstance, key, (draft) => {
    draft.status = { ...draft.status, croft: { ...draft.status?.croft, accelerator } };
    setRunning(draft, state, guest);
  });
  context.events.record({
    type: 'Normal',
    reason: 'Started',
    message: `Started with pid ${guest.pid} (${accelerator}).`,
    about: aboutOf(instance, vmId),
  });
  return { started: true };
}

const settle = <T>(work: Promise<T>): Promise<{ value: T } | { error: unknown }> =>
  work.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );

/** Passing trouble of the store says nothing about the VM. */
const isOfTheStore = (error: unknown): boolean => isCroftError(error, 'conflict') || isCroftError(error, 'too-many-requests');

/** The swap: this box, this epoch. @throws CroftError `conflict` when another write came first */
async function claim(context: VmContext, instance: VirtualMachineInstance): Promise<VirtualMachineInstance> {
  const draft = structuredClone(instance);
  const holder = draft.status?.nodeName;
  if (holder !== undefined && holder !== context.nodeName) {
    throw new CroftError('conflict', `${draft.metadata.name} is held by ${holder}.`);
  }
  draft.status = {
    ...draft.status,
    nodeName: context.nodeName,
    croft: { ...draft.status?.croft, epoch: epochOf(instance), bootId: context.bootId },
  };
  setPhase(draft, 'Scheduled');
  return context.store.updateStatus(virtualMachineInstance, draft);
}

/** What the instance's guest is to be made of, disks opened and NICs plugged on this box. @throws CroftError `unavailable` while a disk is not ready */
export async function guestSpec(context: VmContext, instance: VirtualMachineInstance, vmId: string): Promise<GuestSpec> {
  const { spec } = instance;
  const namespace = instance.metadata.namespace as string;
  const owner = context.ownerOf(vmId);
  const { ready, pending } = await resolveDisks(context.volumes, namespace, spec);
  if (pending.length > 0) throw new CroftError('unavailable', pending.join(' '));
  const diskSlots = slotsFor(context.journal, vmId, 'disk', driveNames(spec));
  const nicSlots = slotsFor(
    context.journal,
    vmId,
    'nic',
    wishedNics(spec).map(({ name }) => name),
  );
  const plugged = async () => {
    const nics = [];
    for (const nic of wishedNics(spec)) nics.push(await guestNic(context.plugger, { id: vmId, spec, owner }, nic, nicSlots));
    return nics;
  };
  // Each waits mostly for programs of its own.
  const [filled, nics, seedFile, kernel] = await allDone([
    Promise.all(ready.map((disk) => guestDisk(disk, diskSlots, owner))),
    plugged(),
    seed(context, instance, vmId, owner),
    kernelOf(context, spec),
  ]);
  const disks = [...filled, ...emptyDrives(spec).map((drive) => emptyDrive(drive, diskSlots))];
  return {
    id: vmId,
    title: `${namespace}/${instance.metadata.name}`,
    epoch: epochOf(instance),
    cpus: cpusOf(spec),
    memory: memoryOf(spec),
    cpuLimit: cpuLimitOf(spec),
    firmware: firmwareOf(spec),
    smbiosUuid: spec.domain.firmware?.uuid,
    machine: isVersioned(spec.domain.machine?.type) ? spec.domain.machine.type : undefined,
    hyperv: spec.domain.features?.hyperv,
    hideKvm: spec.domain.features?.kvm?.hidden,
    timezone: spec.domain.clock?.timezone,
    secureBoot: spec.domain.firmware?.bootloader?.efi?.secureBoot,
    kernel,
    disks: withBootOrder(disks),
    nics,
    paused: spec.startStrategy === 'Paused',
    graphics: spec.domain.devices.autoattachGraphicsDevice !== false,
    uid: owner?.uid,
    seedFile,
  };
}

/** As Promise.all, but when it rejects nothing goes on behind it: what comes next may take the same things away. */
async function allDone<T extends readonly unknown[]>(works: { [K in keyof T]: Promise<T[K]> }): Promise<T> {
  await Promise.allSettled(works);
  return (await Promise.all(works)) as unknown as T;
}

/** Without any wished order the first disk boots. */
const withBootOrder = (disks: GuestSpec['disks']): GuestSpec['disks'] =>
  disks.some((disk) => disk.bootOrder !== undefined)
    ? disks
    : disks.map((disk, index) => (index === 0 ? { ...disk, bootOrder: 1 } : disk));

async function seed(
  context: VmContext,
  instance: VirtualMachineInstance,
  vmId: string,
  owner: { uid: number; gid: number } | undefined,
): Promise<string | undefined> {
  const { name, namespace } = instance.metadata;
  const content = await seedContent(context.store, { id: vmId, name, namespace: namespace as string, spec: instance.spec });
  if (!content) return undefined;
  const file = join(context.seedDirectory, `${vmId}.iso`);
  await writeSeed(file, content, owner);
  return file;
}
