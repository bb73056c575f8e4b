/** Tar (POSIX ustar, with GNU long names and pax paths read), as an OVA (DSP0243 §5.3) and an archive of kernels are: headers read and written one by one, data never held. */
import { CroftError } from '../errors.ts';

export const tarBlock = 512;

export type TarEntry = { name: string /** Where its bytes begin. */; offset: number; size: number };
export type ReadAt = (offset: number, length: number) => Promise<Buffer>;

/** An OVA has a handful. */
const usualEntries = 1_000;
const padded = (size: number): number => Math.ceil(size / tarBlock) * tarBlock;
const text = (header: Buffer, start: number, length: number): string =>
  header.toString('utf8', start, start + length).replace(/\0.*$/s, '');

/** Octal, or GNU's base-256 for what is too large for that. */
function numberAt(header: Buffer, start: number, length: number): number {
  if ((header[start] as number) & 0x80) {
    const high = header.readUIntBE(start + length - 8, 2);
    const low = header.readUIntBE(start + length - 6, 6);
    return high === 0 ? low : Number.NaN;
  }
  const digits = text(header, start, length).trim();
  return /^[0-7]*$/.test(digits) ? Number.parseInt(digits || '0', 8) : Number.NaN;
}

const checksumOf = (header: Buffer): number =>
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
    if (type === 'L' && size <= 4096) longName = (await read(offset, size)).toString('utf8').replace(/\0.*$/s, '');
    else if (type === 'x' && size <= 64 * 1024) longName = paxPath((await read(offset, size)).toString('utf8'));
    else if (type === '0' || type === '\0') entries.push({ name: name.replace(/^\.\//, ''), offset, size });
    if (entries.length > maxEntries) throw refuse(`it has more than ${maxEntries} files`);
    at = offset + padded(size);
  }
  return entries;
}

const paxPath = (records: string): string | undefined => /(?:^|\n)\d+ path=([^\n]+)\n/.exec(records)?.[1];

/** Header of a plain file. */
export function tarHeader(name: string, size: number, mtime: number): Buffer {
  const header = Buffer.alloc(tarBlock);
  header.write(name.slice(0, 100), 0);
  const octal = (value: number, start: number, length: number): void =>
    void header.write(`${value.toString(8).padStart(length - 1, '0')}\0`, start);
  octal(0o644, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  if (size < 8 ** 11) octal(size, 124, 12);
  else {
    header[124] = 0x80;
    header.writeUIntBE(size, 130, 6);
  }
  octal(mtime, 136, 12);
  header.write('0', 156);
  header.write('ustar\x0000', 257, 'latin1');
  octal(checksumOf(header), 148, 7);
  header[155] = 0x20;
  return header;
}

/** Zeroes that fill the last block of a file. */
export const tarPadding = (size: number): Buffer => Buffer.alloc(padded(size) - size);
/** Two empty blocks. */
export const tarEnd = (): Buffer => Buffer.alloc(2 * tarBlock);
