/**
 * A guest's disks and NICs as QEMU's device objects, the same for the command line (`-device {json}`) and for
 * hot-plug (`device_add`). Index and name are both in the device's id, so that what a guest has is read from
 * QEMU itself after adoption and no record of ours can be wrong about it.
 */
import type { GuestDisk, GuestNic } from '../vm/hypervisor.ts';
import { CroftError } from '../errors.ts';
import { portName } from './pci.ts';

export type DeviceOptions = { driver: string; id: string } & Record<string, string | number | boolean | undefined>;

export const iothread = 'io0';
export const scsiController = 'scsi0';
/** Ports of the ICH9's AHCI controller. */
const sataPorts = 6;

export const diskId = (disk: { index: number; name: string }): string => `disk${disk.index}-${disk.name}`;
export const nicId = (nic: { index: number; name: string }): string => `nic${nic.index}-${nic.name}`;
export const netdevId = (index: number): string => `net${index}`;

/** Reads a device id back; undefined when it isn't one of a disk or NIC. */
export function parseDeviceId(id: string): { kind: 'disk' | 'nic'; index: number; name: string } | undefined {
  const match = /^(disk|nic)(\d+)-(.+)$/.exec(id);
  return match ? { kind: match[1] as 'disk' | 'nic', index: Number(match[2]), name: match[3] as string } : undefined;
}

/** True for nodes of the disk's block graph: the driver prefixes them all with `d<index>` (storage/driver.ts). */
export const isNodeOf = (index: number, node: string): boolean => new RegExp(`^d${index}(?!\\d)`).test(node);

const bootIndex = (order: number | undefined) => (order === undefined ? {} : { bootindex: order });
/** A full or failing disk stops the guest; it goes on where it was once there is space again. */
const stopOnError = { werror: 'stop', rerror: 'stop' };

/** @throws CroftError `invalid-input` when the bus has no place for it */
export function diskDevice(disk: GuestDisk): DeviceOptions {
  const common = {
    id: diskId(disk),
    ...(disk.graph ? { drive: disk.graph.top } : {}),
    ...(disk.serial === undefined ? {} : { serial: disk.serial }),
    ...bootIndex(disk.bootOrder),
  };
  const medium = disk.kind === 'cdrom' ? {} : stopOnError;
  if (disk.bus === 'virtio') {
    if (disk.kind === 'cdrom')
      throw new CroftError('invalid-input', `Disk ${disk.name}: a CD needs bus sata or scsi, not virtio.`);
    return { driver: 'virtio-blk-pci', bus: portName('disk', disk.index), iothread, ...common, ...medium };
  }
  if (disk.bus === 'scsi') {
    const driver = disk.kind === 'cdrom' ? 'scsi-cd' : 'scsi-hd';
    return { driver, bus: `${scsiController}.0`, 'scsi-id': 0, lun: disk.index, ...common, ...medium };
  }
  if (disk.index >= sataPorts) {
    throw new CroftError(
      'invalid-input',
      `Disk ${disk.name}: bus sata has ${sataPorts} ports, and this is disk ${disk.index + 1}; use virtio or scsi.`,
    );
  }
  return { driver: disk.kind === 'cdrom' ? 'ide-cd' : 'ide-hd', bus: `ide.${disk.index}`, ...common, ...medium };
}

/** Everything a virtio NIC could leave to the host. A userspace switch would forward such frames with bad checksums. */
const offloads = [
  'csum',
  'gso',
  'guest_csum',
  'guest_tso4',
  'guest_tso6',
  'guest_ecn',
  'guest_ufo',
  'host_tso4',
  'host_tso6',
  'host_ecn',
  'host_ufo',
];

export function nicDevice(nic: GuestNic): DeviceOptions {
  const common = {
    id: nicId(nic),
    netdev: netdevId(nic.index),
    mac: nic.mac,
    bus: portName('nic', nic.index),
    // Without a boot order no network boot ROM: it would only delay the start.
    ...(nic.bootOrder === undefined ? { romfile: '' } : bootIndex(nic.bootOrder)),
  };
  if (nic.model === 'e1000e') return { driver: 'e1000e', ...common };
  const off = nic.tap?.offloads === false ? Object.fromEntries(offloads.map((name) => [name, false])) : {};
  const mtu = nic.tap === undefined ? {} : { host_mtu: nic.tap.mtu };
  return { driver: 'virtio-net-pci', ...common, ...mtu, ...off };
}

/** The host's end: a tap made by the network, opened by name; or QEMU's own NAT where taps cannot be made. */
export function netdev(nic: GuestNic): Record<string, string | boolean> & { type: string; id: string } {
  const id = netdevId(nic.index);
  if (!nic.tap) return { type: 'user', id };
  return { type: 'tap', id, ifname: nic.tap.ifname, script: 'no', downscript: 'no', vnet_hdr: nic.tap.offloads, vhost: false };
}
