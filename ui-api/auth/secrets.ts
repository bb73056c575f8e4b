/** Random secrets, their hashes, and where hashes are kept: Secrets of namespace croft-system, never on Users or Tokens. */
import { createHash, randomBytes } from 'node:crypto';
import { isCroftError } from '../../appliance/errors.ts';
import { secret, systemNamespace } from '../../appliance/resources/core-kinds.ts';
import { editObject } from '../../appliance/store/edit.ts';
import type { ResourceStore } from '../../appliance/store/store.ts';

/** 256 random bits as 43 URL-safe characters. */
export const newSecret = (): string => randomBytes(32).toString('base64url');

/** For secrets with full entropy: a plain hash is enough, there is nothing to guess. */
export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

const encode = (text: string): string => Buffer.from(text).toString('base64');

/** A value of a croft-system Secret; undefined when there is none. */
export async function readSecretValue(store: ResourceStore, name: string, key: string): Promise<string | undefined> {
  const found = await store.get(secret, name, systemNamespace);
  const value = found?.spec.data[key];
  return value === undefined ? undefined : Buffer.from(value, 'base64').toString();
}

/** Makes or replaces the Secret's only value. */
export async function writeSecretValue(store: ResourceStore, name: string, key: string, value: string): Promise<void> {
  const spec = { type: 'Opaque', data: { [key]: encode(value) } };
  try {
    await store.create(secret, { metadata: { name, namespace: systemNamespace }, spec });
  } catch (error) {
    if (!isCroftError(error, 'already-exists')) throw error;
    await editObject(store, secret, { name, namespace: systemNamespace }, (draft) => {
      draft.spec = spec;
    });
  }
}

export const deleteSecret = async (store: ResourceStore, name: string): Promise<void> => {
  await store.delete(secret, name, systemNamespace);
};
