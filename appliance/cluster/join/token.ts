/**
 * A join token: where the cluster is, how its boxes prove themselves (fingerprints of their certificates), and a secret
 * that proves the new box. One box may use it, until it expires; the same box may use it again, for a join that was cut
 * off is repeated. The store keeps a hash. Pure, but for randomness.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { Type, type Static } from 'typebox';
import { Value } from 'typebox/value';
import { CroftError } from '../../errors.ts';

const JoinToken = Type.Object({
  id: Type.String({ pattern: '^[0-9a-f]{12}$' }),
  secret: Type.String({ pattern: '^[0-9a-f]{64}$' }),
  /** Boxes that take the join. `fingerprint`: SHA-256 of the certificate, hex. */
  boxes: Type.Array(Type.Object({ address: Type.String(), port: Type.Integer(), fingerprint: Type.String() }), { minItems: 1 }),
  /** ms since the epoch. */
  expires: Type.Integer(),
});
export type JoinToken = Static<typeof JoinToken>;

const prefix = 'croft1.';

export const newToken = (boxes: JoinToken['boxes'], expires: number): JoinToken => ({
  id: randomBytes(6).toString('hex'),
  secret: randomBytes(32).toString('hex'),
  boxes,
  expires,
});

export const tokenText = (token: JoinToken): string => prefix + Buffer.from(JSON.stringify(token)).toString('base64url');

/** @throws CroftError `invalid-input` on what is no token */
export function parseToken(text: string): JoinToken {
  const wrong = new CroftError('invalid-input', 'TOKEN: this is no join token, or a part of it is missing.', {
    fix: ['Make one on a box of the cluster with `croft node join-token`, and paste the whole line.'],
  });
  if (!text.startsWith(prefix)) throw wrong;
  try {
    const token: unknown = JSON.parse(Buffer.from(text.slice(prefix.length), 'base64url').toString());
    if (Value.Check(JoinToken, token)) return token;
  } catch {
    // Said below.
  }
  throw wrong;
}

export const hashOf = (secret: string): string => createHash('sha256').update(secret).digest('hex');

/** What the store keeps of a token. */
export type TokenRecord = { hash: string; expires: number; usedBy?: string };

/** Why it isn't accepted from this box; undefined: it is. Says no more than a stranger may know. */
export function tokenRefusal(record: TokenRecord | undefined, secret: string, box: string, now: number): string | undefined {
  const known = record && timingSafeEqual(Buffer.from(hashOf(secret)), Buffer.from(record.hash));
  if (!known) return 'The join token is not known to this cluster.';
  if (now > record.expires) return 'The join token has expired.';
  if (record.usedBy !== undefined && record.usedBy !== box) return 'The join token has been used by another box.';
  return undefined;
}
