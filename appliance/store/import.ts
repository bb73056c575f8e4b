/** Objects as another store had them, into a new store file: with their uids, owners, status and generation. */
import type { Resource } from '../resources/meta.ts';
import { openObjectTable } from './object-table.ts';

/**
 * Fills a new store; only `resourceVersion` is given anew. Everything is on disk when it returns.
 * @throws CroftError `insufficient-storage`, `too-large`
 */
export function importObjects(path: string, keyFile: string, objects: readonly Resource[]): void {
  const table = openObjectTable({ path, keyFile, changeLogLimit: 1 });
  try {
    for (const object of objects) table.put(object, undefined);
  } finally {
    table.close();
  }
}
