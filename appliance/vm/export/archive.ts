/** An OVA as the pieces it is sent in: descriptor, manifest, disks; made anew at each read, never on disk as a whole. */
import { createReadStream } from 'node:fs';
import { tarEnd, tarHeader, tarPadding } from '../../host/tar.ts';

export type ArchiveFile = { name: string; size: number } & ({ text: string } | { path: string });
type Piece = { size: number } & ({ bytes: Buffer } | { path: string });

/** `plain`: the one file as it is, instead of a tar around all. */
export function piecesOf(files: readonly ArchiveFile[], plain: boolean, mtime: number): Piece[] {
  const content = (file: ArchiveFile): Piece =>
    'text' in file ? { size: file.size, bytes: Buffer.from(file.text) } : { size: file.size, path: file.path };
  if (plain) return files.map(content);
  const buffer = (bytes: Buffer): Piece => ({ size: bytes.length, bytes });
  return [
    ...files.flatMap((file) => [buffer(tarHeader(file.name, file.size, mtime)), content(file), buffer(tarPadding(file.size))]),
    buffer(tarEnd()),
  ];
}

export const sizeOf = (pieces: readonly Piece[]): number => pieces.reduce((sum, { size }) => sum + size, 0);

/** The bytes from `start` to before `end`. */
export async function* readPieces(pieces: readonly Piece[], start: number, end: number): AsyncGenerator<Uint8Array> {
  let at = 0;
  for (const piece of pieces) {
    const [from, to] = [Math.max(0, start - at), Math.min(piece.size, end - at)];
    at += piece.size;
    if (from >= to) continue;
    if ('bytes' in piece) yield piece.bytes.subarray(from, to);
    else yield* createReadStream(piece.path, { start: from, end: to - 1 }) as AsyncIterable<Uint8Array>;
  }
}
