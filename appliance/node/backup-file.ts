/**
 * The file of a box backup: one line of text that says how to make the key, then the content, compressed and encrypted as
 * one piece. The first line is authenticated with the rest, so nobody can weaken it unnoticed.
 *
 *   CROFT-BACKUP {"version":1,"kdf":"scrypt","N":65536,"r":8,"p":2,"salt":"…","nonce":"…"}\n
 *   AES-256-GCM(gzip(content)) tag(16)
 *
 * scrypt's cost is OWASP's recommendation (64 MiB, p = 2).
 */
import { createCipheriv, createDecipheriv, randomBytes, scrypt } from 'node:crypto';
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { CroftError, messageOf } from '../errors.ts';

const word = 'CROFT-BACKUP ';
const cost = { N: 65_536, r: 8, p: 2 };
const tagBytes = 16;
/** More than a first line needs, and bounds on its numbers: they come from the file, before anything is authenticated. */
const maxHeader = 1_024;
const maxCost = { N: 1_048_576, r: 8, p: 8 };
/** Bytes that a backup may unpack to. */
const maxContent = 2 ** 30;

export const shortestPassphrase = 12;

type Header = { version: number; kdf: string; N: number; r: number; p: number; salt: string; nonce: string };

function keyOf(passphrase: string, { N, r, p, salt }: Header): Promise<Buffer> {
  const options = { N, r, p, maxmem: 256 * N * r };
  return new Promise((resolve, reject) => {
    scrypt(passphrase.normalize('NFC'), Buffer.from(salt, 'base64'), 32, options, (error, key) =>
      error ? reject(error) : resolve(key),
    );
  });
}

/** @throws CroftError `invalid-input` for a passphrase that is too short */
export async function sealBackup(content: string | Uint8Array, passphrase: string): Promise<Buffer> {
  if (passphrase.length < shortestPassphrase) {
    throw new CroftError(
      'invalid-input',
      `passphrase: has ${passphrase.length} characters; give at least ${shortestPassphrase}, for the file holds every secret of the box.`,
      { errors: [{ pointer: '/passphrase', detail: `must have at least ${shortestPassphrase} characters` }] },
    );
  }
  const nonce = randomBytes(12);
  const header: Header = {
    version: 1,
    kdf: 'scrypt',
    ...cost,
    salt: randomBytes(32).toString('base64'),
    nonce: nonce.toString('base64'),
  };
  const line = Buffer.from(`${word}${JSON.stringify(header)}\n`);
  const cipher = createCipheriv('aes-256-gcm', await keyOf(passphrase, header), nonce).setAAD(line);
  const packed = await promisify(gzip)(content);
  return Buffer.concat([line, cipher.update(packed), cipher.final(), cipher.getAuthTag()]);
}

function headerOf(file: Buffer): { header: Header; line: Buffer } {
  const end = file.subarray(0, maxHeader).indexOf('\n');
  if (end < 0 || !file.subarray(0, word.length).equals(Buffer.from(word))) {
    throw new CroftError('invalid-input', 'This is not a backup of a Croft box: it does not begin with CROFT-BACKUP.');
  }
  const line = file.subarray(0, end + 1);
  let header: Header;
  try {
    header = JSON.parse(String(line.subarray(word.length))) as Header;
  } catch (cause) {
    throw new CroftError('invalid-input', 'The backup is damaged: its first line cannot be read.', { cause });
  }
  if (header.version !== 1) {
    throw new CroftError(
      'invalid-input',
      `The backup has version ${header.version}; this Croft reads version 1. Use a newer one.`,
    );
  }
  const inBounds = (['N', 'r', 'p'] as const).every(
    (name) => Number.isSafeInteger(header[name]) && header[name] >= 1 && header[name] <= maxCost[name],
  );
  if (header.kdf !== 'scrypt' || !inBounds || typeof header.salt !== 'string' || typeof header.nonce !== 'string') {
    throw new CroftError('invalid-input', 'The backup is damaged: its first line says nothing a key can be made of.');
  }
  return { header, line };
}

/** @throws CroftError `invalid-input` when the passphrase is wrong, or the file is damaged or no backup */
export async function openBackup(file: Buffer, passphrase: string): Promise<Buffer> {
  const { header, line } = headerOf(file);
  const sealed = file.subarray(line.length, Math.max(line.length, file.length - tagBytes));
  const wrong = 'The backup does not open: the passphrase is not the one it was made with, or the file was damaged or cut off.';
  try {
    const decipher = createDecipheriv('aes-256-gcm', await keyOf(passphrase, header), Buffer.from(header.nonce, 'base64'), {
      authTagLength: tagBytes,
    });
    decipher.setAAD(line).setAuthTag(file.subarray(file.length - tagBytes));
    const packed = Buffer.concat([decipher.update(sealed), decipher.final()]);
    return await promisify(gunzip)(packed, { maxOutputLength: maxContent });
  } catch (cause) {
    throw new CroftError('invalid-input', wrong, {
      cause,
      fix: [`(${messageOf(cause)})`, 'Try the passphrase again, or another copy of the file.'],
    });
  }
}
