/**
 * `debian`: a full Debian cloud image, made here from Debian's packages: for boxes without a way to the publisher's
 * images, and the guest that our own end-to-end test runs.
 *
 * Theory of operation. mmdebstrap unpacks and configures this machine's own Debian release from the mirror apt uses
 * into a directory; a few files are ours (tree.ts); a disk is written around it as a plain file (disk.ts), without loop
 * devices or mounts, and packed as qcow2. The result is kept under a key made of the recipe and the versions apt has for
 * the packages: the second build takes seconds and works offline, a newer kernel makes a new image.
 */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CroftError } from '../../../appliance/errors.ts';
import type { Run } from '../tiny/kernel.ts';
import { makeDebianDisk } from './disk.ts';
import { debianSources, guestPackages, makeDebianTree } from './tree.ts';

export type DebianOptions = {
  /** Scratch space, some 3 GB; made, and removed at the end. */
  workDir: string;
  /** Keeps the last image built. */
  cacheDir: string;
  /** The qcow2 to write. */
  output: string;
  run: Run;
  /** `fraction` 0 to 1 and the present step in words. */
  progress?: (fraction: number, step: string) => void;
  signal?: AbortSignal;
};

/** mmdebstrap's own words for where it is, and how far that is of the whole. */
const stages: readonly [RegExp, number, string][] = [
  [/running apt-get update/, 0.02, 'reading the package lists'],
  [/downloading packages/, 0.06, 'downloading packages'],
  [/extracting archives/, 0.25, 'unpacking packages'],
  [/installing essential/, 0.3, 'installing packages'],
  [/installing remaining/, 0.4, 'installing packages'],
  [/cleaning package lists/, 0.7, 'cleaning up'],
];

/**
 * Builds the image, or takes it from the cache.
 * @throws CroftError `missing-component`, `invalid-state` without root, `command-failed`, `command-timeout`
 */
export async function buildDebian(options: DebianOptions): Promise<{ file: string; size: number; cached: boolean }> {
  const { workDir, cacheDir, output, run, signal } = options;
  if (process.getuid?.() !== 0) {
    throw new CroftError('invalid-state', 'The Debian image is built as root: its files have many owners.', {
      fix: ['Start Croft as root, or add the image by its name: croft image add debian-13.'],
    });
  }
  const step = (fraction: number, words: string): void => {
    signal?.throwIfAborted();
    options.progress?.(fraction, words);
  };
  await rm(workDir, { recursive: true, force: true });
  await mkdir(workDir, { recursive: true });
  await mkdir(cacheDir, { recursive: true });
  try {
    step(0, 'looking for a built one');
    const { suite, lines } = await debianSources(run);
    const key = await cacheKey(suite, run);
    const kept = join(cacheDir, `${suite}-${key}.qcow2`);
    const cached = await present(kept);
    if (!cached) {
      const tree = join(workDir, 'root');
      const onLine = (line: string): void => {
        const stage = stages.find(([words]) => words.test(line));
        if (stage) options.progress?.(stage[1], stage[2]);
      };
      await makeDebianTree(tree, { suite, lines, onLine, ...(signal ? { signal } : {}) }, run);
      step(0.72, 'writing the disk');
      const disk = join(workDir, 'debian.raw');
      await makeDebianDisk({ tree, disk, workDir }, run, signal);
      await rm(tree, { recursive: true, force: true });
      step(0.82, 'packing the image');
      const packed = join(workDir, 'debian.qcow2');
      const pack = [
        'qemu-img',
        'convert',
        '-f',
        'raw',
        '-O',
        'qcow2',
        '-c',
        '-o',
        'compression_type=zstd',
        disk,
        packed,
      ] as const;
      await run(pack, { timeout: 20 * 60_000, ...(signal ? { signal } : {}) });
      await keep(packed, kept, cacheDir, suite);
    }
    step(0.98, 'taking it from the cache');
    await mkdir(join(output, '..'), { recursive: true });
    await copyFile(kept, output, constants.COPYFILE_FICLONE);
    step(1, 'built');
    return { file: output, size: (await stat(output)).size, cached };
  } finally {
    await rm(workDir, { recursive: true, force: true });
  }
}

const present = (file: string): Promise<boolean> =>
  stat(file).then(
    () => true,
    () => false, // not built yet
  );

/** One image for each release: the older ones go. */
async function keep(packed: string, kept: string, cacheDir: string, suite: string): Promise<void> {
  const temporary = `${kept}.tmp`;
  await copyFile(packed, temporary, constants.COPYFILE_FICLONE);
  await rm(packed);
  for (const name of await readdir(cacheDir)) {
    if (name.startsWith(`${suite}-`) && name.endsWith('.qcow2')) await rm(join(cacheDir, name), { force: true });
  }
  await rename(temporary, kept);
}

/** The recipe's own text and what apt would install of the packages it names. */
async function cacheKey(suite: string, run: Run): Promise<string> {
  const { stdout } = await run(['apt-cache', 'show', '--no-all-versions', ...Object.keys(guestPackages)], { okCodes: [0, 100] });
  const versions = stdout.split('\n').filter((line) => /^(Package|Version|Depends): /.test(line));
  const hash = createHash('sha256').update(suite).update(versions.join('\n'));
  for (const name of ['tree.ts', 'disk.ts', 'build.ts']) hash.update(await readFile(join(import.meta.dirname, name)));
  return hash.digest('hex').slice(0, 16);
}
