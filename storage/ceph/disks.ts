/**
 * Disks as candidates for an OSD: a whole disk, a partition, or (to try things out) a file. A disk that holds
 * anything is refused unless it is named once more, by its serial number, as one to wipe.
 */
import { open, readFile, realpath, stat, type FileHandle } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import { basename } from 'node:path';
import { CroftError } from '../../appliance/errors.ts';
import { run } from '../../appliance/host/exec.ts';
import { humanBytes } from '../../appliance/resources/quantity.ts';
import type { DiskWish } from '../driver.ts';

export type DiskFacts = { kind: 'disk' | 'file'; size: number; serial: string | undefined };

/** An OSD on less is full of its own housekeeping. */
const leastSize = 2 * 2 ** 30;
/** Where file systems, partition tables, volume managers and BlueStore put their marks. */
const headLength = 4 * 2 ** 20;
const tailLength = 2 ** 20;
const blueStoreMark = 'bluestore block device\n';
/** sfdisk, wipefs and friends know these by name; for the message only. */
const marks: { name: string; offset: number; bytes: string }[] = [
  { name: 'a Ceph disk', offset: 0, bytes: 'bluestore block device' },
  { name: 'an encrypted volume (LUKS)', offset: 0, bytes: 'LUKS' },
  { name: 'an XFS file system', offset: 0, bytes: 'XFSB' },
  { name: 'a qcow2 image', offset: 0, bytes: 'QFI\u00fb' },
  { name: 'a GPT partition table', offset: 512, bytes: 'EFI PART' },
  { name: 'an LVM volume', offset: 512, bytes: 'LABELONE' },
  { name: 'an ext file system', offset: 1080, bytes: '\u0053\u00ef' },
  { name: 'a RAID member', offset: 4096, bytes: '\u00fc\u004e\u002b\u00a9' },
  { name: 'a btrfs file system', offset: 65_600, bytes: '_BHRfS_M' },
  { name: 'a partition table or boot sector', offset: 510, bytes: '\u0055\u00aa' },
];

/** What `head` (a disk's first bytes) looks like, in words; undefined when it is all zeros. Pure. */
export function whatIsOn(head: Buffer): string | undefined {
  const mark = marks.find(({ offset, bytes }) => head.subarray(offset, offset + bytes.length).toString('latin1') === bytes);
  if (mark) return mark.name;
  return head.every((byte) => byte === 0) ? undefined : 'data';
}

/** The OSD uuid in BlueStore's label; undefined on any other content. Pure. */
export function osdUuidOn(head: Buffer): string | undefined {
  const text = head.subarray(0, 60).toString('latin1');
  return text.startsWith(blueStoreMark) ? text.slice(blueStoreMark.length, blueStoreMark.length + 36) : undefined;
}

/**
 * Looks at a disk and refuses what is not safe to use. `mayReplace`: uuids of OSDs whose remains may be overwritten.
 * Makes the file of a wish with a size where there is none.
 * @throws CroftError `invalid-input` (no such disk, too small), `in-use` (mounted, or holds something)
 */
export async function inspectDisk(wish: DiskWish, mayReplace: ReadonlySet<string>): Promise<DiskFacts> {
  const path = wish.path;
  if (!path.startsWith('/')) throw new CroftError('invalid-input', `disk: ${path} is not a full path, e.g. /dev/sdb.`);
  const found = await ensureFile(wish);
  if (!found.isFile() && !found.isBlockDevice()) {
    throw new CroftError('invalid-input', `disk: ${path} is neither a disk, a partition nor a file.`);
  }
  if (found.isBlockDevice()) await refuseBusy(path);
  const serial = found.isBlockDevice() ? await serialOf(path) : undefined;
  const handle = await open(path, 'r');
  try {
    const size = found.isFile() ? found.size : await deviceSize(path);
    if (size < leastSize) {
      throw new CroftError('invalid-input', `disk: ${path} has ${humanBytes(size)}; the least is ${humanBytes(leastSize)}.`);
    }
    await refuseContent(handle, size, wish, serial, mayReplace);
    return { kind: found.isFile() ? 'file' : 'disk', size, serial };
  } finally {
    await handle.close();
  }
}

