/** What the schema of a Network cannot say. Pure: one sentence on what is wrong, or nothing. */
import { isIP } from 'node:net';
import type { Network } from '../appliance/resources/croft-kinds.ts';
import { contains, overlap, parseCidr, toNumber } from './ip.ts';

const mac = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i;

/** @param others networks that were there before: they keep what they have. */
export function validateNetwork(network: Network, others: readonly Network[]): string | undefined {
  return wrongWithin(network) ?? others.map((other) => clash(network, other)).find((sentence) => sentence !== undefined);
}

function wrongWithin({ spec }: Network): string | undefined {
  if (spec.vlan !== undefined && spec.trunk) return `vlan (${spec.vlan}) and trunk exclude each other: keep one of them.`;
  if (spec.trunk?.length === 0) return 'trunk is empty: name at least one VLAN id, 1 to 4094.';
  if (spec.trunk && spec.address !== undefined)
    return 'address is not possible on a trunk: give the address to a network of one VLAN.';
  if (spec.trunk && spec.isolated) return 'isolated and trunk exclude each other: an isolated network has one segment.';
  const cidr = spec.address === undefined ? undefined : parseCidr(spec.address);
  if (spec.address !== undefined && !cidr) {
    return `address ${JSON.stringify(spec.address)} is not an IPv4 address with prefix (8 to 30), e.g. 10.43.0.1/24.`;
  }
  if (cidr && (toNumber(cidr.address) === cidr.first || toNumber(cidr.address) === cidr.last)) {
    return `address ${spec.address} names the whole network or its broadcast address: use one in between.`;
  }
  if (spec.dhcp && !cidr) return 'dhcp needs address: the address of this box on the network, with prefix, e.g. 10.43.0.1/24.';
  if (spec.nat && !cidr) return 'nat needs address: the address of this box on the network, with prefix, e.g. 10.43.0.1/24.';
  const seen = new Set<string>();
  for (const [index, reservation] of (spec.reservations ?? []).entries()) {
    const at = `reservations[${index}]`;
    if (!mac.test(reservation.mac))
      return `${at}.mac ${JSON.stringify(reservation.mac)} is not a MAC address, e.g. 52:54:00:12:34:56.`;
    const family = isIP(reservation.address);
    if (family === 0) return `${at}.address ${JSON.stringify(reservation.address)} is not an IP address, e.g. 10.20.0.7.`;
    if (family === 4 && (cidr ? !contains(cidr, reservation.address) : spec.dhcp === true)) {
      return `${at}.address ${JSON.stringify(reservation.address)} is not in this network's address range.`;
    }
    if (reservation.address === cidr?.address) return `${at}.address ${reservation.address} is the box's own address.`;
    // DHCP gives a NIC one address; without DHCP, and of IPv6, a NIC may have several.
    const unique = [reservation.address, ...(spec.dhcp && family === 4 ? [reservation.mac.toLowerCase()] : [])];
    for (const value of unique) {
      if (seen.has(value)) return `${at}: ${value} is reserved twice.`;
      seen.add(value);
    }
  }
  return undefined;
}

function clash({ spec }: Network, other: Network): string | undefined {
  const name = other.metadata.name;
  if (spec.vlan !== undefined && spec.vlan === other.spec.vlan) return `vlan ${spec.vlan} is the network ${name}'s already.`;
  const [mine, theirs] = [parseCidr(spec.address ?? ''), parseCidr(other.spec.address ?? '')];
  if (mine && theirs && overlap(mine, theirs))
    return `address ${spec.address} overlaps with ${other.spec.address} of the network ${name}.`;
  return undefined;
}
