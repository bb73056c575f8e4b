/** Disks and NICs of a running guest: plugging, unplugging, and taking away the block nodes that a device leaves behind. */
import { setTimeout as delay } from 'node:timers/promises';
import type { BlockdevGraph } from '../../storage/driver.ts';
import { CroftError, isCroftError } from '../errors.ts';
import type { GuestDisk, GuestNic } from '../vm/hypervisor.ts';
import { diskDevice, diskId, isNodeOf, netdev, netdevId, nicDevice, nicId, parseDeviceId } from './devices.ts';

/** Runs one QMP command. @throws CroftError `qmp-failed`, `command-timeout` */
export type Qmp = <T = unknown>(execute: string, args?: Record<string, unknown>, timeout?: number) => Promise<T>;

export type PluggedDevice = { id: string; kind: 'disk' | 'nic'; index: number; name: string };

/** What the guest has now, read from QEMU's device tree; the seed is no disk of the VM's. */
export async function pluggedDevices(qmp: Qmp): Promise<PluggedDevice[]> {
  const found = await qmp<{ name: string }[]>('qom-list', { path: '/machine/peripheral' });
  return found.flatMap(({ name }) => {
    const device = parseDeviceId(name);
    return device ? [{ id: name, ...device }] : [];
  });
}

type BlockDevice = { qdev?: string; inserted?: { 'node-name'?: string } };

/** The node each disk's device uses, by the disk's name; an empty CD drive has none. */
export async function topNodes(qmp: Qmp): Promise<Map<string, string>> {
  const devices = await qmp<BlockDevice[]>('query-block');
  return new Map(
    devices.flatMap(({ qdev, inserted }): [string, string][] => {
      // virtio-blk tells the path of its backend, below the device's own.
      const device = qdev
        ?.split('/')
        .map(parseDeviceId)
        .find((found) => found?.kind === 'disk');
      const node = inserted?.['node-name'];
      return device && node ? [[device.name, node]] : [];
    }),
  );
}

/** @throws CroftError `invalid-state` for a bus without hot-plug; whatever fails is undone */
export async function attachDisk(qmp: Qmp, disk: GuestDisk): Promise<void> {
  if (disk.bus === 'sata') {
    throw new CroftError(
      'invalid-state',
      `Disk ${disk.name}: bus sata takes disks only while the VM is stopped; use virtio or scsi.`,
    );
  }
  const device = diskDevice(disk);
  if ((await pluggedDevices(qmp)).some(({ id }) => id === diskId(disk))) return;
  // An attach or detach that was cut off may have left nodes of this index.
  await removeNodes(qmp, disk.index);
  try {
    for (const node of disk.graph?.nodes ?? []) await qmp('blockdev-add', node);
    await qmp('device_add', device);
  } catch (error) {
    await removeNodes(qmp, disk.index);
    throw error;
  }
}

/** ms a guest has to let go of its tray; its file system on the medium is read-only, so nothing is lost after that. */
const trayPatience = 3_000;

type Tray = { qdev?: string; locked?: boolean; tray_open?: boolean };

async function openTray(qmp: Qmp, id: string): Promise<void> {
  const deadline = Date.now() + trayPatience;
  for (;;) {
    try {
      await qmp('blockdev-open-tray', { id });
      return;
    } catch (error) {
      if (!isCroftError(error, 'qmp-failed') || !/locked/.test(error.message)) throw error;
    }
    // The guest was asked: it may have opened the tray itself.
    const trays = await qmp<Tray[]>('query-block');
    if (trays.find(({ qdev }) => qdev?.split('/').includes(id))?.tray_open) return;
    if (Date.now() >= deadline) break;
    await delay(200);
  }
  await qmp('blockdev-open-tray', { id, force: true });
}

/** Ejects what is in a CD drive and inserts `graph`, if given. Repeats without harm. @throws CroftError `not-found` */
export async function changeMedium(qmp: Qmp, name: string, graph: BlockdevGraph | undefined): Promise<void> {
  const drive = (await pluggedDevices(qmp)).find((device) => device.kind === 'disk' && device.name === name);
  if (!drive) throw new CroftError('not-found', `The guest has no drive ${name}.`);
  const { id, index } = drive;
  await openTray(qmp, id);
  await qmp('blockdev-remove-medium', { id });
  await removeNodes(qmp, index);
  if (graph) {
    try {
      for (const node of graph.nodes) await qmp('blockdev-add', node);
      await qmp('blockdev-insert-medium', { id, 'node-name': graph.top });
    } catch (error) {
      await removeNodes(qmp, index);
      throw error;
    }
  }
  await qmp('blockdev-close-tray', { id });
}

export async function attachNic(qmp: Qmp, nic: GuestNic): Promise<void> {
  const device = nicDevice(nic);
  if ((await pluggedDevices(qmp)).some(({ id }) => id === nicId(nic))) return;
  await removeNetdev(qmp, nic.index);
  await qmp('netdev_add', netdev(nic));
  try {
    await qmp('device_add', device);
  } catch (error) {
    await removeNetdev(qmp, nic.index);
    throw error;
  }
}

/** Asks the guest to let go of a device; the DEVICE_DELETED event tells when it has. */
export async function requestUnplug(qmp: Qmp, id: string): Promise<void> {
  try {
    await qmp('device_del', { id });
  } catch (error) {
    // Asked before and not answered yet: the wait goes on.
    if (!isCroftError(error, 'qmp-failed') || !/in the process of unplug/.test(error.message)) throw error;
  }
}

/** Takes away what a device that is gone leaves in QEMU, so that its file or tap is free. */
export const releaseBackend = (qmp: Qmp, device: { kind: 'disk' | 'nic'; index: number }): Promise<void> =>
  device.kind === 'disk' ? removeNodes(qmp, device.index) : removeNetdev(qmp, device.index);

/** Takes away the block nodes of disks that are no more (their detach was cut off). */
export async function removeOrphans(qmp: Qmp): Promise<void> {
  const used = new Set((await pluggedDevices(qmp)).flatMap(({ kind, index }) => (kind === 'disk' ? [index] : [])));
  const nodes = await nodeNames(qmp);
  const indexes = new Set(nodes.flatMap((node) => /^d(\d+)(?!\d)/.exec(node)?.[1] ?? []).map(Number));
  for (const index of indexes) if (!used.has(index)) await removeNodes(qmp, index);
}

const nodeNames = async (qmp: Qmp): Promise<string[]> =>
  (await qmp<{ 'node-name'?: string }[]>('query-named-block-nodes', { flat: true })).flatMap((node) => node['node-name'] ?? []);

/**
 * A node can only go after those above it, and QEMU has no stable command that tells who is above whom: so each
 * round removes those that nobody uses, until none is left or none can go (a block job uses it).
 */
async function removeNodes(qmp: Qmp, index: number): Promise<void> {
  for (;;) {
    const nodes = (await nodeNames(qmp)).filter((node) => isNodeOf(index, node));
    let removed = 0;
    for (const node of nodes) {
      try {
        await qmp('blockdev-del', { 'node-name': node });
        removed++;
      } catch (error) {
        if (!isCroftError(error, 'qmp-failed')) throw error; // Refused: in use for now.
      }
    }
    if (removed === 0) {
      if (nodes.length > 0) throw new CroftError('in-use', `Disk ${index}: QEMU still uses ${nodes.join(', ')}.`);
      return;
    }
  }
}

async function removeNetdev(qmp: Qmp, index: number): Promise<void> {
  try {
    await qmp('netdev_del', { id: netdevId(index) });
  } catch (error) {
    if (!isCroftError(error, 'qmp-failed')) throw error; // There is none.
  }
}