async function ensureFile({ path, size }: DiskWish): Promise<Stats> {
  try {
    return await stat(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    if (size === undefined || path.startsWith('/dev/')) {
      throw new CroftError('invalid-input', `disk: there is no ${path}.`, {
        fix: ['Name a disk by its path; for a file to try things out, say how large with --size.'],
      });
    }
  }
  const handle = await open(path, 'wx', 0o600).catch((error: NodeJS.ErrnoException) => {
    throw new CroftError('invalid-input', `disk: ${path} cannot be made: ${error.code}.`, { cause: error });
  });
  await handle.truncate(size).finally(() => handle.close());
  return stat(path);
}

async function refuseContent(
  handle: FileHandle,
  size: number,
  wish: DiskWish,
  serial: string | undefined,
  mayReplace: ReadonlySet<string>,
): Promise<void> {
  const head = await readAt(handle, 0, headLength);
  const tail = await readAt(handle, size - tailLength, tailLength);
  const content = whatIsOn(head) ?? whatIsOn(tail);
  if (!content || mayReplace.has(osdUuidOn(head) ?? '')) return;
  const name = serial ?? wish.path;
  if (wish.wipe?.includes(name)) return;
  throw new CroftError('in-use', `disk: ${wish.path} holds ${content}; to overwrite it, say so with --wipe ${name}.`);
}

async function readAt(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await handle.read(buffer, 0, length, position);
  return buffer.subarray(0, bytesRead);
}

/** A disk that is mounted, swapped to, or lies under another device (RAID, LVM, a mounted partition) is never taken. */
async function refuseBusy(path: string): Promise<void> {
  const { stdout } = await run(['lsblk', '--json', '--output', 'NAME,TYPE,MOUNTPOINTS', path]);
  type Device = { name: string; type: string; mountpoints: (string | null)[]; children?: Device[] };
  const all = (device: Device): Device[] => [device, ...(device.children ?? []).flatMap(all)];
  const devices = (JSON.parse(stdout) as { blockdevices: Device[] }).blockdevices.flatMap(all);
  const mounted = devices.flatMap(({ mountpoints }) => mountpoints.filter((point) => point !== null));
  if (mounted.length > 0) throw new CroftError('in-use', `disk: ${path} is in use at ${mounted.join(', ')}.`);
  const above = devices.filter(({ type }) => !['disk', 'part', 'loop'].includes(type));
  if (above.length > 0) {
    throw new CroftError('in-use', `disk: ${path} is part of ${above.map(({ name, type }) => `${name} (${type})`).join(', ')}.`);
  }
}

const deviceSize = async (path: string): Promise<number> =>
  Number((await run(['lsblk', '--bytes', '--nodeps', '--noheadings', '--output', 'SIZE', path])).stdout.trim());

/** Serial number of a whole disk; a partition has none of its own. */
async function serialOf(path: string): Promise<string | undefined> {
  const name = basename(await realpath(path));
  const isPartition = await stat(`/sys/class/block/${name}/partition`).then(
    () => true,
    () => false, // no such file: a whole disk
  );
  if (isPartition) return undefined;
  const { stdout } = await run(['lsblk', '--nodeps', '--noheadings', '--output', 'SERIAL', path]);
  const fromSys = async () => (await readFile(`/sys/class/block/${name}/serial`, 'utf8').catch(() => '')).trim();
  return stdout.trim() || (await fromSys()) || undefined;
}

/** Overwrites the marks of whatever was on a disk, so that nothing is taken for what it no longer is. */
export async function wipeMarks(path: string, size: number): Promise<void> {
  const handle = await open(path, 'r+');
  try {
    await handle.write(Buffer.alloc(headLength), 0, headLength, 0);
    await handle.write(Buffer.alloc(tailLength), 0, tailLength, size - tailLength);
    await handle.sync();
  } finally {
    await handle.close();
  }
}
