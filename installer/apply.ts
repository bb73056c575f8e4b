/** Carries out the steps of an installation (plan.ts), each one on the disk before the next begins. */
import { copyFile, mkdir, open, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { run } from '../appliance/host/exec.ts';
import { changeBootSector, placeBootCode, placeCore, placeUnfinishedCode, writePartitionStart } from './boot-loader.ts';
import { encodeEnvironment } from './environment-block.ts';
import { type Step, stepTitle } from './plan.ts';
import { releaseFiles, verifyRelease } from './release.ts';

const minutes = (count: number): number => count * 60_000;

export type ApplyOptions = {
  print: (line: string) => void;
  /** Called once the disk starts by itself. */
  beforeEnd?: () => Promise<void>;
};

/** @throws CroftError of the step that failed; the steps before it stand, those after it were not begun */
export async function applySteps(steps: readonly Step[], { print, beforeEnd }: ApplyOptions): Promise<void> {
  for (const [index, step] of steps.entries()) {
    print(`[${index + 1}/${steps.length}] ${stepTitle[step.kind]}`);
    if (step.kind === 'end') await beforeEnd?.();
    await applyStep(step);
  }
}

async function applyStep(step: Step): Promise<void> {
  switch (step.kind) {
    case 'make-environment':
      return makeEnvironment(step.image, step.variables);
    case 'write-files':
      return writeTree(step.directory, step.files);
    case 'copy-file':
      await mkdir(dirname(step.to), { recursive: true });
      return copyFile(step.from, step.to);
    case 'write-unfinished-mark':
      return changeBootSector(step.disk, placeUnfinishedCode);
    case 'partition':
      return partition(step.disk, step.definitions);
    case 'write-slot':
      return writeSlot(step.partition, step.medium);
    case 'verify-slot':
      return verifySlot(step.partition);
    case 'fill-state':
      return mounted(step.partition, 'ext4', 'rw', (root) => writeTree(root, step.files, 0o600));
    case 'embed-core':
      return writePartitionStart(step.partition, placeCore(await readFile(step.core), await startOf(step.partition)));
    case 'finish-esp':
      await run(['mcopy', '-o', '-i', step.partition, step.loader, '::/EFI/BOOT/BOOTX64.EFI'], { timeout: minutes(2) });
      return flush(step.partition);
    case 'finish-bios': {
      const [bootImage, start] = [await readFile(step.bootImage), await startOf(step.partition)];
      return changeBootSector(step.disk, (mbr) => placeBootCode(mbr, bootImage, start));
    }
    case 'end':
      await run(['systemctl', '--no-block', step.how === 'reboot' ? 'reboot' : 'poweroff']);
  }
}

/** A 1 MiB FAT12 file system with GRUB's block as its only file. */
async function makeEnvironment(image: string, variables: Record<string, string>): Promise<void> {
  await mkdir(dirname(image), { recursive: true });
  await rm(image, { force: true });
  const block = `${image}.block`;
  await writeFile(block, encodeEnvironment(variables));
  await run(['mkfs.vfat', '-F', '12', '-n', 'CROFTENV', '-C', image, '1024']);
  await run(['mcopy', '-i', image, block, '::/grubenv']);
}

async function writeTree(directory: string, files: Record<string, string>, mode = 0o644): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    const path = join(directory, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text, { mode });
  }
}

async function partition(disk: string, definitions: string): Promise<void> {
  await run(['systemd-repart', '--empty=force', '--dry-run=no', `--definitions=${definitions}`, disk], { timeout: minutes(5) });
  // The partitioner writes a first sector of its own, without code: a BIOS would hang in it.
  await changeBootSector(disk, placeUnfinishedCode);
  await run(['udevadm', 'settle', '--timeout=60'], { timeout: minutes(2) });
}

/** xorriso's arguments that make a slot's file system from a mounted release. */
export const slotArguments = (medium: string, target: string): string[] => [
  '-as',
  'mkisofs',
  '-quiet',
  '-R',
  '-V',
  'CROFT_SLOT',
  '-o',
  target,
  '-graft-points',
  ...releaseFiles.map((file) => `/${file}=${join(medium, file)}`),
  ...['croft/release', 'croft/sha256'].map((file) => `/${file}=${join(medium, file)}`),
];

async function writeSlot(target: string, medium: string): Promise<void> {
  await run(['xorriso', ...slotArguments(medium, `stdio:${target}`)], { timeout: minutes(30) });
  await flush(target);
}

async function verifySlot(target: string): Promise<void> {
  // Otherwise the pages just written would be read, not the disk.
  await run(['blockdev', '--flushbufs', target]);
  await writeFile('/proc/sys/vm/drop_caches', '3');
  await mounted(target, 'iso9660', 'ro', verifyRelease);
}

async function mounted(device: string, type: string, mode: 'ro' | 'rw', work: (root: string) => Promise<void>): Promise<void> {
  const root = join('/run/croft/mnt', basename(device));
  await mkdir(root, { recursive: true });
  await run(['mount', '-t', type, '-o', mode, device, root]);
  try {
    await work(root);
  } finally {
    // The unmount also waits until all of it is written.
    await run(['umount', root], { timeout: minutes(5) });
  }
}

async function flush(device: string): Promise<void> {
  const handle = await open(device, 'r+');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** First sector of a partition, in 512-byte sectors: sysfs counts so whatever the disk's own sector size. */
async function startOf(device: string): Promise<bigint> {
  return BigInt((await readFile(`/sys/class/block/${basename(device)}/start`, 'utf8')).trim());
}
