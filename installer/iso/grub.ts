/**
 * The boot loaders of an image. For BIOS, core images made here. For UEFI, Debian's signed GRUB behind Microsoft's
 * signed shim, with or without Secure Boot: under it, an own GRUB image would never run.
 */
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { grubFolder, mediumStub, partitionNumber } from '../grub-config.ts';
import { runIn } from './debian.ts';

const modules = [
  'biosdisk',
  'part_gpt',
  'part_msdos',
  'fat',
  'iso9660',
  'search',
  'search_fs_file',
  'search_label',
  'test',
  'regexp',
  'echo',
  'sleep',
  'serial',
  'terminal',
  'normal',
  'configfile',
  'linux',
  'loadenv',
  'reboot',
  'halt',
  'ls',
  'cat',
  'minicmd',
  'all_video',
];

/** Anything that changes what this file makes. */
export const grubInputs = { modules, grubFolder, partitionNumber, mediumStub };

/**
 * Fills `directory`: `loaders/` (what an installation puts on a disk) and `medium/` (what an ISO starts with:
 * eltorito.img, boot_hybrid.img and the EFI image).
 */
export async function makeBootLoaders(directory: string, tools: string, epoch: number): Promise<void> {
  const loaders = join(directory, 'loaders');
  const medium = join(directory, 'medium');
  await mkdir(loaders, { recursive: true });
  await mkdir(medium, { recursive: true });
  const inTools = (path: string): string => join(tools, 'usr/lib', path);
  await copyFile(inTools('grub/i386-pc/boot.img'), join(loaders, 'boot.img'));
  await copyFile(inTools('shim/shimx64.efi.signed'), join(loaders, 'shimx64.efi'));
  await copyFile(inTools('grub/x86_64-efi-signed/grubx64.efi.signed'), join(loaders, 'grubx64.efi'));
  await copyFile(inTools('grub/i386-pc/boot_hybrid.img'), join(medium, 'boot_hybrid.img'));
  const chroot = (...argv: [string, ...string[]]) => runIn(tools, directory, argv, { epoch });
  // Without a disk in the prefix GRUB takes the one it was started from.
  const prefix = `(,gpt${partitionNumber.esp})/${grubFolder}`;
  await chroot('grub-mkimage', '-O', 'i386-pc', '-p', prefix, '-o', 'loaders/core.img', ...modules);
  await writeFile(join(directory, 'early.cfg'), mediumStub);
  await chroot(
    ...(['grub-mkimage', '-O', 'i386-pc-eltorito', '-p', '/boot/grub', '-c', 'early.cfg', '-o', 'medium/eltorito.img'] as const),
    ...modules,
  );
  await makeEfiImage(directory, chroot);
}

type Chroot = (...argv: [string, ...string[]]) => Promise<unknown>;

async function makeEfiImage(directory: string, chroot: Chroot): Promise<void> {
  const tree = join(directory, 'efi');
  await mkdir(join(tree, 'EFI/BOOT'), { recursive: true });
  await mkdir(join(tree, grubFolder), { recursive: true });
  await copyFile(join(directory, 'loaders/shimx64.efi'), join(tree, 'EFI/BOOT/BOOTX64.EFI'));
  await copyFile(join(directory, 'loaders/grubx64.efi'), join(tree, 'EFI/BOOT/grubx64.efi'));
  await writeFile(join(tree, grubFolder, 'grub.cfg'), mediumStub);
  const image = 'medium/efi.img';
  // 8 MiB, and a fixed serial number instead of the time.
  await chroot('mkfs.vfat', '--invariant', '-i', '43524f46', '-n', 'CROFTEFI', '-C', image, '8192');
  // mtools takes a file's date from the file; its own directories get SOURCE_DATE_EPOCH.
  await chroot('find', 'efi', '-exec', 'touch', '--no-dereference', '--date=@1760000000', '{}', '+');
  await chroot('mcopy', '-s', '-m', '-i', image, 'efi/EFI', '::/');
}
