/** Roots of Debian by mmdebstrap, and programs run inside such a root. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run, type RunResult } from '../../appliance/host/exec.ts';
import { suite } from './mirrors.ts';

const unneeded = ['doc', 'man', 'info', 'locale', 'lintian', 'bash-completion'];
/** What a root for people does without; licences stay. */
export const trimmedDocumentation = [
  ...unneeded.map((name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`),
  '--dpkgopt=path-include=/usr/share/doc/*/copyright',
];

/** Dates in a root made of packages: not the build's, so that the same packages give the same bytes. */
const rootEpoch = '1760000000';

/** Writes a tar of a minimal Debian with these packages. */
export async function debianTar(
  target: string,
  packages: readonly string[],
  sources: readonly string[],
  trim: boolean,
): Promise<void> {
  const list = `${target}.list`;
  await writeFile(list, `${sources.join('\n')}\n`);
  await run(
    [
      'mmdebstrap',
      '--variant=minbase',
      '--mode=root',
      '--skip=check/qemu',
      '--aptopt=APT::Install-Recommends "false"',
      '--aptopt=Acquire::Retries "3"',
      ...(trim ? trimmedDocumentation : []),
      `--include=${packages.join(',')}`,
      suite,
      target,
      list,
    ],
    { timeout: 30 * 60_000, env: { SOURCE_DATE_EPOCH: rootEpoch } },
  );
}

export async function unpack(tar: string, root: string): Promise<void> {
  await mkdir(root, { recursive: true });
  await run(['tar', '--extract', '--numeric-owner', '--xattrs', '--xattrs-include=*', '--file', tar, '--directory', root], {
    timeout: 10 * 60_000,
  });
}

/** $1 root, $2 work, then the command. The mounts are in a namespace of their own: they end with the command. */
const enter = `set -e
mount --bind "$2" "$1/work"
mount --bind /dev "$1/dev"
mount -t proc proc "$1/proc"
cd "$1/work"
root=$1
shift 2
exec chroot "$root" sh -c 'cd /work && exec "$@"' sh "$@"`;

/** Runs a program of `root`, in `work`, which it sees as /work and as its working directory. */
export async function runIn(
  root: string,
  work: string,
  argv: readonly [string, ...string[]],
  options: { timeout?: number; epoch: number },
): Promise<RunResult> {
  await mkdir(join(root, 'work'), { recursive: true });
  return run(['unshare', '--mount', '--propagation', 'private', 'sh', '-c', enter, 'sh', root, work, ...argv], {
    timeout: options.timeout ?? 10 * 60_000,
    env: { SOURCE_DATE_EPOCH: String(options.epoch), TZ: 'UTC', LC_ALL: 'C', PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
  });
}
