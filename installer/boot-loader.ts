/**
 * GRUB under BIOS, embedded by patching: no grub-install at run time, for its tools need to know the device under
 * the root directory, and a live system's root is an overlay. The offsets are GRUB's own (include/grub/i386/pc/boot.h
 * and grub-core/boot/i386/pc/diskboot.S).
 *
 * The boot code of the disk's first sector is written last of all in an installation: it is the mark that
 * everything before it is complete. Until then the sector holds `int 0x18`, which tells a BIOS to try its next
 * boot device; a protective MBR without code would hang it instead.
 */
import { open } from 'node:fs/promises';
import { CroftError } from '../appliance/errors.ts';

const sector = 512;
/** Boot code ends here: behind it the MBR holds the disk's signature and the partition table. */
const bootCodeSize = 440;
const kernelSectorAt = 0x5c;
const bootDriveAt = 0x64;
const driveCheckAt = 0x66;
/** Last block-list entry of core.img's first sector: u64 start, u16 length, u16 segment. */
const blockListAt = 500;
const segmentAfterFirstSector = 0x820;

/** `int 0x18; hlt; jmp $-1`: the BIOS goes on to the next boot device. */
export const unfinishedBootCode = Buffer.from([0xcd, 0x18, 0xf4, 0xeb, 0xfd]);

/** core.img as it must stand on the disk from sector `start` on (512-byte sectors). */
export function placeCore(core: Uint8Array, start: bigint): Buffer {
  const sectors = Math.ceil(core.length / sector);
  if (sectors < 2 || sectors > 0xffff)
    throw new CroftError('invalid-input', `core.img has ${core.length} bytes: that is no GRUB core image.`);
  const placed = Buffer.alloc(sectors * sector);
  placed.set(core);
  placed.writeBigUInt64LE(start + 1n, blockListAt);
  placed.writeUInt16LE(sectors - 1, blockListAt + 8);
  placed.writeUInt16LE(segmentAfterFirstSector, blockListAt + 10);
  return placed;
}

/** The disk's first sector with boot.img's code in it; disk signature and partition table stay. */
export function placeBootCode(mbr: Uint8Array, bootImage: Uint8Array, coreStart: bigint): Buffer {
  if (mbr.length !== sector || bootImage.length !== sector) throw new CroftError('invalid-input', 'A boot sector has 512 bytes.');
  const code = Buffer.from(bootImage);
  code.writeBigUInt64LE(coreStart, kernelSectorAt);
  code.writeUInt8(0xff, bootDriveAt);
  // Two NOPs instead of a jump: BIOSes that hand over a wrong drive number are corrected.
  code.writeUInt16LE(0x9090, driveCheckAt);
  const placed = Buffer.from(mbr);
  code.copy(placed, 0, 0, bootCodeSize);
  return placed;
}

/** The first sector with the code that sends a BIOS to its next boot device. */
export function placeUnfinishedCode(mbr: Uint8Array): Buffer {
  const placed = Buffer.from(mbr);
  placed.fill(0, 0, bootCodeSize);
  unfinishedBootCode.copy(placed);
  placed.writeUInt16LE(0xaa55, 510);
  return placed;
}

/** True when an installation was begun on the disk and not finished. */
export const isUnfinished = (mbr: Uint8Array): boolean => {
  const code = Buffer.from(mbr.subarray(0, bootCodeSize));
  const empty = code.subarray(unfinishedBootCode.length).every((byte) => byte === 0);
  return empty && code.subarray(0, unfinishedBootCode.length).equals(unfinishedBootCode);
};

/** Reads the first sector of a disk. */
export async function readBootSector(disk: string): Promise<Buffer> {
  const handle = await open(disk, 'r');
  try {
    const mbr = Buffer.alloc(sector);
    await handle.read(mbr, 0, sector, 0);
    return mbr;
  } finally {
    await handle.close();
  }
}

/** Replaces the first sector by what `change` makes of it; on the disk when it returns. */
export async function changeBootSector(disk: string, change: (mbr: Buffer) => Buffer): Promise<void> {
  const changed = change(await readBootSector(disk));
  const handle = await open(disk, 'r+');
  try {
    await handle.write(changed, 0, sector, 0);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Writes `bytes` at the start of a partition that is large enough; on the disk when it returns. */
export async function writePartitionStart(partition: string, bytes: Uint8Array): Promise<void> {
  const handle = await open(partition, 'r+');
  try {
    await handle.write(bytes, 0, bytes.length, 0);
    await handle.sync();
  } finally {
    await handle.close();
  }
}
