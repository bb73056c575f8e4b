/**
 * API tokens: `croft_<name>.<secret>`. The name finds the Token and its Secret `token-<name>` without a scan;
 * only the secret's hash is kept.
 */
import { hash, timingSafeEqual } from 'node:crypto';
import { isCroftError } from '../../appliance/errors.ts';
import { secret, systemNamespace, type Secret } from '../../appliance/resources/core-kinds.ts';
import { token, user, type Token, type User } from '../../appliance/resources/croft-kinds.ts';
import { editStatus } from '../../appliance/store/edit.ts';
import { readsOf, type ResourceStore, type SharedReads } from '../../appliance/store/store.ts';
import { lesserRole, type Principal } from './roles.ts';
import { deleteSecret, newSecret, sha256, writeSecretValue } from './secrets.ts';

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

type Found = { token: Token; secret: Secret; owner: User | undefined };

/** Whether the secret is the token's, and whose rights it has. Pure. */
function judge(given: string, { token: { metadata, spec }, secret: kept, owner }: Found, now: number): Principal | undefined {
  const expected = kept.spec.data.hash;
  if (expected === undefined) return undefined;
  if (!timingSafeEqual(Buffer.from(Buffer.from(expected, 'base64').toString()), Buffer.from(sha256(given)))) return undefined;
  if (spec.expiresAt !== undefined && Date.parse(spec.expiresAt) <= now) return undefined;
  if (spec.user !== undefined && (!owner || owner.spec.disabled)) return undefined;
  const { name } = metadata;
  const role = owner ? lesserRole(spec.role, owner.spec.role) : spec.role;
  return { name: spec.user ?? `token:${name}`, role, via: 'token', credential: name, expiresAt: spec.expiresAt };
}

/** Who a bearer token stands for; undefined when it is unknown, expired, or its user is gone or disabled. */
export type TokenVerifier = (text: string, now?: number) => Principal | undefined | Promise<Principal | undefined>;

type Verified = Found & { principal: Principal; until: number };
/** Tokens that are right, so nobody makes many of them by guessing. */
const mostVerified = 1_000;

/**
 * What was verified once needn't be hashed and compared again while token, secret and user are the same objects. A store
 * that shares its reads hands out another object after each change, so a revoked token is refused by the next request.
 */
export function createTokenVerifier(store: ResourceStore): TokenVerifier {
  const verified = new Map<string, Verified>();

  const isCurrent = (reads: SharedReads, { token: kept, secret: hash, owner }: Verified): boolean =>
    reads.get(token, kept.metadata.name) === kept &&
    reads.get(secret, hash.metadata.name, systemNamespace) === hash &&
    (kept.spec.user === undefined || reads.get(user, kept.spec.user) === owner);

  async function verify(text: string, digest: string | undefined, now: number): Promise<Principal | undefined> {
    const match = bearer.exec(text);
    const [, name, given] = match ?? [];
    if (name === undefined || given === undefined) return undefined;
    const reads = readsOf(store);
    const found = await reads.get(token, name);
    const kept = found && (await reads.get(secret, secretName(name), systemNamespace));
    if (!found || !kept) return undefined;
    const owner = found.spec.user === undefined ? undefined : await reads.get(user, found.spec.user);
    const principal = judge(given, { token: found, secret: kept, owner }, now);
    if (!principal) return undefined;
    const noted = await noteUse(store, found, now);
    if (digest !== undefined && noted) {
      if (verified.size >= mostVerified) verified.clear();
      const ends = principal.expiresAt === undefined ? Number.POSITIVE_INFINITY : Date.parse(principal.expiresAt);
      verified.set(digest, { token: found, secret: kept, owner, principal, until: Math.min(ends, now + useInterval) });
    }
    return principal;
  }

  return (text, now = Date.now()) => {
    const { shared } = store;
    if (!shared) return verify(text, undefined, now);
    // By its hash: how long a look-up takes tells nothing about tokens, and none stays in memory.
    const digest = hash('sha256', text, 'base64url');
    const known = verified.get(digest);
    if (known && known.until > now && isCurrent(shared, known)) return known.principal;
    verified.delete(digest);
    return verify(text, digest, now);
  };
}

/** Notes that it was used. @returns true when that needed no write, so that `token` is still the stored object. */
async function noteUse(store: ResourceStore, { metadata, status }: Token, now: number): Promise<boolean> {
  if (status?.lastUsed !== undefined && now - Date.parse(status.lastUsed) < useInterval) return true;
  try {
    await editStatus(store, token, { name: metadata.name }, (draft) => {
      draft.status = { ...draft.status, lastUsed: new Date(now).toISOString() };
    });
  } catch (error) {
    // A store that can't be written to is no reason to turn its reader away.
    if (!isCroftError(error, 'unavailable')) throw error;
  }
  return false;
}
