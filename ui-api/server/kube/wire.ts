/**
 * Objects between the store's one shape and what kubectl sends and reads. Secret has its fields at the top level; the
 * rest differ in metadata only. Field validation is kube-apiserver's (`fieldValidation`, apimachinery
 * pkg/apis/meta/v1): fields that nobody knows are an error, a warning or dropped; a field that upstream has and Croft
 * doesn't support stays, so that the store refuses it by name whatever the client asked for. Pure.
 */
import { randomBytes } from 'node:crypto';
import { CroftError } from '../../../appliance/errors.ts';
import { secret } from '../../../appliance/resources/core-kinds.ts';
import { idLabel } from '../../../appliance/resources/identity.ts';
import type { Kind } from '../../../appliance/resources/kind.ts';
import { ObjectMeta, type Resource } from '../../../appliance/resources/meta.ts';
import { isUnsupported } from '../../../appliance/resources/support.ts';
import { pathOf } from '../../../appliance/store/schema-errors.ts';

export type Json = Record<string, unknown>;
export type FieldValidation = 'Strict' | 'Warn' | 'Ignore';

export const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);

export function outgoing(kind: Kind, { spec, ...object }: Resource): Json {
  if (kind !== (secret as Kind)) return { ...object, spec };
  const { type, data } = spec as Json;
  return { ...object, type: type ?? 'Opaque', data };
}

/** In Go a null is a field that isn't there: manifests that programs write are full of them. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (!isObject(value)) return value;
  const present = Object.entries(value).filter(([, inner]) => inner !== null);
  return Object.fromEntries(present.map(([key, inner]) => [key, withoutNulls(inner)]));
}

function secretSpec({ type, data, stringData, immutable, ...rest }: Json): Json {
  if (immutable === true)
    throw new CroftError('unsupported-field', 'immutable: secrets that cannot be changed are not supported; leave it out.');
  if (stringData !== undefined && !isObject(stringData)) throw new CroftError('invalid-input', 'stringData: must be an object.');
  const plain = Object.entries(stringData ?? {}).map(([key, value]) => [key, Buffer.from(String(value)).toString('base64')]);
  const spec = { ...(type === undefined ? {} : { type }), data: { ...(data as object), ...Object.fromEntries(plain) } };
  return { ...rest, spec };
}

type Schema = { properties?: Record<string, Schema>; items?: Schema; additionalProperties?: unknown };

/** Takes out what the schema doesn't know, and tells the paths; what upstream knows stays to be refused. */
function prune(kind: Kind, schema: Schema, value: unknown, pointer: string, dropped: string[]): void {
  if (Array.isArray(value)) {
    if (schema.items)
      for (const [index, item] of value.entries()) prune(kind, schema.items, item, `${pointer}/${index}`, dropped);
    return;
  }
  if (!isObject(value) || !schema.properties) return;
  for (const key of Object.keys(value)) {
    const at = `${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    if (Object.hasOwn(schema.properties, key)) prune(kind, schema.properties[key] as Schema, value[key], at, dropped);
    else if (schema.additionalProperties === false && !isUnsupported(kind, at, value[key])) {
      delete value[key];
      dropped.push(pathOf(at));
    }
  }
}

const rootSchema = (kind: Kind): Schema => ({
  additionalProperties: false,
  properties: {
    apiVersion: {},
    kind: {},
    metadata: { additionalProperties: false, properties: ObjectMeta.properties as unknown as Record<string, Schema> },
    spec: kind.spec as Schema,
    status: {},
  },
});

export type Read = { object: Resource /** Unknown fields that were dropped. */; dropped: string[] };

/**
 * An object as a client sent it, for the place that its address names.
 * @throws CroftError `invalid-input`
 */
export function incoming(kind: Kind, body: unknown, place: { name?: string; namespace?: string }, mode: FieldValidation): Read {
  if (!isObject(body)) throw new CroftError('invalid-input', `The body must be an object of kind ${kind.kind}.`);
  const given = withoutNulls(body) as Json;
  if (given.metadata !== undefined && !isObject(given.metadata))
    throw new CroftError('invalid-input', 'metadata: must be an object.');
  const { generateName, managedFields: _m, selfLink: _s, deletionGracePeriodSeconds: _d, ...metadata } = given.metadata ?? {};
  if (metadata.name === undefined && typeof generateName === 'string')
    metadata.name = `${generateName}${randomBytes(4).readUInt32BE().toString(36).slice(0, 5).padStart(5, '0')}`;
  for (const field of ['name', 'namespace'] as const) {
    if (place[field] === undefined) continue;
    if (metadata[field] !== undefined && metadata[field] !== place[field]) {
      const said = `${JSON.stringify(metadata[field])} is not ${JSON.stringify(place[field])}, which the request is for`;
      throw new CroftError('invalid-input', `metadata.${field}: ${said}.`, {
        errors: [{ pointer: `/metadata/${field}`, detail: said }],
      });
    }
    metadata[field] = place[field];
  }
  const shaped: Json = { ...(kind === (secret as Kind) ? secretSpec(given) : given), metadata };
  for (const field of ['apiVersion', 'kind'] as const) shaped[field] ??= kind[field];
  const dropped: string[] = [];
  prune(kind, rootSchema(kind), shaped, '', dropped);
  if (mode === 'Strict' && dropped.length > 0) {
    const told = dropped.map((path) => `unknown field "${path}"`).join(', ');
    throw new CroftError('invalid-input', `strict decoding error: ${told}`);
  }
  return { object: shaped as unknown as Resource, dropped };
}

/** What a client may leave out of a replacement: the id, and what the store fills in. */
export function asBefore(before: Resource, object: Resource): Resource {
  const { labels: _l, annotations: _a, finalizers: _f, ownerReferences: _o, resourceVersion: _v, ...kept } = before.metadata;
  const id = before.metadata.labels?.[idLabel];
  const { labels } = object.metadata;
  return {
    ...object,
    metadata: {
      ...kept,
      ...object.metadata,
      ...(id === undefined || labels?.[idLabel] !== undefined ? {} : { labels: { ...labels, [idLabel]: id } }),
    },
  };
}
