/** Sessions of the console: an HttpOnly cookie whose hash is kept in the box's own records. */
import { user } from '../../appliance/resources/croft-kinds.ts';
import type { ResourceStore } from '../../appliance/store/store.ts';
import type { ApiRecords } from '../server/records.ts';
import type { Principal } from './roles.ts';
import { newSecret, sha256 } from './secrets.ts';

const cookieName = 'croft_session';
export const sessionHours = 12;

const inHeader = new RegExp(`(?:^|;)\\s*${cookieName}=([A-Za-z0-9_-]+)(?:;|$)`);

/** The session's value in a Cookie header; undefined when it has none. */
export const sessionOf = (header: string): string | undefined => inHeader.exec(header)?.[1];

/** A Set-Cookie header with the session's value; an empty one ends it. Scripts can't read it, other sites don't send it. */
export const sessionCookie = (value: string, { secure }: { secure: boolean }): string =>
  [
    `${cookieName}=${value}`,
    value === '' ? 'Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT' : `Max-Age=${sessionHours * 3600}`,
    'Path=/; HttpOnly; SameSite=Strict',
    ...(secure ? ['Secure'] : []),
  ].join('; ');

/** Starts a session; `value` is the cookie's. */
export function startSession(box: ApiRecords, name: string, now = Date.now()): { value: string; expiresAt: string } {
  const value = newSecret();
  const expires = now + sessionHours * 3_600_000;
  box.sessions.put(sha256(value), name, expires);
  return { value, expiresAt: new Date(expires).toISOString() };
}

export const endSession = (box: ApiRecords, value: string): void => box.sessions.remove(sha256(value));

/** Whose session it is, with the user's role of this moment; undefined when it ended or the user may no more. */
export async function verifySession(store: ResourceStore, box: ApiRecords, value: string): Promise<Principal | undefined> {
  const session = box.sessions.get(sha256(value));
  if (!session) return undefined;
  const found = await store.get(user, session.user);
  if (!found || found.spec.disabled) return undefined;
  // A user made anew under an old name has none of the old one's sessions.
  if (Date.parse(found.metadata.creationTimestamp ?? '') > session.created + 1000) return undefined;
  return { name: session.user, role: found.spec.role, via: 'session', expiresAt: new Date(session.expires).toISOString() };
}
