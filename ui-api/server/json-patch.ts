/** Patches of JSON: RFC 7396 (merge) and RFC 6902 (JSON patch). Pure. */
import { isDeepStrictEqual } from 'node:util';
import { CroftError } from '../../appliance/errors.ts';
import { isObject, type Json } from './kube/wire.ts';

export const patchTypes = {
  merge: 'application/merge-patch+json',
  json: 'application/json-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
} as const;

/** RFC 7396. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const merged: Json = { ...(isObject(target) ? target : {}) };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else merged[key] = mergePatch(merged[key], value);
  }
  return merged;
}

/** True where a strategic merge patch means the same as a merge patch: it has maps only, and none of its directives. */
export const isPlainMerge = (patch: unknown): boolean =>
  !Array.isArray(patch) &&
  (!isObject(patch) || Object.entries(patch).every(([key, value]) => !key.startsWith('$') && isPlainMerge(value)));

type Operation = { op?: unknown; path?: unknown; from?: unknown; value?: unknown };

const wrong = (index: number, why: string): CroftError =>
  new CroftError('invalid-input', `JSON patch, operation ${index}: ${why}.`, { errors: [{ pointer: `/${index}`, detail: why }] });

/** RFC 6902. @throws CroftError `invalid-input` naming the operation */
export function jsonPatch(target: unknown, operations: unknown): unknown {
  if (!Array.isArray(operations)) throw new CroftError('invalid-input', 'A JSON patch is a list of operations.');
  // Values are reached through one property of a root of ours, so that the path '' is no case of its own.
  const root = { document: structuredClone(target) };
  for (const [index, operation] of (operations as Operation[]).entries()) apply(root, operation ?? {}, index);
  return root.document;
}

function partsOf(pointer: unknown, index: number): string[] {
  if (typeof pointer !== 'string' || (pointer !== '' && !pointer.startsWith('/')))
    throw wrong(index, `${JSON.stringify(pointer)} is not a path like /metadata/labels/app`);
  return ['document', ...pointer.split('/').slice(1)].map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
}

type Place = { parent: Json | unknown[]; key: string };

function placeOf(root: Json, pointer: unknown, index: number): Place {
  const parts = partsOf(pointer, index);
  const key = parts.pop() as string;
  let parent: unknown = root;
  for (const part of parts) parent = read({ parent: parent as Json, key: part });
  if (typeof parent !== 'object' || parent === null) throw wrong(index, `there is nothing at ${String(pointer)}`);
  return { parent: parent as Json, key };
}

function read({ parent, key }: Place): unknown {
  if (Array.isArray(parent)) return /^\d+$/.test(key) ? parent[Number(key)] : undefined;
  return isObject(parent) && Object.hasOwn(parent, key) ? parent[key] : undefined;
}

function add({ parent, key }: Place, value: unknown, index: number): void {
  if (!Array.isArray(parent)) {
    if (key === '__proto__') throw wrong(index, 'no field has this name');
    parent[key] = value;
    return;
  }
  const at = key === '-' ? parent.length : /^\d+$/.test(key) ? Number(key) : -1;
  if (at < 0 || at > parent.length) throw wrong(index, `the list has no place ${key}`);
  parent.splice(at, 0, value);
}

function remove(place: Place, index: number): unknown {
  const value = read(place);
  if (value === undefined) throw wrong(index, `there is nothing at ${place.key}`);
  if (Array.isArray(place.parent)) place.parent.splice(Number(place.key), 1);
  else delete place.parent[place.key];
  return value;
}

function apply(root: Json, { op, path, from, value }: Operation, index: number): void {
  const place = placeOf(root, path, index);
  switch (op) {
    case 'add':
      return add(place, structuredClone(value), index);
    case 'remove':
      return void remove(place, index);
    case 'replace':
      remove(place, index);
      return add(place, structuredClone(value), index);
    case 'move': {
      const moved = remove(placeOf(root, from, index), index);
      // Found anew: what was taken out may have been before it in the same list.
      return add(placeOf(root, path, index), moved, index);
    }
    case 'copy': {
      const copied = read(placeOf(root, from, index));
      if (copied === undefined) throw wrong(index, `there is nothing at ${String(from)}`);
      return add(place, structuredClone(copied), index);
    }
    case 'test':
      if (!isDeepStrictEqual(read(place), value)) throw wrong(index, `the test of ${String(path)} failed: the value is another`);
      return undefined;
    default:
      throw wrong(index, `op ${JSON.stringify(op)} must be add, remove, replace, move, copy or test`);
  }
}
