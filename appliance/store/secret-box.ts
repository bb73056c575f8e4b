/**
 * Encryption at rest: AES-256-GCM under a key in a file that only the owner may read. Each text is bound
 * to its place (kind, project, name), so that one secret's bytes cannot be put in another's row.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, linkSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { CroftError } from '../errors.ts';

export type SecretBox = {
  /** Text that only this key opens, at this place only. */
  seal(text: string, place: string): string;
  /** @throws CroftError `internal` when key, place or text are not those it was sealed with. */
  open(sealed: string, place: string): string;
};

const keyBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;
const prefix = 'sealed1:';

export const isSealed = (text: string): boolean => text.startsWith(prefix);

/** The box of this key of 32 bytes. */
export function secretBox(key: Uint8Array): SecretBox {
  return {
    seal(text, place) {
      const nonce = randomBytes(nonceBytes);
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(place));
      const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
      return prefix + Buffer.concat([nonce, cipher.getAuthTag(), body]).toString('base64');
    },
    open(sealed, place) {
      const bytes = Buffer.from(sealed.slice(prefix.length), 'base64');
      try {
        const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, nonceBytes), { authTagLength: tagBytes });
        decipher.setAAD(Buffer.from(place)).setAuthTag(bytes.subarray(nonceBytes, nonceBytes + tagBytes));
        return Buffer.concat([decipher.update(bytes.subarray(nonceBytes + tagBytes)), decipher.final()]).toString('utf8');
      } catch (cause) {
        throw new CroftError('internal', `${place} cannot be decrypted: the key file is not the one it was stored with.`, {
          cause,
        });
      }
    },
  };
}

/** The key in the file; undefined when there is no file. @throws CroftError `invalid-state` when it is no key. */
export function readKey(path: string): Buffer | undefined {
  let key: Buffer;
  try {
    key = readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  if (key.length === keyBytes) return key;
  throw new CroftError(
    'invalid-state',
    `The key file ${path} has ${key.length} bytes, not ${keyBytes}: restore it from a backup.`,
  );
}

/**
 * Makes a key file (mode 0400), durable before this returns: what is sealed with a key that a power cut
 * takes away is lost.
 */
export function createKey(path: string): Buffer {
  const directory = dirname(path);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const key = randomBytes(keyBytes);
  const temporary = `${path}.${process.pid}.tmp`;
  rmSync(temporary, { force: true });
  const file = openSync(temporary, 'wx', 0o400);
  try {
    writeSync(file, key);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  try {
    // A link, not a rename: an existing key must never be replaced.
    linkSync(temporary, path);
  } finally {
    rmSync(temporary, { force: true });
  }
  const handle = openSync(directory, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  return key;
}
