/**
 * How an answer is shaped (apimachinery pkg/apis/meta/v1): the object, kubectl's Table of the kind's columns, or its
 * metadata alone. Pure.
 */
import type { Column, Kind } from '../../../appliance/resources/kind.ts';
import type { Resource } from '../../../appliance/resources/meta.ts';
import { isObject, outgoing, type Json } from './wire.ts';

export type Shape = { as: 'object' | 'table' | 'metadata'; rowObject: 'Metadata' | 'None' | 'Object' };

/** The first of the client's wishes that is served; JSON of the object otherwise. */
export function shapeOf(accept: string | undefined, includeObject: unknown): Shape {
  const rowObject = includeObject === 'None' || includeObject === 'Object' ? includeObject : 'Metadata';
  for (const wish of (accept ?? '').split(',')) {
    const [type = '', ...parameters] = wish.split(';').map((part) => part.trim());
    const wanted = new Map(parameters.map((parameter) => parameter.split('=') as [string, string]));
    if (type !== 'application/json' || wanted.get('g') === 'apidiscovery.k8s.io') continue;
    const as = wanted.get('as');
    if (as === undefined) break;
    if (wanted.get('v') !== 'v1') continue;
    if (as === 'Table') return { as: 'table', rowObject };
    if (as.startsWith('PartialObjectMetadata')) return { as: 'metadata', rowObject };
  }
  return { as: 'object', rowObject };
}

/** `.a.b`, `[0]` and `[?(@.type=="Ready")]`: the JSONPath that the columns use. */
export function valueAt(root: unknown, path: string): unknown {
  let here = root;
  for (const [, field, index, key, wanted] of path.matchAll(/\.([\w-]+)|\[(\d+)\]|\[\?\(@\.(\w+)==["'](\w+)["']\)\]/g)) {
    if (field !== undefined) here = isObject(here) ? here[field] : undefined;
    else if (!Array.isArray(here)) return undefined;
    else here = key === undefined ? here[Number(index)] : here.find((item) => isObject(item) && item[key] === wanted);
  }
  return here;
}

const units = [
  [86_400, 'd'],
  [3_600, 'h'],
  [60, 'm'],
] as const;

/** As kubectl writes ages, to one unit: `90s`, `3m`, `12d`. */
export function ageOf(time: string | undefined, now = Date.now()): string {
  if (time === undefined) return '<unknown>';
  const seconds = Math.max(0, Math.floor((now - Date.parse(time)) / 1000));
  const [size, letter] = units.find(([least]) => seconds >= 2 * least) ?? [1, 's'];
  return `${Math.floor(seconds / size)}${letter}`;
}

const definition = (name: string, wide: boolean | undefined) => ({
  name: name[0] + name.slice(1).toLowerCase(),
  type: 'string',
  format: name === 'NAME' ? 'name' : '',
  description: '',
  priority: wide ? 1 : 0,
});

const metadataOf = (object: Json) => ({
  kind: 'PartialObjectMetadata',
  apiVersion: 'meta.k8s.io/v1',
  metadata: object.metadata,
});

export type Row = { cells: unknown[]; object: Json };

/** @param metadata of the list @param headers only a watch's first event has them */
export function tableOf(
  columns: readonly Column[],
  rows: readonly Row[],
  metadata: object,
  { rowObject }: Shape,
  headers = true,
) {
  const definitions = [
    definition('NAME', false),
    ...columns.map(({ header, wide }) => definition(header, wide)),
    definition('AGE', false),
  ];
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata,
    columnDefinitions: headers ? definitions : [],
    rows: rows.map(({ cells, object }) => ({
      cells,
      object: rowObject === 'None' ? null : rowObject === 'Object' ? object : metadataOf(object),
    })),
  };
}

const cell = (value: unknown): unknown => (typeof value === 'object' && value !== null ? JSON.stringify(value) : (value ?? null));

export function rowOf(kind: Kind, object: Resource): Row {
  const { name, creationTimestamp } = object.metadata;
  const cells = [name, ...kind.columns.map(({ path }) => cell(valueAt(object, path))), ageOf(creationTimestamp)];
  return { cells, object: outgoing(kind, object) };
}

/** One object in the shape asked for. */
export function shaped(kind: Kind, object: Resource, shape: Shape, headers = true): Json {
  const { resourceVersion } = object.metadata;
  if (shape.as === 'table') return tableOf(kind.columns, [rowOf(kind, object)], { resourceVersion }, shape, headers);
  return shape.as === 'metadata' ? metadataOf(outgoing(kind, object)) : outgoing(kind, object);
}

/** A list in the shape asked for. */
export function shapedList(
  kind: Kind,
  items: readonly Resource[],
  metadata: { resourceVersion: string; continue?: string },
  shape: Shape,
): Json {
  if (shape.as === 'table')
    return tableOf(
      kind.columns,
      items.map((item) => rowOf(kind, item)),
      metadata,
      shape,
    );
  const out = items.map((item) => outgoing(kind, item));
  return shape.as === 'metadata'
    ? { kind: 'PartialObjectMetadataList', apiVersion: 'meta.k8s.io/v1', metadata, items: out.map(metadataOf) }
    : { kind: `${kind.kind}List`, apiVersion: kind.apiVersion, metadata, items: out };
}
