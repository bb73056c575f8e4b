/**
 * `croft.io/id`: the immutable identity of every VM, volume and network. Nothing outside the store is
 * named from `metadata.name` or `metadata.uid`: those change when resources move into a cluster or
 * come back from a backup; the id does not.
 */
import { randomBytes } from 'node:crypto';

export const idLabel = 'croft.io/id';

/** A UUIDv7 (RFC 9562 §5.7): 48 bits of Unix ms, then random. */
export function newId(now = Date.now()): string {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(now, 0, 6);
  bytes[6] = 0x70 | ((bytes[6] as number) & 0x0f);
  bytes[8] = 0x80 | ((bytes[8] as number) & 0x3f);
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
export const isUuid = (text: string): boolean => uuid.test(text);

/** The part host names carry: the last 10 hex digits (UUIDv7 begins with the time, so prefixes collide). */
export const shortId = (id: string): string => id.replaceAll('-', '').slice(-10);

/** Tap of a VM's n-th NIC: `ct<10hex>n<i>`, at most 15 characters (IFNAMSIZ). */
export const tapName = (vmId: string, index: number): string => `ct${shortId(vmId)}n${index}`;

/** The box's end of the link between a VM's n-th NIC and its pod in a cluster: `cp<10hex>n<i>`. */
export const podLinkName = (vmId: string, index: number): string => `cp${shortId(vmId)}n${index}`;
