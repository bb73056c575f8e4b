/**
 * A bootable GPT disk as one plain file, without loop devices or mounts: BIOS-boot partition with GRUB's core
 * image, ESP with GRUB for UEFI, kernel, initramfs and configuration, and the ext4 root.
 */
import { copyFile, mkdir, readdir, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gptTypes, installBiosBoot, sector, writeInto } from '../disk-parts.ts';
import type { Run } from './kernel.ts';

const mib = 1024 * 1024;

/** Fixed layout; sizes and starts in bytes. The root file system is sparse. */
export const layout = {
  biosBoot: { start: mib, size: mib },
  esp: { start: 2 * mib, size: 46 * mib },
  root: { start: 48 * mib, size: 208 * mib },
  size: 257 * mib,
};

/** Fixed identities: two builds from the same packages are to be the same bytes. */
const diskId = '74696e79-0000-4000-8000-000000000000';
const partitionId = (n: number): string => `74696e79-0000-4000-8000-00000000000${n}`;
const rootHashSeed = '74696e79-0000-4000-8000-0000000000ff';
const fatSerial = '74696e79';

/** Seconds since 1970 that stand for every time in the image. */
export const buildEpoch = 1_700_000_000;

const grubModules = ['part_gpt', 'fat', 'normal', 'configfile', 'linux', 'echo', 'serial', 'terminal', 'halt'];
const grubConfig = `serial --unit=0 --speed=115200
terminal_output console
set timeout=0
menuentry tiny {
  linux /vmlinuz root=LABEL=root rw console=tty0 console=ttyS0,115200 loglevel=4 net.ifnames=0 no_timer_check
  initrd /initrd
}
`;

export type BootDisk = { disk: string; kernel: string; initramfs: string; rootTree: string; workDir: string };

/** Writes the whole disk to `parts.disk` (raw, sparse). `run` runs the tools; each has a deadline. */
export async function makeBootDisk(parts: BootDisk, run: Run, signal?: AbortSignal): Promise<void> {
  await writeFile(parts.disk, '');
  await truncate(parts.disk, layout.size);
  await run(['sfdisk', '--quiet', '--no-reread', '--no-tell-kernel', parts.disk], { input: partitionTable(), signal });
  await makeEsp(parts, run, signal);
  await makeRoot(parts, run, signal);
  await installBiosBoot(
    { disk: parts.disk, workDir: parts.workDir, partition: layout.biosBoot, prefix: '(,gpt2)/grub', modules: grubModules },
    run,
    signal,
  );
}

function partitionTable(): string {
  const line = (part: { start: number; size: number }, type: string, n: number, name: string): string =>
    `start=${part.start / sector}, size=${part.size / sector}, type=${type}, uuid=${partitionId(n)}, name=${name}`;
  return [
    'label: gpt',
    `label-id: ${diskId}`,
    line(layout.biosBoot, gptTypes.biosBoot, 1, 'bios-boot'),
    line(layout.esp, gptTypes.esp, 2, 'esp'),
    line(layout.root, gptTypes.linux, 3, 'root'),
    '',
  ].join('\n');
}

async function makeEsp(parts: BootDisk, run: Run, signal?: AbortSignal): Promise<void> {
  const tree = join(parts.workDir, 'esp');
  await mkdir(join(tree, 'EFI/BOOT'), { recursive: true });
  await mkdir(join(tree, 'grub'), { recursive: true });
  await copyFile(parts.kernel, join(tree, 'vmlinuz'));
  await copyFile(parts.initramfs, join(tree, 'initrd'));
  await writeFile(join(tree, 'grub/grub.cfg'), grubConfig);
  const efi = join(tree, 'EFI/BOOT/BOOTX64.EFI');
  await run(['grub-mkimage', '-O', 'x86_64-efi', '-p', '/grub', '-o', efi, ...grubModules, 'efi_gop'], { signal });

  // mtools reaches into the disk at a byte offset (image@@offset): no second file, no copy.
  const image = join(parts.workDir, 'esp.img');
  await writeFile(image, '');
  await truncate(image, layout.esp.size);
  const env = { SOURCE_DATE_EPOCH: String(buildEpoch), TZ: 'UTC', MTOOLS_SKIP_CHECK: '1' };
  await run(['mkfs.vfat', '-F', '32', '-n', 'ESP', '-i', fatSerial, '--invariant', image], { env, signal });
  await run(['find', tree, '-exec', 'touch', '-h', '-d', `@${buildEpoch}`, '{}', '+'], { signal });
  for (const entry of ['vmlinuz', 'initrd', 'grub', 'EFI']) {
    await run(['mcopy', '-s', '-m', '-i', image, join(tree, entry), '::/'], { env, signal });
  }
  await writeInto(parts.disk, image, layout.esp.start);
}

async function makeRoot(parts: BootDisk, run: Run, signal?: AbortSignal): Promise<void> {
  await run(['find', parts.rootTree, '-exec', 'touch', '-h', '-d', `@${buildEpoch}`, '{}', '+'], { signal });
  const options = `offset=${layout.root.start},root_owner=0:0,hash_seed=${rootHashSeed},lazy_itable_init=1,no_copy_xattrs`;
  await run(
    [
      'mke2fs',
      '-q',
      '-F',
      '-t',
      'ext4',
      '-L',
      'root',
      '-U',
      partitionId(3),
      '-m',
      '0',
      '-J',
      'size=4',
      '-E',
      options,
      '-d',
      parts.rootTree,
      parts.disk,
      `${layout.root.size / 1024}k`,
    ], // prettier-ignore
    { env: { E2FSPROGS_FAKE_TIME: String(buildEpoch) }, timeout: 60_000, signal },
  );
  await fixChangeTimes(parts, run, signal);
}

/** mke2fs copies the tree's change times, which no program can set on the tree itself: they are set in the image. */
async function fixChangeTimes({ rootTree, disk, workDir }: BootDisk, run: Run, signal?: AbortSignal): Promise<void> {
  const paths = ['', ...(await readdir(rootTree, { recursive: true }))].map((path) => `"/${path}"`);
  const script = join(workDir, 'debugfs.cmd');
  const fields = ['ctime', 'atime', 'mtime']
    .map((field) => [field, `@${buildEpoch}`])
    .concat([
      ['ctime_extra', '0'],
      ['atime_extra', '0'],
      ['mtime_extra', '0'],
    ]);
  const lines = paths.flatMap((path) => fields.map(([field, value]) => `set_inode_field ${path} ${field} ${value}`));
  await writeFile(script, `${lines.join('\n')}\n`);
  const env = { E2FSPROGS_FAKE_TIME: String(buildEpoch) };
  await run(['debugfs', '-w', '-f', script, `${disk}?offset=${layout.root.start}`], { env, timeout: 60_000, signal });
}
