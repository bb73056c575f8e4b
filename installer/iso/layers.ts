/**
 * Layers of an image build, each in a directory named by a hash of all that goes into it: what did not change is
 * not built again, and a build that was interrupted leaves no layer, only a temporary directory.
 */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, readlink, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';

/** How many layers of a name are kept. */
const keep = 3;
/** A temporary directory of a build that was killed is removed after this many milliseconds. */
const abandonedAfter = 24 * 60 * 60_000;

export const hashOf = (...inputs: readonly unknown[]): string =>
  createHash('sha256').update(JSON.stringify(inputs)).digest('hex').slice(0, 20);

/** A hash over names and contents of files and folders (paths relative to `home`). */
export async function hashFiles(home: string, paths: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const path of [...paths].sort()) await addTo(hash, home, path);
  return hash.digest('hex').slice(0, 20);
}

async function addTo(hash: ReturnType<typeof createHash>, home: string, path: string): Promise<void> {
  const full = join(home, path);
  const entries = await readdir(full, { withFileTypes: true }).catch(() => undefined); // A file, not a folder.
  if (!entries) {
    hash.update(`${path}\0`).update(await readFile(full));
    return;
  }
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const child = join(path, entry.name);
    if (entry.isDirectory()) await addTo(hash, home, child);
    else if (entry.isSymbolicLink()) hash.update(`${child}\0${await readlink(join(home, child))}`);
    else hash.update(`${child}\0`).update(await readFile(join(home, child)));
  }
}

/** The directory of a layer, built by `build(directory)` where it is not there yet. */
export async function layer(
  cache: string,
  name: string,
  key: string,
  build: (directory: string) => Promise<void>,
  print: (line: string) => void,
): Promise<string> {
  const path = join(cache, `${name}-${key}`);
  if (await stat(path).catch(() => undefined)) {
    const now = new Date();
    await utimes(path, now, now);
    print(`${name}: cached`);
    return path;
  }
  await mkdir(cache, { recursive: true });
  const temporary = await mkdtemp(join(cache, `.${name}-`));
  const started = Date.now();
  try {
    await build(temporary);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
  print(`${name}: built in ${((Date.now() - started) / 1000).toFixed(1)} s`);
  await forgetOld(cache, name);
  return path;
}

async function forgetOld(cache: string, name: string): Promise<void> {
  const entries = await readdir(cache);
  const dated = async (pattern: RegExp) =>
    Promise.all(
      entries
        .filter((entry) => pattern.test(entry))
        .map(async (entry) => ({ entry, at: (await stat(join(cache, entry))).mtimeMs })),
    );
  const layers = (await dated(new RegExp(`^${name}-[0-9a-f]{20}$`))).sort((a, b) => b.at - a.at);
  const killed = (await dated(new RegExp(`^\\.${name}-`))).filter(({ at }) => Date.now() - at > abandonedAfter);
  for (const { entry } of [...layers.slice(keep), ...killed]) await rm(join(cache, entry), { recursive: true, force: true });
}
