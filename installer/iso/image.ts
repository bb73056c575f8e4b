/** The files of a release, its slot image and its hybrid ISO: byte for byte the same from the same inputs. */
import { copyFile, link, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { slotArguments } from '../apply.ts';
import { grubFolder, mediumConfig, mediumLabel, mediumStub } from '../grub-config.ts';
import { type Release, releaseFiles } from '../release.ts';
import { runIn } from './debian.ts';

const hour = 60 * 60_000;

/** Room for answers and boot settings that `croft iso customize` overwrites in place. */
export const reserved = { 'croft/answers.yaml': 64 * 1024, 'croft/boot.cfg': 4 * 1024 } as const;

const espType = 'C12A7328-F81F-11D2-BA4B-00A0C93EC93B';
const diskGuid = '43524f46542d49534f2d303030303031';

export type ImageInputs = { tools: string; release: Release; compression: number };

/** Makes `live/filesystem.squashfs` in `directory` from `root/` there. */
export async function makeSquashfs(directory: string, { tools, release, compression }: ImageInputs): Promise<void> {
  const level = ['-comp', 'zstd', '-Xcompression-level', String(compression), '-b', '256K'];
  await runIn(
    tools,
    directory,
    ['mksquashfs', 'root', 'live/filesystem.squashfs', ...level, '-noappend', '-no-progress', '-quiet'],
    {
      epoch: release.epoch,
      timeout: hour,
    },
  );
}

/** From `vmlinuz`, `initrd.img` and `live/filesystem.squashfs` in `directory`: the tree of the medium. */
export async function makeTree(directory: string, { tools, release }: ImageInputs): Promise<void> {
  await rename(join(directory, 'vmlinuz'), join(directory, 'live/vmlinuz'));
  await rename(join(directory, 'initrd.img'), join(directory, 'live/initrd.img'));
  await mkdir(join(directory, 'croft'), { recursive: true });
  await writeFile(join(directory, 'croft/release'), `${JSON.stringify(release)}\n`);
  const { stdout } = await runIn(tools, directory, ['sha256sum', ...releaseFiles, 'croft/release'], { epoch: release.epoch });
  await writeFile(join(directory, 'croft/sha256'), `${stdout}\n`);
}

/** slot.img from the tree in `directory`: what both slots of a disk hold. */
export async function makeSlot(directory: string, { tools, release }: ImageInputs): Promise<void> {
  await setTimes(directory, tools, release.epoch, ['live', 'croft']);
  await runIn(tools, directory, ['xorriso', ...reproducible(slotArguments('.', 'slot.img'), release)], { epoch: release.epoch });
}

/** croft.iso from the tree in `directory` and the boot loaders of a medium. */
export async function makeIso(directory: string, media: string, { tools, release }: ImageInputs): Promise<void> {
  const tree = join(directory, 'tree');
  await mkdir(join(tree, 'boot/grub'), { recursive: true });
  for (const part of ['live', 'croft']) await rename(join(directory, part), join(tree, part));
  for (const [name, size] of Object.entries(reserved)) {
    await writeFile(join(tree, name), name.endsWith('.cfg') ? '\n'.repeat(size) : Buffer.alloc(size));
  }
  await writeFile(join(tree, 'boot/grub/grub.cfg'), mediumConfig);
  await mkdir(join(tree, grubFolder), { recursive: true });
  await writeFile(join(tree, grubFolder, 'grub.cfg'), mediumStub);
  await copyFile(join(media, 'eltorito.img'), join(tree, 'boot/grub/eltorito.img'));
  for (const name of ['boot_hybrid.img', 'efi.img']) await copyFile(join(media, name), join(directory, name));
  await setTimes(directory, tools, release.epoch, ['tree', 'efi.img']);
  const argv = [
    ...['-as', 'mkisofs', '-quiet', '-R', '-J', '-joliet-long', '-V', mediumLabel],
    ...['-b', 'boot/grub/eltorito.img', '-no-emul-boot', '-boot-load-size', '4', '-boot-info-table', '--grub2-boot-info'],
    ...['--grub2-mbr', 'boot_hybrid.img', '-partition_offset', '16', '-append_partition', '2', espType, 'efi.img'],
    ...['-appended_part_as_gpt', '--gpt_disk_guid', diskGuid, '-c', 'boot/boot.cat', '-eltorito-alt-boot'],
    ...['-e', '--interval:appended_partition_2:all::', '-no-emul-boot', '-o', 'croft.iso', 'tree'],
  ];
  await runIn(tools, directory, ['xorriso', ...reproducible(argv, release)], { epoch: release.epoch });
  for (const name of ['boot_hybrid.img', 'efi.img']) await rm(join(directory, name));
}

/** Fixed dates in the volume descriptor and of all files. */
function reproducible(argv: readonly string[], release: Release): string[] {
  const date = new Date(release.epoch * 1000).toISOString().replace(/[-:T]/g, '').slice(0, 14);
  const [as, mkisofs, ...rest] = argv as [string, string, ...string[]];
  return [as, mkisofs, `--modification-date=${date}00`, '--set_all_file_dates', 'set_to_mtime', ...rest];
}

async function setTimes(directory: string, tools: string, epoch: number, paths: readonly string[]): Promise<void> {
  const touch = ['-exec', 'touch', '--no-dereference', `--date=@${epoch}`, '{}', '+'];
  await runIn(tools, directory, ['find', ...paths, ...touch], { epoch });
}

/** Hard-links a file where possible: a layer's big files are not copied. */
export async function share(from: string, to: string): Promise<void> {
  await link(from, to).catch(() => copyFile(from, to)); // Another file system: then a copy.
}
