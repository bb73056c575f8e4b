/**
 * Builds the console when it is missing or stale.
 *
 * Theory of operation: a build belongs to a hash of everything it is made of (sources, client, lockfile). It is made in a
 * directory of its own and renamed to `dist/<hash>`; then `dist/.hash` names it as the current one. So a build that is cut
 * short is never served, two services may build at once, and the build before stays for pages that are still open.
 * Each file also lies there as Brotli and gzip, so that serving it costs no CPU.
 */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import { CroftError } from '../../appliance/errors.ts';
import { run } from '../../appliance/host/exec.ts';
import type { Logger } from '../../appliance/host/logger.ts';
import { firstPaintFiles, type Manifest } from './first-paint.ts';

const home = join(import.meta.dirname, '../..');
export const consoleDist = join(import.meta.dirname, 'dist');
const hashFile = '.hash';
const buildTimeout = 180_000;

/** What a build is made of, from the top of the tree. */
export const inputs = [
  'ui-api/console',
  'ui-api/client',
  'appliance/vm/lifecycle.ts',
  'appliance/errors.ts',
  'appliance/ovf/manifest.ts',
  'appliance/host/tar-read.ts',
  'package-lock.json',
];
const skipped = new Set(['dist', 'node_modules']);

const compressBrotli = promisify(brotliCompress);
const compressGzip = promisify(gzip);
/** Already compressed, or never sent. */
const uncompressed = /\.(woff2?|png|ico)$|^manifest\.json$/;

async function filesUnder(path: string): Promise<string[]> {
  if ((await stat(path)).isFile()) return [path];
  const entries = await readdir(path, { withFileTypes: true });
  const found = await Promise.all(
    entries.filter(({ name }) => !skipped.has(name)).map(({ name }) => filesUnder(join(path, name))),
  );
  return found.flat();
}

/** Hash of everything the console is made of. */
export async function sourceHash(): Promise<string> {
  const files = (await Promise.all(inputs.map((path) => filesUnder(join(home, path))))).flat().sort();
  const hash = createHash('sha256');
  for (const file of files)
    hash
      .update(`${relative(home, file)}\0`)
      .update(await readFile(file))
      .update('\0');
  return hash.digest('hex').slice(0, 16);
}

/** Directory of the current build; undefined when there is none. */
export async function currentBuild(dist = consoleDist): Promise<string | undefined> {
  try {
    const directory = join(dist, (await readFile(join(dist, hashFile), 'utf8')).trim());
    return existsSync(join(directory, 'index.html')) ? directory : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function compressAll(directory: string): Promise<void> {
  const files = (await filesUnder(directory)).filter((file) => !uncompressed.test(relative(directory, file)));
  for (const file of files) {
    const content = await readFile(file);
    const params = { [constants.BROTLI_PARAM_QUALITY]: 10, [constants.BROTLI_PARAM_SIZE_HINT]: content.length };
    const [br, gz] = await Promise.all([compressBrotli(content, { params }), compressGzip(content, { level: 9 })]);
    await Promise.all([writeFile(`${file}.br`, br), writeFile(`${file}.gz`, gz)]);
  }
}

/** Bytes of JavaScript and of CSS, gzipped, until the dashboard is drawn. */
export async function firstPaint(directory: string): Promise<{ js: number; css: number }> {
  const manifest = JSON.parse(await readFile(join(directory, 'manifest.json'), 'utf8')) as Manifest;
  const { js, css } = firstPaintFiles(manifest, ['index.html', 'src/pages/overview.tsx']);
  const sum = async (files: readonly string[]) => {
    const sizes = await Promise.all(files.map(async (file) => (await stat(join(directory, `${file}.gz`))).size));
    return sizes.reduce((total, size) => total + size, 0);
  };
  return { js: await sum(js), css: await sum(css) };
}

/** Keeps this build and the one before it. */
async function prune(dist: string, keep: readonly (string | undefined)[]): Promise<void> {
  const entries = await readdir(dist);
  const old = entries.filter((name) => name !== hashFile && !name.startsWith('.new-') && !keep.includes(name));
  await Promise.all(old.map((name) => rm(join(dist, name), { recursive: true, force: true })));
}

async function build(dist: string, hash: string, signal: AbortSignal | undefined): Promise<void> {
  const vite = join(home, 'node_modules/vite/bin/vite.js');
  if (!existsSync(vite))
    throw new CroftError('missing-component', 'The console cannot be built: the npm package vite is not installed.');
  const target = join(dist, hash);
  const made = join(dist, `.new-${process.pid}-${randomBytes(4).toString('hex')}`);
  await mkdir(dist, { recursive: true });
  try {
    const config = join(import.meta.dirname, 'vite.config.ts');
    await run([process.execPath, vite, 'build', '--config', config, '--configLoader', 'native', '--logLevel', 'warn'], {
      timeout: buildTimeout,
      ...(signal ? { signal } : {}),
      cwd: home,
      env: { CROFT_CONSOLE_OUT: made, NODE_ENV: 'production' },
    });
    await compressAll(made);
    signal?.throwIfAborted();
    await rename(made, target).catch((error: NodeJS.ErrnoException) => {
      // Another service was quicker; the same sources give the same build.
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
    await writeFile(`${made}.hash`, hash);
    await rename(`${made}.hash`, join(dist, hashFile));
  } finally {
    await rm(made, { recursive: true, force: true });
  }
}

export type BuildOptions = { logger: Logger; dist?: string /** Cancels a running build. */; signal?: AbortSignal };

/**
 * Makes sure that the current build is of the present sources; resolves to its directory.
 * @throws CroftError `missing-component`, `command-failed`, `command-timeout`
 */
export async function ensureConsole({ logger, dist = consoleDist, signal }: BuildOptions): Promise<string> {
  const before = await currentBuild(dist);
  // An installed system has the build it came with, and nothing to make another.
  if (before !== undefined && !existsSync(join(home, 'package-lock.json'))) return before;
  const hash = await sourceHash();
  const directory = join(dist, hash);
  if (before === directory) return directory;
  const begun = performance.now();
  await build(dist, hash, signal);
  await prune(dist, [hash, before === undefined ? undefined : relative(dist, before)]);
  const { js, css } = await firstPaint(directory);
  const seconds = Number(((performance.now() - begun) / 1000).toFixed(1));
  logger.info(
    { seconds, firstPaintJs: js, firstPaintCss: css },
    `console built: ${kilobytes(js)} of JavaScript (gzip) until the first page`,
  );
  return directory;
}

const kilobytes = (bytes: number): string => `${Math.round(bytes / 1024)} KB`;

if (import.meta.main) {
  const { createLogger } = await import('../../appliance/host/logger.ts');
  await ensureConsole({ logger: createLogger() });
}
