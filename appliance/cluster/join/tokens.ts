/** Join tokens in the store: one Secret each, with the hash, the end and who used it. */
import { CroftError, isCroftError } from '../../errors.ts';
import { secret, systemNamespace } from '../../resources/core-kinds.ts';
import { node } from '../../resources/croft-kinds.ts';
import type { ResourceStore } from '../../store/store.ts';
import { hashOf, newToken, tokenRefusal, type JoinToken, type TokenRecord } from './token.ts';

const nameOf = (id: string): string => `join-${id}`;
const encode = (record: TokenRecord): Record<string, string> => ({
  record: Buffer.from(JSON.stringify(record)).toString('base64'),
});
const decode = (data: Record<string, string>): TokenRecord =>
  JSON.parse(Buffer.from(data.record ?? '', 'base64').toString()) as TokenRecord;

/** @param lifetime ms @throws CroftError `invalid-state` while no box takes joins */
export async function issueToken(store: ResourceStore, lifetime: number, now = Date.now()): Promise<JoinToken> {
  const boxes = (await store.list(node)).items.flatMap(({ status }) => {
    const { address, fingerprint, joinPort } = status?.peer ?? {};
    return address !== undefined && fingerprint !== undefined && joinPort !== undefined
      ? [{ address, fingerprint, port: joinPort }]
      : [];
  });
  if (boxes.length === 0) {
    throw new CroftError('invalid-state', 'No box of this cluster takes others in: none has a cluster address.', {
      fix: ['Set CROFT_ADDRESS on this box to its address towards the others, and start the service again.'],
    });
  }
  const token = newToken(boxes, now + lifetime);
  const record: TokenRecord = { hash: hashOf(token.secret), expires: token.expires };
  const metadata = { name: nameOf(token.id), namespace: systemNamespace };
  await store.create(secret, { metadata, spec: { type: 'Opaque', data: encode(record) } });
  return token;
}

/**
 * Checks a token and binds it to the box, by compare-and-swap: of two boxes with one token the second is refused.
 * @returns true when this box had used it before
 * @throws CroftError `forbidden`
 */
export async function useToken(store: ResourceStore, id: string, given: string, box: string, now = Date.now()): Promise<boolean> {
  const found = await store.get(secret, nameOf(id), systemNamespace);
  const record = found && decode(found.spec.data);
  const refusal = tokenRefusal(record, given, box, now);
  if (refusal !== undefined || !found || !record) throw new CroftError('forbidden', refusal ?? 'The join token is not known.');
  if (record.usedBy !== undefined) return true;
  try {
    await store.update(secret, { ...found, spec: { ...found.spec, data: encode({ ...record, usedBy: box }) } });
  } catch (error) {
    if (!isCroftError(error, 'conflict')) throw error;
    throw new CroftError('forbidden', 'The join token was used by another box just now.');
  }
  return false;
}
