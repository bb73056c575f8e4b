/**
 * API tokens: `croft_<name>.<secret>`. The name finds the Token and its Secret `token-<name>` without a scan;
 * only the secret's hash is kept.
 */
import { timingSafeEqual } from 'node:crypto';
import { token, user } from '../../appliance/resources/croft-kinds.ts';
import type { Token } from '../../appliance/resources/croft-kinds.ts';
import { editStatus } from '../../appliance/store/edit.ts';
import type { ResourceStore } from '../../appliance/store/store.ts';
import { lesserRole, type Principal } from './roles.ts';
import { deleteSecret, newSecret, readSecretValue, sha256, writeSecretValue } from './secrets.ts';

const secretName = (name: string): string => `token-${name}`;

/** Makes the secret of a Token, keeps its hash, and returns what the user is to be shown once. */
export async function issueTokenSecret(store: ResourceStore, name: string): Promise<string> {
  const random = newSecret();
  await writeSecretValue(store, secretName(name), 'hash', sha256(random));
  return `croft_${name}.${random}`;
}

export const revokeTokenSecret = (store: ResourceStore, name: string): Promise<void> => deleteSecret(store, secretName(name));

const bearer = /^croft_([a-z0-9][-a-z0-9.]{0,252})\.([A-Za-z0-9_-]{43})$/;

/** lastUsed is for people: a minute's precision spares a write per request. */
const useInterval = 60_000;

/** Who a bearer token stands for; undefined when it is unknown, expired, or its user is gone or disabled. */
export async function verifyToken(store: ResourceStore, text: string, now = Date.now()): Promise<Principal | undefined> {
  const match = bearer.exec(text);
  const name = match?.[1];
  if (!match || name === undefined) return undefined;
  const [found, kept] = await Promise.all([store.get(token, name), readSecretValue(store, secretName(name), 'hash')]);
  if (!found || kept === undefined) return undefined;
  if (!timingSafeEqual(Buffer.from(kept), Buffer.from(sha256(match[2] as string)))) return undefined;
  if (found.spec.expiresAt !== undefined && Date.parse(found.spec.expiresAt) <= now) return undefined;
  let role = found.spec.role;
  if (found.spec.user !== undefined) {
    const owner = await store.get(user, found.spec.user);
    if (!owner || owner.spec.disabled) return undefined;
    role = lesserRole(role, owner.spec.role);
  }
  await noteUse(store, found, now);
  return { name: found.spec.user ?? `token:${name}`, role, via: 'token', credential: name, expiresAt: found.spec.expiresAt };
}

async function noteUse(store: ResourceStore, { metadata, status }: Token, now: number): Promise<void> {
  if (status?.lastUsed !== undefined && now - Date.parse(status.lastUsed) < useInterval) return;
  await editStatus(store, token, { name: metadata.name }, (draft) => {
    draft.status = { ...draft.status, lastUsed: new Date(now).toISOString() };
  });
}
