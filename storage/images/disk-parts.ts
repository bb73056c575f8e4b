/** Parts of bootable disks written as plain files: no loop devices, no mounts. */
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { run as runCommand } from '../../appliance/host/exec.ts';

type Run = typeof runCommand;

export const sector = 512;
const mib = 1024 * 1024;

export const gptTypes = {
  biosBoot: '21686148-6449-6E6F-744E-656564454649',
  esp: 'C12A7328-F81F-11D2-BA4B-00A0C93EC93B',
  linux: '0FC63DAF-8483-4772-8E79-3D69D8477DE4',
};

export type BiosBoot = {
  disk: string;
  workDir: string;
  /** Bytes. */
  partition: { start: number; size: number };
  /** Where GRUB looks for its configuration: `(,gpt2)/grub`. */
  prefix: string;
  modules: readonly string[];
};

/**
 * What grub-bios-setup does, by hand, because that wants block devices: the core image goes to the start of the
 * BIOS-boot partition, and the two places that say where it lies are filled in (grub-core/boot/i386/pc/boot.S:
 * kernel_sector at 0x5c; diskboot.S: the first block list entry at 500, whose length grub-mkimage has set).
 */
export async function installBiosBoot(boot: BiosBoot, run: Run, signal?: AbortSignal): Promise<void> {
  const { partition } = boot;
  const coreFile = join(boot.workDir, 'core.img');
  await run(['grub-mkimage', '-O', 'i386-pc', '-p', boot.prefix, '-o', coreFile, 'biosdisk', ...boot.modules], { signal });
  const core = await readFile(coreFile);
  const firstSector = partition.start / sector;
  if (core.length > partition.size) throw new Error(`GRUB's core image of ${core.length} bytes exceeds ${partition.size}`);
  core.writeBigUInt64LE(BigInt(firstSector + 1), 500);
  const image = await readFile('/usr/lib/grub/i386-pc/boot.img');
  image.writeBigUInt64LE(BigInt(firstSector), 0x5c);
  const disk = await open(boot.disk, 'r+');
  try {
    // Only the code area: the bytes from 440 on are the disk signature and the protective partition table.
    await disk.write(image, 0, 440, 0);
    await disk.write(core, 0, core.length, partition.start);
  } finally {
    await disk.close();
  }
}

/** Copies a file into the disk at an offset, leaving holes where it is zero. */
export async function writeInto(disk: string, file: string, offset: number): Promise<void> {
  const source = await open(file, 'r');
  const target = await open(disk, 'r+');
  try {
    const chunk = Buffer.alloc(mib);
    for (let position = 0; ; ) {
      const { bytesRead } = await source.read(chunk, 0, chunk.length, position);
      if (bytesRead === 0) return;
      const bytes = chunk.subarray(0, bytesRead);
      if (bytes.some((byte) => byte !== 0)) await target.write(bytes, 0, bytesRead, offset + position);
      position += bytesRead;
    }
  } finally {
    await source.close();
    await target.close();
  }
}
