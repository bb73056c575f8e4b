/**
 * Reads a tar (POSIX ustar, with GNU long names and pax paths), as an OVA (DSP0243 §5.3) and an archive of kernels are:
 * headers one by one, data never held. The browser reads its files with it too: nothing of Node here.
 */
import { CroftError } from '../errors.ts';

export const tarBlock = 512;

export type TarEntry = { name: string /** Where its bytes begin. */; offset: number; size: number };
export type ReadAt = (offset: number, length: number) => Promise<Uint8Array>;

/** An OVA has a handful. */
const usualEntries = 1_000;
export const padded = (size: number): number => Math.ceil(size / tarBlock) * tarBlock;

const decoder = new TextDecoder();
const textOf = (bytes: Uint8Array): string => decoder.decode(bytes).replace(/\0.*$/s, '');
const text = (header: Uint8Array, start: number, length: number): string => textOf(header.subarray(start, start + length));

/** Octal, or GNU's base-256 for what is too large for that. */
function numberAt(header: Uint8Array, start: number, length: number): number {
  const field = header.subarray(start, start + length);
  if ((field[0] as number) & 0x80) {
    const high = field.subarray(length - 8, length - 6).some((byte) => byte !== 0);
    return high ? Number.NaN : field.subarray(length - 6).reduce((sum, byte) => sum * 256 + byte, 0);
  }
  const digits = text(header, start, length).trim();
  return /^[0-7]*$/.test(digits) ? Number.parseInt(digits || '0', 8) : Number.NaN;
}

export const checksumOf = (header: Uint8Array): number =>
  header.reduce((sum, byte, index) => sum + (index >= 148 && index < 156 ? 0x20 : byte), 0);

const refuse = (why: string): CroftError => new CroftError('invalid-input', `It is not a sound tar file: ${why}.`);

/** The plain files of a tar. @throws CroftError `invalid-input` */
export async function readTar(read: ReadAt, total: number, maxEntries = usualEntries): Promise<TarEntry[]> {
  const entries: TarEntry[] = [];
  let longName: string | undefined;
  for (let at = 0; at + tarBlock <= total; ) {
    const header = await read(at, tarBlock);
    if (header.length < tarBlock || header.every((byte) => byte === 0)) break;
    if (numberAt(header, 148, 8) !== checksumOf(header)) throw refuse(`the header at byte ${at} has a wrong checksum`);
    const size = numberAt(header, 124, 12);
    const offset = at + tarBlock;
    if (!Number.isSafeInteger(size) || offset + size > total) throw refuse(`an entry at byte ${at} goes beyond its end`);
    const type = String.fromCharCode(header[156] as number);
    const prefix = text(header, 257, 5) === 'ustar' ? text(header, 345, 155) : '';
    const name = longName ?? (prefix ? `${prefix}/${text(header, 0, 100)}` : text(header, 0, 100));
    longName = undefined;
    if (type === 'L' && size <= 4096) longName = textOf(await read(offset, size));
    else if (type === 'x' && size <= 64 * 1024) longName = paxPath(decoder.decode(await read(offset, size)));
    else if (type === '0' || type === '\0') entries.push({ name: name.replace(/^\.\//, ''), offset, size });
    if (entries.length > maxEntries) throw refuse(`it has more than ${maxEntries} files`);
    at = offset + padded(size);
  }
  return entries;
}

const paxPath = (records: string): string | undefined => /(?:^|\n)\d+ path=([^\n]+)\n/.exec(records)?.[1];
