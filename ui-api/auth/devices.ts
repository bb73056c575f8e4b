/**
 * Devices that a user has signed in from: a cookie with a secret, whose hash is kept in the box's records for 30 days. It
 * opens nothing; it only says that a try comes from where the right password came from before, so that strangers' wrong
 * ones don't slow it (back-off.ts). Ten wrong ones in a row with it, and it is a stranger again.
 */
import type { ApiRecords } from '../server/records.ts';
import { newSecret, sha256 } from './secrets.ts';

const cookieName = 'croft_device';
const days = 30;
const kindOf = (user: string): string => `device:${user}`;

const inHeader = new RegExp(`(?:^|;)\\s*${cookieName}=([A-Za-z0-9_-]+)(?:;|$)`);

/** The record's payload is how many tries are left. */
const tries = 10;
/** Of one user; a program that signs in again and again would fill the records. */
const mostDevices = 20;

const cookie = (value: string, secure: boolean): string =>
  `${cookieName}=${value}; Max-Age=${days * 86_400}; Path=/v1/session; HttpOnly; SameSite=Strict${secure ? '; Secure' : ''}`;

/** Takes one of a device's tries. @returns false where it isn't known to be this user's, or has none left */
export function takeDeviceTry(box: ApiRecords, user: string, header: string | undefined, now = Date.now()): boolean {
  const value = header === undefined ? undefined : inHeader.exec(header)?.[1];
  if (value === undefined) return false;
  const hash = sha256(value);
  const left = Number(box.oneTime.take(hash, kindOf(user)) ?? 0);
  if (left < 1) return false;
  box.oneTime.put(hash, kindOf(user), String(left - 1), now + days * 86_400_000);
  return true;
}

/** After the right password. @returns the cookie to set */
export function rememberDevice(
  box: ApiRecords,
  { user, header, secure }: { user: string; header: string | undefined; secure: boolean },
  now = Date.now(),
): string {
  const before = header === undefined ? undefined : inHeader.exec(header)?.[1];
  if (before !== undefined) box.oneTime.take(sha256(before), kindOf(user));
  const value = newSecret();
  box.oneTime.put(sha256(value), kindOf(user), String(tries), now + days * 86_400_000, mostDevices);
  return cookie(value, secure);
}

/** When the password was changed by somebody: whoever knew the old one is a stranger. */
export const forgetDevices = (box: ApiRecords, user: string): void => box.oneTime.removeAll(kindOf(user));
