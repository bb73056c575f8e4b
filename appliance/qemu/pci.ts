/**
 * Where devices sit on the q35's PCI Express bus. Addresses depend on a device's own index alone: a guest's
 * NIC keeps its name (enp1s0) when disks come and go, and any index in reach can be plugged while it runs.
 *
 * Disks and NICs sit behind root ports (only these can be unplugged), eight ports to a slot as functions; NIC
 * ports come first, so that their bus numbers don't move with the number of disk ports. What never changes sits
 * on the root bus itself.
 */
import { CroftError } from '../errors.ts';

/** Slots of the root bus for what every guest has. */
export const fixedSlots = { vga: 1, scsi: 2, serial: 3, rng: 4, balloon: 5, usb: 6, panic: 7 } as const;

export type PortKind = 'nic' | 'disk';

/**
 * The seed's own root port, after all disks': a guest names virtio disks in the order it finds them, devices on
 * the root bus first, and the root disk must be vda.
 */
export const seedPort = { id: 'port-seed', slot: 0x1c } as const;

const firstSlot: Record<PortKind, number> = { nic: 0x10, disk: 0x12 };
const minimum: Record<PortKind, number> = { nic: 4, disk: 8 };
/** Ports kept free for hot-plug beyond the highest index in use. */
const spare: Record<PortKind, number> = { nic: 2, disk: 4 };
/** Two slots of NIC ports, three of disk ports: the root bus has 32 slots, and each port costs firmware time. */
export const maxPorts: Record<PortKind, number> = { nic: 16, disk: 24 };

export const portName = (kind: PortKind, index: number): string => `port-${kind}${index}`;

/** `-device` arguments of the root ports of one kind for a guest whose devices have these indexes; `wished`: exactly so many. */
export function rootPorts(kind: PortKind, indexes: readonly number[], wished?: number): string[] {
  const highest = Math.max(-1, ...indexes);
  if (highest >= maxPorts[kind]) {
    throw new CroftError('invalid-input', `A VM may have ${maxPorts[kind]} ${kind}s; this one has index ${highest}.`);
  }
  const count = wished ?? Math.min(maxPorts[kind], Math.max(minimum[kind], highest + 1 + spare[kind]));
  return Array.from({ length: count }, (_, index) => rootPort(kind, index));
}

function rootPort(kind: PortKind, index: number): string {
  const slot = firstSlot[kind] + (index >> 3);
  const chassis = (kind === 'nic' ? 1 : maxPorts.nic + 1) + index;
  const multifunction = index % 8 === 0 ? ',multifunction=on' : '';
  // No I/O space: there is enough for 16 bridges only, and modern virtio and e1000e don't need it.
  return `pcie-root-port,id=${portName(kind, index)},bus=pcie.0,addr=0x${slot.toString(16)}.0x${index % 8},chassis=${chassis},io-reserve=0${multifunction}`;
}

/** The seed's port. */
export const seedRootPort = (): string =>
  `pcie-root-port,id=${seedPort.id},bus=pcie.0,addr=0x${seedPort.slot.toString(16)},chassis=${maxPorts.nic + maxPorts.disk + 1},io-reserve=0`;
