/** Which addresses a download may come from: never this box itself, unless it is allowed. */
import { BlockList, isIP } from 'node:net';
import { networkInterfaces } from 'node:os';

/** Loopback, "this network", link-local (cloud metadata services live there), multicast and broadcast. */
const forbidden = new BlockList();
for (const [address, prefix] of [
  ['0.0.0.0', 8],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['224.0.0.0', 3],
] as const) {
  forbidden.addSubnet(address, prefix, 'ipv4');
}
for (const [address, prefix] of [
  ['::', 127],
  ['fe80::', 10],
  ['ff00::', 8],
] as const)
  forbidden.addSubnet(address, prefix, 'ipv6');

/** The box's own addresses at this moment. */
export const ownAddresses = (): string[] =>
  Object.values(networkInterfaces()).flatMap((addresses) => (addresses ?? []).map(({ address }) => address));

/** Why `address` is refused, or undefined when it may be asked. An IPv4 address within IPv6 counts as that address. */
export function refusalOf(address: string, own: readonly string[] = ownAddresses()): string | undefined {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? embedded(address);
  const plain = mapped ?? address;
  const family = isIP(plain);
  if (family === 0) return `${address} is not an address`;
  if (forbidden.check(plain, family === 6 ? 'ipv6' : 'ipv4')) return `${address} is a loopback, link-local or multicast address`;
  if (own.includes(plain)) return `${address} is an address of this box`;
  return undefined;
}

/** IPv4 in the last 32 bits, as URL parsers write ::ffff:a.b.c.d in hex, and NAT64's 64:ff9b::/96. */
function embedded(address: string): string | undefined {
  const hex = /^(?:::ffff:|64:ff9b::)([0-9a-f]{1,4}):([0-9a-f]{1,4})$/i.exec(address);
  if (!hex) return undefined;
  const [high, low] = [Number.parseInt(hex[1] as string, 16), Number.parseInt(hex[2] as string, 16)];
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}
