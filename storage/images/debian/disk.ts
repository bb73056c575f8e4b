/** A root tree → a GPT disk that boots under BIOS, UEFI and Secure Boot, as one sparse file. */
import { copyFile, mkdir, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gptTypes, installBiosBoot, sector, writeInto } from '../disk-parts.ts';
import type { Run } from '../tiny/kernel.ts';

const mib = 1024 * 1024;

/** Bytes. The root is the last partition: it grows with the disk. */
export const layout = {
  biosBoot: { start: mib, size: 2 * mib },
  esp: { start: 3 * mib, size: 61 * mib },
  root: { start: 64 * mib, size: 3 * 1024 * mib - 65 * mib },
  size: 3 * 1024 * mib,
};

const grubModules = 'part_gpt ext2 normal configfile linux search search_label serial terminal echo test gzio reboot halt'.split(
  ' ',
);

/** Debian's signed GRUB looks for this file in EFI/debian of the partition it was started from. */
const efiConfig = 'search --no-floppy --label root --set root\nset prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n';

export type DebianDisk = { tree: string; disk: string; workDir: string };

export async function makeDebianDisk(parts: DebianDisk, run: Run, signal?: AbortSignal): Promise<void> {
  const options = signal ? { signal } : {};
  await writeFile(parts.disk, '');
  await truncate(parts.disk, layout.size);
  await run(['sfdisk', '--quiet', '--no-reread', '--no-tell-kernel', parts.disk], { input: partitionTable(), ...options });
  await makeEsp(parts, run, options);
  const features = '^metadata_csum_seed,^orphan_file';
  // GRUB of Debian 12 does not read file systems with those two.
  const mke2fs = [
    'mke2fs',
    '-q',
    '-F',
    '-t',
    'ext4',
    '-L',
    'root',
    '-O',
    features,
    '-E',
    `offset=${layout.root.start},lazy_itable_init=1`,
  ] as const;
  await run([...mke2fs, '-d', parts.tree, parts.disk, `${layout.root.size / 1024}k`], { timeout: 10 * 60_000, ...options });
  const { disk, workDir } = parts;
  await installBiosBoot(
    { disk, workDir, partition: layout.biosBoot, prefix: '(,gpt3)/boot/grub', modules: grubModules },
    run,
    signal,
  );
}

function partitionTable(): string {
  const line = (part: { start: number; size: number }, type: string, name: string): string =>
    `start=${part.start / sector}, size=${part.size / sector}, type=${type}, name=${name}`;
  const { biosBoot, esp, root } = layout;
  const lines = [
    line(biosBoot, gptTypes.biosBoot, 'bios-boot'),
    line(esp, gptTypes.esp, 'esp'),
    line(root, gptTypes.linux, 'root'),
  ];
  return ['label: gpt', ...lines, ''].join('\n');
}

async function makeEsp({ tree, disk, workDir }: DebianDisk, run: Run, options: { signal?: AbortSignal }): Promise<void> {
  const folder = join(workDir, 'esp');
  await mkdir(join(folder, 'EFI/BOOT'), { recursive: true });
  await mkdir(join(folder, 'EFI/debian'), { recursive: true });
  await copyFile(join(tree, 'usr/lib/shim/shimx64.efi.signed'), join(folder, 'EFI/BOOT/BOOTX64.EFI'));
  await copyFile(join(tree, 'usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed'), join(folder, 'EFI/BOOT/grubx64.efi'));
  await writeFile(join(folder, 'EFI/debian/grub.cfg'), efiConfig);
  const image = join(workDir, 'esp.img');
  await writeFile(image, '');
  await truncate(image, layout.esp.size);
  await run(['mkfs.vfat', '-n', 'ESP', image], options);
  await run(['mcopy', '-s', '-i', image, join(folder, 'EFI'), '::/'], { env: { MTOOLS_SKIP_CHECK: '1' }, ...options });
  await writeInto(disk, image, layout.esp.start);
}
