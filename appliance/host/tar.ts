/** Writes a tar (POSIX ustar), as an OVA is one (DSP0243 §5.3): headers one by one, data never held. tar-read.ts reads it. */
import { checksumOf, padded, tarBlock } from './tar-read.ts';

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
