/**
 * The publisher's word on what an image is: the digest of one file, out of a checksum file in any of the styles in use.
 * A text that names the file twice with different digests, or not at all, gives none.
 */
import { basename } from 'node:path';
import { CroftError } from '../../appliance/errors.ts';

const algorithmOf = { 64: 'sha256', 128: 'sha512' } as const;
const digest = '([0-9a-fA-F]{128}|[0-9a-fA-F]{64})';
/** `<digest>  [*]name` of sha256sum, `SHA256 (name) = <digest>` of BSD; others (signatures, comments) are passed over. */
const gnu = new RegExp(`^\\\\?${digest} [ *](\\S.*)$`);
const bsd = new RegExp(`^SHA(?:256|512) \\((.+)\\) = ${digest}$`);
const bare = new RegExp(`^${digest}$`);

/**
 * @returns `sha256:<hex>` or `sha512:<hex>`; the stronger one where both are there
 * @throws CroftError `download-failed` when the text does not say it once and clearly
 */
export function checksumOf(text: string, file: string): string {
  const lines = text.split(/\r?\n/).map((line) => line.trimEnd());
  const found = new Set<string>();
  for (const line of lines) {
    const [, gnuDigest, gnuName] = gnu.exec(line) ?? [];
    const [, bsdName, bsdDigest] = bsd.exec(line) ?? [];
    const name = gnuName ?? bsdName;
    const value = gnuDigest ?? bsdDigest;
    if (name !== undefined && value !== undefined && basename(name) === file) found.add(value.toLowerCase());
  }
  const words = lines.filter((line) => line !== '');
  // A file of its own for each image may hold nothing but the digest.
  const alone = words.length === 1 ? bare.exec(words[0] ?? '')?.[1] : undefined;
  if (alone !== undefined) found.add(alone.toLowerCase());
  for (const length of [128, 64] as const) {
    const [only, ...others] = [...found].filter((value) => value.length === length);
    if (others.length > 0) throw new CroftError('download-failed', `The publisher's checksums give ${file} different digests.`);
    if (only !== undefined) return `${algorithmOf[length]}:${only}`;
  }
  throw new CroftError('download-failed', `The publisher's checksums do not name ${file}.`, {
    fix: ['It may have been renamed: give its address, and its --checksum, instead of the name.'],
  });
}
