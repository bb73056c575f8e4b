/** Debian's cloud kernel, unpacked into the cache without being installed; and the drivers a tiny guest needs of it. */
import { readdir, readFile, mkdir, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { run as runCommand } from '../../../appliance/host/exec.ts';
import { CroftError } from '../../../appliance/errors.ts';

export type Run = typeof runCommand;

/** Ends with us, however we end: without a network it would wait for minutes, and nobody would know whose it is. */
const aptGet = ['setpriv', '--pdeathsig', 'KILL', '--', 'apt-get'] as const;

/** An unpacked kernel: its version, its image, its directory of modules. */
export type Kernel = { version: string; image: string; modules: string };

const metaPackage = 'linux-image-cloud-amd64';
const downloadDeadline = 300_000;

/**
 * The kernel that this box's Debian offers, from the cache if it is there already.
 * Falls back to the newest cached kernel when the package lists cannot be read (offline).
 * @throws CroftError `download-failed`, `missing-component`
 */
export async function fetchKernel(cacheDir: string, run: Run, signal?: AbortSignal): Promise<Kernel> {
  const kernels = join(cacheDir, 'kernels');
  await mkdir(kernels, { recursive: true });
  const name = await kernelPackage(run, signal);
  const version = name?.replace(/^linux-image-/, '');
  const cached = (await readdir(kernels)).filter((entry) => !entry.startsWith('.')).toSorted();
  if (version && cached.includes(version)) return kernelAt(kernels, version);
  if (!name || !version) {
    const newest = cached.at(-1);
    if (newest) return kernelAt(kernels, newest);
    throw new CroftError(
      'download-failed',
      `Debian's package lists name no ${metaPackage}; run apt-get update with a working network.`,
    );
  }
  const work = join(kernels, `.${version}.${process.pid}`);
  await rm(work, { recursive: true, force: true });
  await mkdir(join(work, 'tree'), { recursive: true });
  try {
    // Sandbox off: apt's own user cannot write into an owner-only cache directory.
    await run([...aptGet, 'download', '-o', 'APT::Sandbox::User=root', name], { cwd: work, timeout: downloadDeadline, signal });
    const deb = (await readdir(work)).find((file) => file.endsWith('.deb'));
    if (!deb) throw new CroftError('download-failed', `apt-get brought no package file for ${name}.`);
    await run(['dpkg-deb', '-x', join(work, deb), join(work, 'tree')], { timeout: 120_000, signal });
    await rename(join(work, 'tree'), join(kernels, version));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return kernelAt(kernels, version);
}

const kernelAt = (kernels: string, version: string): Kernel => ({
  version,
  image: join(kernels, version, 'boot', `vmlinuz-${version}`),
  modules: join(kernels, version, 'lib/modules', version),
});

/** The meta package's dependency is the real, versioned package. */
async function kernelPackage(run: Run, signal?: AbortSignal): Promise<string | undefined> {
  for (const attempt of [1, 2]) {
    const { stdout } = await run(['apt-cache', 'depends', metaPackage], { okCodes: [0, 100], signal });
    const name = /Depends: (linux-image-\S+)/.exec(stdout)?.[1];
    if (name || attempt === 2) return name;
    await run([...aptGet, 'update', '-qq'], { okCodes: [0, 100], timeout: downloadDeadline, signal });
  }
  return undefined;
}

/** Drivers of the initramfs: what stands between the firmware and the root file system. */
export const bootDrivers = ['virtio_pci', 'virtio_blk', 'virtio_scsi', 'ahci', 'sd_mod'];
/** Drivers loaded from the root file system. Those the kernel lacks (Debian 12: ahci, e1000e) are left out. */
export const systemDrivers = [
  'virtio_net',
  'virtio_rng',
  'virtio_balloon',
  'virtio_console',
  'e1000e',
  'evdev',
  'button',
  'isofs',
  'nls_ascii',
  'nls_cp437',
  'vfat',
  'sr_mod',
  '8021q',
]; // prettier-ignore

/** A driver file: plain module bytes under the name that insmod is given. */
export type Module = { name: string; content: Buffer };

/**
 * The wanted modules with their dependencies, each after what it needs. Debian 13 compresses modules with xz;
 * they come unpacked, because busybox and the kernel do not both understand every compression.
 */
export async function collectModules(kernel: Kernel, wanted: readonly string[], run: Run): Promise<Module[]> {
  const files = new Map<string, string>();
  for (const path of await readdir(kernel.modules, { recursive: true })) {
    const match = /^(.+)\.ko(\.xz)?$/.exec(basename(path));
    if (match) files.set(moduleName(match[1] as string), join(kernel.modules, path));
  }
  const ordered = new Map<string, Module>();
  const visit = async (name: string): Promise<void> => {
    const file = files.get(moduleName(name));
    if (!file || ordered.has(moduleName(name))) return;
    const content = await readModule(file, run);
    for (const dependency of dependenciesOf(content)) await visit(dependency);
    ordered.set(moduleName(name), { name: `${moduleName(name)}.ko`, content });
  };
  for (const name of wanted) await visit(name);
  return [...ordered.values()];
}

/** The kernel treats - and _ in module names alike. */
const moduleName = (name: string): string => name.replaceAll('-', '_');

async function readModule(file: string, run: Run): Promise<Buffer> {
  if (!file.endsWith('.xz')) return readFile(file);
  // latin1 keeps every byte; execa's default utf8 would not.
  const plain = `${file}.plain`;
  await run(['/bin/sh', '-c', 'exec xz -dc -- "$1" > "$2"', 'xz', file, plain]);
  const content = await readFile(plain);
  await rm(plain, { force: true });
  return content;
}

/** `depends=` of the .modinfo section: zero-terminated strings, found without parsing the ELF file. */
function dependenciesOf(content: Buffer): string[] {
  const marker = Buffer.from('\0depends=');
  const start = content.indexOf(marker);
  if (start < 0) return [];
  const end = content.indexOf(0, start + marker.length);
  return content
    .toString('latin1', start + marker.length, end)
    .split(',')
    .filter(Boolean);
}
