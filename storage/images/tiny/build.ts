/**
 * `tiny`: the smallest guest that proves a box works: it boots from disk (BIOS and UEFI), takes its addresses
 * by DHCP and takes new ones when moved to another network, signs people in on the serial console, serves HTTP,
 * reads a cloud-init seed and obeys the power button.
 *
 * Theory of operation. Everything comes from Debian packages: the cloud kernel (unpacked, not installed), busybox,
 * GRUB. The root is a directory tree written straight into an ext4 partition (`mke2fs -d`); no loop device, no mount,
 * so it can be built in a container and by anybody. The root's own files stand under `root/`, readable as they are.
 * Same packages, same bytes: times and identifiers in the image are fixed.
 *
 * What tests may rely on, on the serial console: `croft-tiny: up hostname=NAME` once, `croft-tiny: eth0 address A/M`
 * for each new address, then `NAME login:`. Over HTTP, port 80: `/hostname`, `/blob` (1 MiB; SHA-256 in
 * `/blob.sha256`), and `POST /cgi-bin/sha256`, which answers the SHA-256 of what it was sent.
 */
import { createHash } from 'node:crypto';
import { chmod, copyFile, cp, mkdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { CroftError } from '../../../appliance/errors.ts';
import { makeBootDisk } from './boot-disk.ts';
import { cpio, type CpioEntry } from './cpio.ts';
import { bootDrivers, collectModules, fetchKernel, systemDrivers, type Kernel, type Module, type Run } from './kernel.ts';

/** Debian packages the build needs, each with its reason. linux-image-cloud-amd64 is downloaded, never installed. */
export const tinyPackages: Readonly<Record<string, string>> = {
  'busybox-static': 'all programs of the guest',
  'grub-pc-bin': 'GRUB for BIOS: boot.img and modules',
  'grub-efi-amd64-bin': 'GRUB for UEFI: modules',
  'grub-common': 'grub-mkimage',
  fdisk: 'sfdisk writes the partition table',
  mtools: 'mcopy fills the EFI partition without mounting it',
  dosfstools: 'mkfs.vfat makes the EFI partition',
  e2fsprogs: 'mke2fs -d makes the root from a directory',
  'xz-utils': 'unpacks the modules of newer kernels',
  'qemu-utils': 'qemu-img writes the qcow2',
};

export type TinyOptions = {
  /** Scratch space; made, and removed at the end. */
  workDir: string;
  /** Keeps the unpacked kernel between builds. */
  cacheDir: string;
  /** The qcow2 to write; replaced in one rename. */
  output: string;
  run: Run;
  /** `fraction` 0 to 1 and the present step in words. */
  progress?: (fraction: number, step: string) => void;
  signal?: AbortSignal;
};

/** The appliance brings the image built: it has neither compiler nor, perhaps, a network. */
const shipped = join(import.meta.dirname, 'tiny.qcow2');
const isShipped = (): Promise<boolean> =>
  stat(shipped).then(
    () => true,
    () => false,
  );

/**
 * Builds the image, or copies the one that came with Croft.
 * @returns the file and its size in bytes.
 * @throws CroftError `missing-component`, `download-failed`, `command-failed`
 */
export async function buildTiny(options: TinyOptions): Promise<{ file: string; size: number }> {
  const { workDir, cacheDir, output, run, signal } = options;
  if (await isShipped()) {
    await mkdir(join(output, '..'), { recursive: true });
    await copyFile(shipped, output);
    options.progress?.(1, 'copied');
    return { file: output, size: (await stat(output)).size };
  }
  const step = (fraction: number, words: string): void => {
    signal?.throwIfAborted();
    options.progress?.(fraction, words);
  };
  await rm(workDir, { recursive: true, force: true });
  await mkdir(workDir, { recursive: true });
  try {
    step(0, 'fetching the kernel');
    const kernel = await fetchKernel(cacheDir, run, signal);
    step(0.4, 'assembling the guest');
    const initramfs = join(workDir, 'initrd');
    await writeFile(initramfs, await makeInitramfs(await collectModules(kernel, bootDrivers, run)));
    const rootTree = join(workDir, 'root');
    await makeRootTree(rootTree, await systemModules(kernel, run), run);
    step(0.6, 'writing the disk');
    const disk = join(workDir, 'tiny.raw');
    await makeBootDisk({ disk, kernel: kernel.image, initramfs, rootTree, workDir }, run, signal);
    step(0.8, 'packing the image');
    const packed = join(workDir, 'tiny.qcow2');
    await run(['qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', '-c', disk, packed], { timeout: 120_000, signal });
    await moveFile(packed, output);
    step(1, 'built');
    return { file: output, size: (await stat(output)).size };
  } finally {
    await rm(workDir, { recursive: true, force: true });
  }
}

/** Drivers of the root file system, without those the initramfs has loaded already. */
async function systemModules(kernel: Kernel, run: Run): Promise<Module[]> {
  const loaded = new Set((await collectModules(kernel, bootDrivers, run)).map((module) => module.name));
  return (await collectModules(kernel, systemDrivers, run)).filter((module) => !loaded.has(module.name));
}

const orderOf = (modules: readonly Module[]): string => modules.map((module) => `${module.name}\n`).join('');

async function makeInitramfs(modules: readonly Module[]): Promise<Buffer> {
  const entries: CpioEntry[] = [
    { path: 'bin', directory: true },
    { path: 'dev', directory: true },
    { path: 'modules', directory: true },
    // Before devtmpfs is mounted, init's output needs a console.
    { path: 'dev/console', device: { major: 5, minor: 1 } },
    { path: 'bin/busybox', mode: 0o755, content: await busybox() },
    { path: 'init', mode: 0o755, content: await readFile(join(import.meta.dirname, 'initramfs-init')) },
    { path: 'modules/order', mode: 0o644, content: Buffer.from(orderOf(modules)) },
    ...modules.map((module) => ({ path: `modules/${module.name}`, mode: 0o644, content: module.content })),
  ];
  return gzipSync(cpio(entries));
}

async function busybox(): Promise<Buffer> {
  for (const path of ['/bin/busybox', '/usr/bin/busybox']) {
    const content = await readFile(path).catch(() => undefined); // absent here: the other place, or the error below
    // A dynamically linked busybox (package busybox) names its loader in the first bytes; it could not run in the guest.
    if (content && !content.subarray(0, 4096).includes('/ld-linux')) return content;
  }
  throw new CroftError('missing-component', 'A static busybox is missing: install the Debian package busybox-static.');
}

/** Executable files of `root/`; the rest is 0644. Said here because a checkout may not keep modes. */
const executable = ['etc/init.d/rcS', 'etc/acpi/PWRF/00000080', 'www/cgi-bin/sha256'].concat(
  ['seed', 'network', 'lease'].map((name) => `usr/lib/croft-tiny/${name}`),
);

async function makeRootTree(tree: string, modules: readonly Module[], run: Run): Promise<void> {
  await cp(join(import.meta.dirname, 'root'), tree, { recursive: true });
  for (const path of executable) await chmod(join(tree, path), 0o755);
  await chmod(join(tree, 'etc/shadow'), 0o600);
  const directories = [
    'bin',
    'sbin',
    'usr/bin',
    'usr/sbin',
    'dev',
    'proc',
    'sys',
    'run',
    'tmp',
    'root',
    'var/lib/croft-tiny',
    'mnt',
  ];
  for (const path of directories) await mkdir(join(tree, path), { recursive: true });
  await writeFile(join(tree, 'bin/busybox'), await busybox(), { mode: 0o755 });
  await linkApplets(tree, run);
  const moduleDir = join(tree, 'lib/modules/croft-tiny');
  await mkdir(moduleDir, { recursive: true });
  await writeFile(join(moduleDir, 'order'), orderOf(modules));
  for (const module of modules) await writeFile(join(moduleDir, module.name), module.content);
  const blob = testBlob();
  await writeFile(join(tree, 'www/blob'), blob);
  await writeFile(join(tree, 'www/blob.sha256'), `${createHash('sha256').update(blob).digest('hex')}\n`);
}

/** busybox knows where each of its programs belongs (`--list-full`: usr/bin/wget …). */
async function linkApplets(tree: string, run: Run): Promise<void> {
  const { stdout } = await run([await busyboxPath(), '--list-full']);
  for (const applet of stdout.split('\n').filter((path) => path !== '' && path !== 'bin/busybox')) {
    await mkdir(join(tree, applet, '..'), { recursive: true });
    await symlink('/bin/busybox', join(tree, applet));
  }
}

const busyboxPath = async (): Promise<string> =>
  (await stat('/bin/busybox').then(
    () => true,
    () => false,
  ))
    ? '/bin/busybox'
    : '/usr/bin/busybox';

/** 1 MiB that doesn't compress and is the same in every build: SHA-256 of a counter, chained. */
function testBlob(): Buffer {
  const blocks = Array.from({ length: (1024 * 1024) / 32 }, (_, n) => createHash('sha256').update(`croft-tiny ${n}`).digest());
  return Buffer.concat(blocks);
}

/** Renames, or copies where the target is on another file system. */
async function moveFile(from: string, to: string): Promise<void> {
  await mkdir(join(to, '..'), { recursive: true });
  try {
    await rename(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
    const temporary = `${to}.tmp`;
    await copyFile(from, temporary);
    await rename(temporary, to);
  }
}
