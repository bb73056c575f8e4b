/**
 * Makes a flat qcow2 of foreign bytes. Where we are root, the tools that read them (qemu-img, xz, zstd, gzip) run in a
 * child with its own uid and no capabilities, in mount, network, IPC and PID namespaces of its own, whose file system
 * holds the programs, the input (read-only) and the output directory, and nothing else; CPU time and file size are
 * bounded. Whatever a parser can be tricked into reading, there is nothing to read. Our own header check comes first
 * (inspect.ts), and again on what a decompression brought forth.
 *
 * Tools: util-linux (unshare, setpriv, prlimit, mount), coreutils, qemu-utils, xz-utils, zstd, gzip.
 */
import { chmod, chown, mkdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { run, type RunOptions } from '../../appliance/host/exec.ts';
import { CroftError, isCroftError } from '../../appliance/errors.ts';
import { humanBytes } from '../../appliance/resources/quantity.ts';
import type { Progress } from '../driver.ts';
import { inspectImage, type Compression } from './inspect.ts';

/** Owner of foreign bytes while they are converted: just below the range of the guests' uids. */
export const conversionUid = 1_899_999_999;

export type ConvertOptions = {
  /** The foreign file; ours to chown and remove. */
  input: string;
  /** Scratch directory, made if missing, emptied at the end. */
  workDir: string;
  /** The flat qcow2 to write. */
  output: string;
  /** Bytes that the unpacked or converted file may have. */
  maxSize: number;
  progress?: Progress;
  signal?: AbortSignal;
};

const deadline = 2 * 60 * 60 * 1000;
const cpuSeconds = 60 * 60;

/** Each reads /in and writes what it unpacks to standard output. */
const unpackers: Record<Compression, readonly [string, ...string[]]> = {
  gzip: ['gzip', '-dc'],
  xz: ['xz', '-dc', '--memlimit-decompress=1GiB'],
  zstd: ['zstd', '-dcq', '-M1024MB'],
};

/** @throws CroftError `image-refused`, `too-large`, `command-failed`, `command-timeout` */
export async function convertImage(options: ConvertOptions): Promise<{ size: number }> {
  const { workDir, output } = options;
  await rm(workDir, { recursive: true, force: true });
  await mkdir(workDir, { recursive: true, mode: 0o711 });
  try {
    let input = options.input;
    let found = await inspectImage(input);
    if (found.virtualSize === undefined) {
      input = await unpack(found.format, options);
      found = await inspectImage(input);
      if (found.virtualSize === undefined)
        throw new CroftError('image-refused', `The image is compressed twice (${found.format} inside).`);
    }
    if (found.virtualSize > options.maxSize) throw tooLarge(options, found.virtualSize);
    const image = await toQcow2(found.format, input, options);
    await rename(image, output);
    return { size: found.virtualSize };
  } finally {
    await rm(workDir, { recursive: true, force: true });
  }
}

const tooLarge = ({ maxSize }: ConvertOptions, size?: number): CroftError =>
  new CroftError(
    'too-large',
    `The image has ${size === undefined ? 'more than' : `${humanBytes(size)};`} ${humanBytes(maxSize)}${size === undefined ? ' when unpacked' : ' are allowed'}.`,
  );

async function unpack(compression: Compression, options: ConvertOptions): Promise<string> {
  const output = await outputDirectory(options, 'unpacked');
  const command = ['/bin/sh', '-c', 'exec "$@" < /in > /out/image', 'sh', ...unpackers[compression]] as const;
  const script: [string, ...string[]] = [...command];
  try {
    await confined({
      input: options.input,
      output,
      argv: script,
      maxSize: options.maxSize,
      workDir: options.workDir,
      signal: options.signal,
    });
  } catch (error) {
    const { size } = await stat(join(output, 'image')).catch(() => ({ size: 0 })); // nothing written at all
    if (size >= options.maxSize) throw tooLarge(options);
    if (isCroftError(error, 'command-failed')) {
      throw new CroftError('image-refused', `The image cannot be unpacked as ${compression}: it is cut off or damaged.`, {
        cause: error,
      });
    }
    throw error;
  }
  return join(output, 'image');
}

async function toQcow2(format: string, input: string, options: ConvertOptions): Promise<string> {
  const output = await outputDirectory(options, 'converted');
  const argv: [string, ...string[]] = ['qemu-img', 'convert', '-p', '-f', format, '-O', 'qcow2', '/in', '/out/image.qcow2'];
  try {
    await confined({
      input,
      output,
      argv,
      // Metadata of the qcow2 comes on top of the data.
      maxSize: Math.ceil(options.maxSize * 1.01) + 16 * 2 ** 20,
      workDir: options.workDir,
      signal: options.signal,
      onLine: (line) => {
        const percent = /\(([\d.]+)\/100%\)/.exec(line)?.[1];
        if (percent) options.progress?.(Number(percent), 100);
      },
    });
  } catch (error) {
    if (!isCroftError(error, 'command-failed')) throw error;
    throw new CroftError('image-refused', `The image cannot be read as ${format}: it is cut off or damaged.`, { cause: error });
  }
  const image = join(output, 'image.qcow2');
  await chown(image, process.getuid?.() ?? 0, process.getgid?.() ?? 0);
  await chmod(image, 0o600);
  return image;
}

async function outputDirectory({ workDir }: ConvertOptions, name: string): Promise<string> {
  const directory = join(workDir, name);
  await mkdir(directory, { mode: 0o700 });
  if (process.getuid?.() === 0) await chown(directory, conversionUid, conversionUid);
  return directory;
}

export type Confinement = {
  /** Seen as /in, read-only. */
  input: string;
  /** Seen as /out; must belong to conversionUid where we are root. */
  output: string;
  argv: [string, ...string[]];
  maxSize: number;
  workDir: string;
  signal?: AbortSignal;
  onLine?: (line: string) => void;
};

/**
 * Builds the private root, then becomes the program in it. Mounts are private to the namespace and go with it.
 * $1 root, $2 input, $3 output, then the program. /usr is shared read-only; older layouts with own /lib are too.
 */
const enter = `
set -e
root=$1 in=$2 out=$3; shift 3
mount -t tmpfs -o mode=0755,size=1m,nosuid,nodev tmpfs "$root"
mkdir "$root/usr" "$root/out" "$root/dev" "$root/proc"
touch "$root/in" "$root/dev/null"
mount --rbind /usr "$root/usr"
mount -o remount,bind,ro,nosuid "$root/usr"
for dir in bin lib lib64 sbin; do
  if [ -L "/$dir" ]; then ln -s "usr/$dir" "$root/$dir"
  elif [ -d "/$dir" ]; then mkdir "$root/$dir"; mount --rbind "/$dir" "$root/$dir"; mount -o remount,bind,ro,nosuid "$root/$dir"; fi
done
mount --bind /dev/null "$root/dev/null"
mount --bind "$in" "$root/in"
mount -o remount,bind,ro,nosuid,nodev,noexec "$root/in"
mount --bind "$out" "$root/out"
mount -o remount,bind,rw,nosuid,nodev,noexec "$root/out"
mount -o remount,ro,nosuid,nodev "$root"
cd "$root"
exec chroot "$root" "$@"
`;

/** Runs `argv` on /in and /out with as little as it needs. Without root only the limits hold. */
export async function confined(job: Confinement): Promise<void> {
  const options: RunOptions = {
    timeout: deadline,
    env: { LC_ALL: 'C', PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    ...(job.signal ? { signal: job.signal } : {}),
    ...(job.onLine ? { onLine: job.onLine } : {}),
  };
  const limits = ['prlimit', `--cpu=${cpuSeconds}`, `--fsize=${job.maxSize}`, '--core=0', '--nofile=64', '--nproc=64'];
  if (process.getuid?.() !== 0) {
    const argv = job.argv.map((word) => word.replace('< /in > /out/image', `< "$IN" > "$OUT/image"`));
    const placed = argv.map((word) => (word === '/in' ? job.input : word.replace(/^\/out\//, `${job.output}/`)));
    await run(['prlimit', ...limits.slice(1), ...placed], {
      ...options,
      env: { ...options.env, IN: job.input, OUT: job.output },
    });
    return;
  }
  const root = join(job.workDir, 'root');
  await mkdir(root, { recursive: true });
  await chown(job.input, conversionUid, conversionUid);
  const drop = [
    'setpriv',
    `--reuid=${conversionUid}`,
    `--regid=${conversionUid}`,
    '--clear-groups',
    '--inh-caps=-all',
    '--bounding-set=-all',
    '--no-new-privs',
  ];
  const isolate = ['unshare', '--mount', '--net', '--ipc', '--uts', '--pid', '--fork', '--kill-child'];
  await run(
    ['unshare', ...isolate.slice(1), '/bin/sh', '-c', enter, 'sh', root, job.input, job.output, ...limits, ...drop, ...job.argv],
    options,
  );
}
