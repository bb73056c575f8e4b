/** What the tests do to a disk image from outside, while no machine runs from it. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { run } from '../../appliance/host/exec.ts';
import { changeBootSector, placeUnfinishedCode } from '../../installer/boot-loader.ts';
import { readEnvironment, writeEnvironment } from '../../installer/environment-block.ts';
import { partitionNumber } from '../../installer/grub-config.ts';
import { type BootState, fromEnvironment, toEnvironment } from '../../installer/slots.ts';

const mebibyte = 1024 * 1024;

export async function makeDisk(path: string, bytes: number): Promise<void> {
  const handle = await open(path, 'w');
  try {
    await handle.truncate(bytes);
  } finally {
    await handle.close();
  }
}

/** Copies without filling the holes. */
export const copyDisk = async (from: string, to: string): Promise<void> =>
  void (await run(['cp', '--sparse=always', from, to], { timeout: 5 * 60_000 }));

export async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** Where a partition starts in the image, in bytes. */
export async function partitionOffset(disk: string, name: keyof typeof partitionNumber): Promise<number> {
  const { stdout } = await run(['sfdisk', '--json', disk]);
  const { partitiontable } = JSON.parse(stdout) as { partitiontable: { partitions: { start: number }[]; sectorsize: number } };
  const found = partitiontable.partitions[partitionNumber[name] - 1];
  if (!found) throw new Error(`${disk} has no partition ${name}`);
  return found.start * partitiontable.sectorsize;
}

export const readBootState = async (disk: string): Promise<BootState> =>
  fromEnvironment(await readEnvironment(disk, await partitionOffset(disk, 'env')));

export const writeBootState = async (disk: string, state: BootState): Promise<void> =>
  writeEnvironment(disk, toEnvironment(state), await partitionOffset(disk, 'env'));

async function writeAt(disk: string, bytes: Uint8Array, offset: number): Promise<void> {
  const handle = await open(disk, 'r+');
  try {
    await handle.write(bytes, 0, bytes.length, offset);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

export const writeSlotB = async (disk: string, slotImage: string): Promise<void> =>
  writeAt(disk, await readFile(slotImage), await partitionOffset(disk, 'B'));

export const zeroSlotB = async (disk: string): Promise<void> =>
  writeAt(disk, Buffer.alloc(8 * mebibyte), await partitionOffset(disk, 'B'));

/** As a power cut leaves the disk just before it becomes bootable: no boot code, no loader on the EFI partition. */
export async function unfinish(disk: string): Promise<void> {
  await changeBootSector(disk, placeUnfinishedCode);
  await run(['mdel', '-i', `${disk}@@${await partitionOffset(disk, 'esp')}`, '::/EFI/BOOT/BOOTX64.EFI']);
}

/** Makes slot B's initial RAM disk unusable, so that its kernel panics. */
export async function breakSlotB(disk: string, slotImage: string): Promise<void> {
  const { stdout } = await run(['xorriso', '-indev', slotImage, '-find', '/live/initrd.img', '-exec', 'report_lba']);
  const lba = /^File data lba:\s*\d+\s*,\s*(\d+)/m.exec(stdout)?.[1];
  if (lba === undefined) throw new Error(`${slotImage} has no initrd.img`);
  await writeAt(disk, Buffer.alloc(2 * mebibyte, 'bad'), (await partitionOffset(disk, 'B')) + Number(lba) * 2048);
}

/** Changes one byte of a file. */
export async function damage(path: string, at: number): Promise<void> {
  const handle = await open(path, 'r+');
  try {
    const byte = Buffer.alloc(1);
    await handle.read(byte, 0, 1, at);
    await handle.write(Buffer.from([(byte[0] as number) ^ 1]), 0, 1, at);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Whether anything stands in the first MiB of a slot. */
export async function slotBegins(disk: string, slot: 'A' | 'B'): Promise<'empty' | 'written'> {
  const handle = await open(disk, 'r');
  try {
    const bytes = Buffer.alloc(mebibyte);
    await handle.read(bytes, 0, mebibyte, await partitionOffset(disk, slot));
    return bytes.every((byte) => byte === 0) ? 'empty' : 'written';
  } finally {
    await handle.close();
  }
}
