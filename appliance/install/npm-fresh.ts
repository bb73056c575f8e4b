/**
 * Exit code 0 when node_modules holds exactly the versions of package-lock.json, 1 otherwise. Called by
 * bootstrap.sh, before anything is known to be installed: it may import nothing but Node's own modules.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

type LockEntry = { version?: string; optional?: boolean; link?: boolean };
type LockFile = { packages?: Record<string, LockEntry> };

/** Paths whose installed version isn't the locked one. Optional packages of other platforms may be absent. */
export function staleEntries(locked: LockFile, installed: LockFile): string[] {
  const there = installed.packages ?? {};
  return Object.entries(locked.packages ?? {})
    .filter(([path, entry]) => {
      if (path === '' || entry.link) return false;
      const found = there[path];
      return found === undefined ? !entry.optional : found.version !== entry.version;
    })
    .map(([path]) => path);
}

const readLock = (path: string): LockFile => JSON.parse(readFileSync(path, 'utf8')) as LockFile;

if (import.meta.main) {
  const home = process.argv[2] ?? '.';
  const stale = staleEntries(
    readLock(join(home, 'package-lock.json')),
    readLock(join(home, 'node_modules', '.package-lock.json')),
  );
  process.exitCode = stale.length === 0 ? 0 : 1;
}
