/** Which npm packages a set of packages needs at run time, and where they stand: read from the installed tree. */
import { readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CroftError } from '../../appliance/errors.ts';

type Manifest = { dependencies?: Record<string, string>; optionalDependencies?: Record<string, string> };

/** Folders (relative to `home`) of the packages and all they depend on, by Node's own rule of looking upwards. */
export async function packageFolders(home: string, names: readonly string[]): Promise<string[]> {
  const found = new Set<string>();
  const visit = async (name: string, from: string, optional: boolean): Promise<void> => {
    const folder = await locate(home, from, name);
    if (!folder) {
      if (optional) return;
      throw new CroftError('missing-component', `The npm package ${name} is not installed: run npm ci.`);
    }
    if (found.has(folder)) return;
    found.add(folder);
    const manifest = JSON.parse(await readFile(join(home, folder, 'package.json'), 'utf8')) as Manifest;
    for (const dependency of Object.keys(manifest.dependencies ?? {})) await visit(dependency, folder, false);
    for (const dependency of Object.keys(manifest.optionalDependencies ?? {})) await visit(dependency, folder, true);
  };
  for (const name of names) await visit(name, '.', false);
  // A package inside another's folder is copied with it.
  return [...found].filter((folder) => ![...found].some((other) => folder.startsWith(`${other}/`))).sort();
}

async function locate(home: string, from: string, name: string): Promise<string | undefined> {
  for (let folder = from; ; folder = dirname(folder)) {
    const candidate = join(folder, 'node_modules', name);
    if (await stat(join(home, candidate, 'package.json')).catch(() => undefined)) return candidate;
    if (folder === '.') return undefined;
  }
}
