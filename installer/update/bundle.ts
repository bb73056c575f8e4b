/**
 * Update bundles: one file with a release's slot image, signed.
 *
 *     CROFT-UPDATE 1
 *     base64 of the manifest (JSON: the release, the image's size and SHA-256)
 *     base64 of an Ed25519 signature over these two lines, and the id of the key
 *     (newlines up to byte 4096, then the image)
 *
 * A box trusts the public keys that its running release brought (`update-keys/*.pem`). Keys are changed by a release
 * that brings the new key beside the old and is signed with the old; those after it are signed with the new.
 */
import { createHash, createPrivateKey, createPublicKey, sign, verify, type KeyObject } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { open, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { Type, type Static } from 'typebox';
import { Value } from 'typebox/value';
import { CroftError, messageOf } from '../../appliance/errors.ts';
import { releaseSchema, type Release } from '../release.ts';

const magic = 'CROFT-UPDATE 1';
/** Where the image begins. */
export const imageAt = 4096;

export const manifestSchema = Type.Object({
  release: releaseSchema,
  image: Type.Object({ size: Type.Integer({ minimum: 1 }), sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }) }),
});
export type Manifest = Static<typeof manifestSchema>;

/** Sixteen hex digits that name a public key. */
export const keyId = (key: KeyObject): string =>
  createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('hex')
    .slice(0, 16);

/** The public keys (`*.pem`) in a folder. @throws CroftError `invalid-state` for a file that is none */
export async function readKeys(folder: string): Promise<KeyObject[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.pem')).sort();
  return Promise.all(
    names.map(async (name) => {
      try {
        return createPublicKey(await readFile(join(folder, name)));
      } catch (cause) {
        throw new CroftError('invalid-state', `${join(folder, name)} is no public key: ${messageOf(cause)}`, { cause });
      }
    }),
  );
}

/** Writes a bundle. `key` is the private key, PEM. @throws CroftError `invalid-input` for another kind of key */
export async function makeBundle(
  output: string,
  { slot, release, key }: { slot: string; release: Release; key: string },
): Promise<void> {
  const secret = createPrivateKey(key);
  if (secret.asymmetricKeyType !== 'ed25519') throw new CroftError('invalid-input', 'The key of updates must be an Ed25519 key.');
  const { size } = await stat(slot);
  const manifest: Manifest = { release, image: { size, sha256: await sha256Of(slot, 0) } };
  const signed = signedText(Buffer.from(JSON.stringify(manifest)).toString('base64'));
  const signature = sign(null, Buffer.from(signed), secret).toString('base64');
  const head = Buffer.alloc(imageAt, '\n');
  const text = Buffer.from(`${signed}${signature} ${keyId(createPublicKey(secret))}\n`);
  if (text.length > imageAt)
    throw new CroftError('invalid-input', `The manifest has ${text.length} bytes; there is room for ${imageAt}.`);
  text.copy(head);
  const file = createWriteStream(output);
  file.write(head);
  await pipeline(createReadStream(slot), file);
}

const signedText = (manifest: string): string => `${magic}\n${manifest}\n`;

/**
 * The manifest of a bundle whose signature is right; its image was not looked at yet.
 * @throws CroftError `invalid-input` (no bundle), `signature-refused`
 */
export async function readManifest(bundle: string, keys: readonly KeyObject[]): Promise<Manifest> {
  const lines = (await readHead(bundle)).split('\n');
  const [first, manifest = '', last = ''] = lines;
  if (first !== magic) throw new CroftError('invalid-input', `${bundle} is no update of Croft.`);
  const [signature = '', id = ''] = last.split(' ');
  const key = keys.find((each) => keyId(each) === id);
  const trusted = keys.map(keyId).join(', ') || 'none';
  if (!key) {
    throw new CroftError('signature-refused', `${bundle} is signed with key ${JSON.stringify(id)}; this box trusts ${trusted}.`);
  }
  if (!verify(null, Buffer.from(signedText(manifest)), key, Buffer.from(signature, 'base64'))) {
    throw new CroftError('signature-refused', `${bundle}: the signature of key ${id} is wrong.`);
  }
  try {
    return Value.Parse(manifestSchema, JSON.parse(Buffer.from(manifest, 'base64').toString('utf8')));
  } catch (cause) {
    throw new CroftError('invalid-input', `${bundle} is for a newer Croft: ${messageOf(cause)}`, { cause });
  }
}

async function readHead(bundle: string): Promise<string> {
  const handle = await open(bundle, 'r');
  try {
    const head = Buffer.alloc(imageAt);
    await handle.read(head, 0, imageAt, 0);
    return head.toString('latin1');
  } finally {
    await handle.close();
  }
}

/** Reads the whole image and compares. @throws CroftError `checksum-mismatch` */
export async function checkImage(bundle: string, { image }: Manifest, signal?: AbortSignal): Promise<void> {
  const { size } = await stat(bundle);
  if (size !== imageAt + image.size) {
    throw new CroftError(
      'checksum-mismatch',
      `${bundle} has ${size} bytes instead of ${imageAt + image.size}: it is cut short or damaged.`,
    );
  }
  const found = await sha256Of(bundle, imageAt, image.size, signal);
  if (found !== image.sha256) throw new CroftError('checksum-mismatch', `${bundle} is damaged: its image is not the signed one.`);
}

/** SHA-256 of `size` bytes of a file or device from `start` on; default: to its end. */
export async function sha256Of(path: string, start: number, size?: number, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  const end = size === undefined ? undefined : start + size - 1;
  for await (const chunk of createReadStream(path, { start, end, signal, highWaterMark: 1024 * 1024 }))
    hash.update(chunk as Buffer);
  return hash.digest('hex');
}
