/**
 * The k3s release a box runs: one version, pinned with the digest of each file in `k3s.lock`. The lock is written from
 * the release's own checksum files (`croft k3s lock`), never by hand; a download is used only when its digest is the
 * lock's. Interrupted downloads go on where they ended.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CroftError, messageOf } from '../errors.ts';
import { writeFileAtomic } from '../host/files.ts';

/** The release that `croft k3s lock` pins unless told otherwise. */
export const pinnedVersion = 'v1.36.3+k3s1';

export type Architecture = 'amd64' | 'arm64';
export type LockedFile = { name: string /** Hex. */; sha256: string };
export type K3sLock = {
  version: string;
  /** Where the files are: `<base>/<name>`. */
  base: string;
  files: Record<Architecture, { k3s: LockedFile; images: LockedFile }>;
};

/** Downloads with resume (storage/images/fetch.ts); handed in, for the appliance doesn't know the storage. */
export type Fetch = (options: {
  url: string;
  file: string;
  checksum?: string;
  maxSize: number;
  progress?: (done: number, total: number) => void;
  signal?: AbortSignal;
  allowOwnAddresses?: boolean;
}) => Promise<{ size: number; checksum: string }>;

const architectures = ['amd64', 'arm64'] as const;
/** Names of a release's files (k3s releases on GitHub). */
const programOf = (architecture: Architecture): string => (architecture === 'amd64' ? 'k3s' : `k3s-${architecture}`);
const imagesOf = (architecture: Architecture): string => `k3s-airgap-images-${architecture}.tar.zst`;
const checksumsOf = (architecture: Architecture): string => `sha256sum-${architecture}.txt`;

/** Bytes: a program has some 80 MB, its images 250 MB. */
const maxRelease = 2 ** 30;
const maxChecksums = 2 ** 20;

export const releaseBase = (version: string): string =>
  `https://github.com/k3s-io/k3s/releases/download/${encodeURIComponent(version)}`;

/** This machine's. @throws CroftError `invalid-state` for one that k3s isn't taken for */
export function thisArchitecture(arch: string = process.arch): Architecture {
  if (arch === 'x64') return 'amd64';
  if (arch === 'arm64') return 'arm64';
  throw new CroftError(
    'invalid-state',
    `k3s is not taken for the architecture ${arch}; there are ${architectures.join(' and ')}.`,
  );
}

/** Lines of sha256sum(1): digest, two blanks or blank and asterisk, name. Pure. */
export function digestOf(checksums: string, name: string): string | undefined {
  for (const line of checksums.split('\n')) {
    const [, digest, found] = /^([0-9a-f]{64}) [ *](\S+)$/.exec(line.trim()) ?? [];
    if (found === name) return digest;
  }
  return undefined;
}

export type LockOptions = {
  version?: string;
  /** Default: the release's own address. */
  base?: string;
  fetch: Fetch;
  /** Scratch directory. */
  directory: string;
  allowOwnAddresses?: boolean;
};

/** Reads a release's checksum files. @throws CroftError `download-failed`, `invalid-input` when one names no such file */
export async function lockRelease(options: LockOptions): Promise<K3sLock> {
  const { version = pinnedVersion, fetch, directory, allowOwnAddresses } = options;
  const base = (options.base ?? releaseBase(version)).replace(/\/$/, '');
  await mkdir(directory, { recursive: true });
  const files = {} as K3sLock['files'];
  for (const architecture of architectures) {
    const name = checksumsOf(architecture);
    const file = join(directory, name);
    // Never resumed: a half of another release's would pass for this one's.
    await rm(`${file}.part`, { force: true });
    await fetch({ url: `${base}/${name}`, file, maxSize: maxChecksums, ...(allowOwnAddresses ? { allowOwnAddresses } : {}) });
    const text = await readFile(file, 'utf8');
    await rm(file, { force: true });
    const locked = (wanted: string): LockedFile => {
      const sha256 = digestOf(text, wanted);
      if (sha256 === undefined) throw new CroftError('invalid-input', `${base}/${name} has no digest of ${wanted}.`);
      return { name: wanted, sha256 };
    };
    files[architecture] = { k3s: locked(programOf(architecture)), images: locked(imagesOf(architecture)) };
  }
  return { version, base, files };
}

export const writeLock = (path: string, lock: K3sLock): Promise<void> =>
  writeFileAtomic(path, `${JSON.stringify(lock, undefined, 2)}\n`, 0o644);

/** @throws CroftError `missing-component` when there is none, `invalid-input` when it is damaged */
export async function readLock(path: string): Promise<K3sLock> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new CroftError(
      'missing-component',
      'No k3s release is pinned here: write k3s.lock with `croft k3s lock` where there is internet, or name a k3s program with --k3s FILE.',
      { cause, fix: ['croft k3s lock', 'croft cluster init --k3s FILE --images ARCHIVE'] },
    );
  }
  try {
    const lock = JSON.parse(text) as K3sLock;
    for (const architecture of architectures) {
      for (const part of ['k3s', 'images'] as const) {
        const { name, sha256 } = lock.files[architecture][part];
        if (!/^[0-9a-f]{64}$/.test(sha256) || !/^[\w.-]+$/.test(name)) throw new Error(`${architecture} ${part} has no digest`);
      }
    }
    if (typeof lock.base !== 'string' || typeof lock.version !== 'string') throw new Error('version and base are missing');
    return lock;
  } catch (cause) {
    throw new CroftError('invalid-input', `${path} is no k3s.lock: ${messageOf(cause)}. Write it anew with \`croft k3s lock\`.`, {
      cause,
    });
  }
}

/** Undefined when there is no such file. */
async function sha256Of(path: string): Promise<string | undefined> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  return hash.digest('hex');
}

export type DownloadOptions = {
  lock: K3sLock;
  architecture: Architecture;
  /** Keeps what is fetched, and what was fetched in part. */
  directory: string;
  fetch: Fetch;
  progress?: (fraction: number, step: string) => void;
  signal?: AbortSignal;
  allowOwnAddresses?: boolean;
};

/**
 * Fetches program and images, or takes those that are there already.
 * @throws CroftError `download-failed`, `checksum-mismatch`, `insufficient-storage`
 */
export async function downloadRelease(options: DownloadOptions): Promise<{ binary: string; images: string[] }> {
  const { lock, architecture, fetch, progress, signal, allowOwnAddresses } = options;
  const directory = join(options.directory, lock.version);
  await mkdir(directory, { recursive: true });
  const { k3s, images } = lock.files[architecture];
  const get = async ({ name, sha256 }: LockedFile, from: number, to: number): Promise<string> => {
    // By digest: another release's file of the same name is another file.
    const file = join(directory, `${sha256.slice(0, 16)}-${name}`);
    if ((await sha256Of(file)) === sha256) return file;
    await fetch({
      url: `${lock.base}/${name}`,
      file,
      checksum: `sha256:${sha256}`,
      maxSize: maxRelease,
      progress: (done, total) => progress?.(from + ((to - from) * done) / total, `fetching ${name}`),
      ...(signal ? { signal } : {}),
      ...(allowOwnAddresses ? { allowOwnAddresses } : {}),
    });
    return file;
  };
  return { binary: await get(k3s, 0, 0.3), images: [await get(images, 0.3, 1)] };
}
