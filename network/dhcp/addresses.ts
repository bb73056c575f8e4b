/**
 * Which address a NIC gets on a network with DHCP. Croft decides when the NIC is plugged, before the guest
 * asks: so the anti-spoofing filter stands from the first frame, and DHCP is only how the guest learns it. Pure.
 */
import { createHash } from 'node:crypto';
import { toAddress, toNumber, type Cidr } from '../ip.ts';

export type Reservation = { mac: string; address: string };

/**
 * A reservation's address; else the one it has; else the first free one from a point that follows from the
 * MAC address, so that the same NIC mostly gets the same address again.
 * @param taken addresses of other NICs, leases and reservations
 * @returns undefined when the range is exhausted
 */
export function assignAddress(
  cidr: Cidr,
  mac: string,
  {
    reservations,
    present,
    taken,
  }: { reservations: readonly Reservation[]; present?: string | undefined; taken: ReadonlySet<string> },
): string | undefined {
  const reserved = reservations.find((each) => each.mac.toLowerCase() === mac);
  if (reserved) return reserved.address;
  const unusable = new Set([...taken, cidr.address, ...reservations.map((each) => each.address)]);
  if (present !== undefined && !unusable.has(present)) {
    const number = toNumber(present);
    if (number > cidr.first && number < cidr.last) return present;
  }
  const size = cidr.last - cidr.first - 1;
  const start = createHash('sha256').update(mac).digest().readUInt32BE(0) % size;
  for (let step = 0; step < size; step++) {
    const address = toAddress(cidr.first + 1 + ((start + step) % size));
    if (!unusable.has(address)) return address;
  }
  return undefined;
}
