/** Writer of cpio "newc" archives (the kernel's Documentation/driver-api/early-userspace/buffer-format.rst), for an initramfs. */

export type CpioEntry =
  | { path: string; mode: number; content: Buffer }
  | { path: string; directory: true }
  | { path: string; device: { major: number; minor: number } };

const fileType = { directory: 0o040000, regular: 0o100000, character: 0o020000 };

/** The archive's bytes; entries keep their order, so directories must come before what is in them. Reproducible: owner root, time 0. */
export function cpio(entries: readonly CpioEntry[]): Buffer {
  const parts = entries.map((entry, index) => encode(entry, index + 1));
  return Buffer.concat([...parts, encodeRaw('TRAILER!!!', 0, 0, Buffer.alloc(0), 0, 0)]);
}

function encode(entry: CpioEntry, inode: number): Buffer {
  const none = Buffer.alloc(0);
  if ('directory' in entry) return encodeRaw(entry.path, fileType.directory | 0o755, inode, none, 0, 0);
  if ('device' in entry) {
    return encodeRaw(entry.path, fileType.character | 0o600, inode, none, entry.device.major, entry.device.minor);
  }
  return encodeRaw(entry.path, fileType.regular | entry.mode, inode, entry.content, 0, 0);
}

function encodeRaw(path: string, mode: number, inode: number, content: Buffer, major: number, minor: number): Buffer {
  const name = Buffer.from(`${path}\0`);
  // ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize, check
  const fields = [inode, mode, 0, 0, 1, 0, content.length, 0, 0, major, minor, name.length, 0];
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`;
  return Buffer.concat([pad(Buffer.concat([Buffer.from(header, 'latin1'), name])), pad(content)]);
}

const pad = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
