/** IPv4 arithmetic, and addresses derived from ids. Pure. */
import { createHash } from 'node:crypto';
import { isIPv4 } from 'node:net';

/** `10.43.0.1/24`: the address itself, and the network it is in. Numbers are unsigned 32-bit. */
export type Cidr = { address: string; prefix: number; first: number; last: number };

export const toNumber = (address: string): number => address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);

export const toAddress = (number: number): string =>
  [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.');

/** @returns undefined when it isn't an IPv4 address with a prefix of 8 to 30 */
export function parseCidr(text: string): Cidr | undefined {
  const match = /^([0-9.]+)\/(\d{1,2})$/.exec(text);
  const [address, prefix] = [match?.[1] ?? '', Number(match?.[2])];
  if (!match || !isIPv4(address) || prefix < 8 || prefix > 30) return undefined;
  const size = 2 ** (32 - prefix);
  const first = Math.floor(toNumber(address) / size) * size;
  return { address, prefix, first, last: first + size - 1 };
}

export const contains = (cidr: Cidr, address: string): boolean => {
  const number = toNumber(address);
  return number >= cidr.first && number <= cidr.last;
};

export const overlap = (a: Cidr, b: Cidr): boolean => a.first <= b.last && b.first <= a.last;

/** `10.43.0.0/24`. */
export const networkOf = (cidr: Cidr): string => `${toAddress(cidr.first)}/${cidr.prefix}`;

/** A locally administered, stable unicast MAC address for a name of ours. */
export function macFor(name: string): string {
  const digest = createHash('sha256').update(name).digest();
  return ['02', ...[...digest.subarray(0, 5)].map((byte) => byte.toString(16).padStart(2, '0'))].join(':');
}
