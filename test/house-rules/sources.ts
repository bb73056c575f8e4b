/** The project's own source files, read once, for the rules beside this file. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';

export const home = join(import.meta.dirname, '../..');

export type Source = { /** From the top of the tree, e.g. `appliance/errors.ts`. */ path: string; text: string };

const skipped = new Set(['node_modules', 'dist', '.git', 'coverage', 'upstream']);

function filesUnder(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    if (skipped.has(entry.name)) return [];
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return filesUnder(path);
    return entry.isFile() ? [path] : [];
  });
}

/** Every file of the tree whose name ends with one of `endings` (all without). */
export const projectFiles = (...endings: string[]): Source[] =>
  filesUnder(home)
    .filter((path) => endings.length === 0 || endings.some((ending) => path.endsWith(ending)))
    .map((path) => ({ path: relative(home, path), text: readFileSync(path, 'utf8') }));

/** The code of a file without comments, so that a rule isn't broken by words about it. Line count is kept. */
export const withoutComments = (text: string): string =>
  text.replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, '')).replace(/(^|[^:'"`])\/\/.*$/gm, '$1');

export type Import = {
  /** A path in the tree for relative imports, else the package as written. */ target: string;
  typeOnly: boolean;
};

const importPattern =
  /(?:^|\n)\s*(?:import|export)\s+(type\s+)?(?:[\w*{}\s,$]+?\s+from\s+)?['"]([^'"]+)['"]|import\(\s*['"]([^'"]+)['"]\s*\)/g;

/** What a file imports or re-exports, statically or by import(). */
export function importsOf(source: Source): Import[] {
  return [...withoutComments(source.text).matchAll(importPattern)].map((match) => {
    const specifier = (match[2] ?? match[3]) as string;
    const target = specifier.startsWith('.') ? normalize(join(dirname(source.path), specifier)) : specifier;
    return { target, typeOnly: match[1] !== undefined };
  });
}
