/**
 * Whether an object may be stored: its kind's schema, and Kubernetes' rules for names, labels and
 * metadata (apimachinery pkg/util/validation). What passes here a kube-apiserver would keep too.
 */
import { CroftError, type FieldError } from '../errors.ts';
import { secret } from '../resources/core-kinds.ts';
import { idLabel, isUuid } from '../resources/identity.ts';
import type { Kind } from '../resources/kind.ts';
import { ObjectMeta } from '../resources/meta.ts';
import { isUnsupported } from '../resources/support.ts';
import { pathOf, schemaErrors, shown } from './schema-errors.ts';
import { labelKeyFault, labelValueFault } from './selectors.ts';

/** etcd's default request limit (1.5 MiB): no store keeps larger objects. */
export const maxObjectBytes = 1.5 * 1024 * 1024;
const maxAnnotationBytes = 256 * 1024;

const labelPattern = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const subdomainPattern = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

/** True for an RFC 1123 label: 1 to 63 of a-z, 0-9 and -, not beginning or ending with -. */
export const isDnsLabel = (text: string): boolean => text.length <= 63 && labelPattern.test(text);
/** True for an RFC 1123 subdomain: labels joined by dots, at most 253 characters. */
export const isDnsSubdomain = (text: string): boolean => text.length <= 253 && subdomainPattern.test(text);

function nameErrors(kind: Kind, name: unknown): FieldError[] {
  const pointer = '/metadata/name';
  if (typeof name !== 'string' || name === '') return [{ pointer, detail: 'is missing and required' }];
  if (!isDnsSubdomain(name)) {
    return [
      {
        pointer,
        detail: `${shown(name)} is not a name: use at most 253 lower-case letters, digits, - and ., beginning and ending with a letter or digit`,
      },
    ];
  }
  // `/v1` takes a name or an id in the same place.
  if (kind.home === 'ours' && isUuid(name)) {
    return [{ pointer, detail: `${shown(name)} looks like an id (UUID); choose a name that does not` }];
  }
  return [];
}

function namespaceErrors(kind: Kind, namespace: unknown): FieldError[] {
  const pointer = '/metadata/namespace';
  if (!kind.namespaced) {
    if (namespace === undefined || namespace === '') return [];
    return [{ pointer, detail: `${shown(namespace)} is given, but a ${kind.kind} belongs to no project; leave it out` }];
  }
  if (typeof namespace !== 'string' || namespace === '') {
    return [{ pointer, detail: `is missing: a ${kind.kind} belongs to a project` }];
  }
  if (isDnsLabel(namespace)) return [];
  return [{ pointer, detail: `${shown(namespace)} is not a project name: use at most 63 lower-case letters, digits and -` }];
}

const escapePointer = (part: string): string => part.replaceAll('~', '~0').replaceAll('/', '~1');

function labelErrors(metadata: ObjectMeta): FieldError[] {
  const errors: FieldError[] = [];
  for (const [key, value] of Object.entries(metadata.labels ?? {})) {
    const pointer = `/metadata/labels/${escapePointer(key)}`;
    const keyFault = labelKeyFault(key);
    if (keyFault) errors.push({ pointer, detail: `is not a label key: ${keyFault}` });
    const valueFault = labelValueFault(value);
    if (valueFault) errors.push({ pointer, detail: `${shown(value)} ${valueFault}` });
  }
  // The id names files, processes and interfaces of the box.
  const id = metadata.labels?.[idLabel];
  if (id !== undefined && !isUuid(id)) {
    errors.push({ pointer: `/metadata/labels/${escapePointer(idLabel)}`, detail: `${shown(id)} must be a UUID in lower case` });
  }
  return errors;
}

function annotationErrors(metadata: ObjectMeta): FieldError[] {
  const errors: FieldError[] = [];
  let bytes = 0;
  for (const [key, value] of Object.entries(metadata.annotations ?? {})) {
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
    const fault = labelKeyFault(key.toLowerCase());
    if (fault)
      errors.push({ pointer: `/metadata/annotations/${escapePointer(key)}`, detail: `is not an annotation key: ${fault}` });
  }
  if (bytes > maxAnnotationBytes) {
    errors.push({ pointer: '/metadata/annotations', detail: `has ${bytes} bytes; at most ${maxAnnotationBytes} fit` });
  }
  return errors;
}

function referenceErrors(metadata: ObjectMeta): FieldError[] {
  const errors: FieldError[] = [];
  for (const [index, finalizer] of (metadata.finalizers ?? []).entries()) {
    const fault = labelKeyFault(finalizer);
    if (fault)
      errors.push({ pointer: `/metadata/finalizers/${index}`, detail: `${shown(finalizer)} is not a finalizer: ${fault}` });
  }
  for (const [index, reference] of (metadata.ownerReferences ?? []).entries()) {
    for (const field of ['apiVersion', 'kind', 'name', 'uid'] as const) {
      if (reference[field] === '')
        errors.push({ pointer: `/metadata/ownerReferences/${index}/${field}`, detail: 'must not be empty' });
    }
  }
  return errors;
}

const knownMetadata = new Set(Object.keys(ObjectMeta.properties));
/** Set by a kube-apiserver on what it hands out; means nothing here, so manifests may carry it. */
const ignoredMetadata = new Set(['managedFields', 'selfLink', 'deletionGracePeriodSeconds']);

function metadataErrors(kind: Kind, metadata: unknown): FieldError[] {
  const errors = schemaErrors(ObjectMeta, metadata, '/metadata').filter(({ pointer }) => pointer !== '/metadata/name');
  if (typeof metadata !== 'object' || metadata === null) return errors;
  const given = metadata as ObjectMeta;
  const unknown = Object.keys(metadata).filter((key) => !knownMetadata.has(key) && !ignoredMetadata.has(key));
  errors.push(
    ...unknown.map((key) => ({
      pointer: `/metadata/${escapePointer(key)}`,
      detail: `is not a known field (known here: ${[...knownMetadata].join(', ')})`,
    })),
  );
  errors.push(...nameErrors(kind, given.name), ...namespaceErrors(kind, given.namespace));
  // The rules below read the fields' values, so they need them to be of the right type.
  if (errors.length > 0) return errors;
  return [...labelErrors(given), ...annotationErrors(given), ...referenceErrors(given)];
}

/**
 * @throws CroftError with all errors; its message tells the first three. `unsupported-field` when nothing else is wrong
 * than what Croft doesn't support, `invalid-input` otherwise
 */
export function refuse(subject: string, errors: FieldError[]): void {
  if (errors.length === 0) return;
  const told = errors.slice(0, 3).map(({ pointer, detail }) => `${pathOf(pointer)}: ${detail}`);
  const more = errors.length > 3 ? `; and ${errors.length - 3} more` : '';
  const code = errors.every(({ detail }) => detail.endsWith(notSupported)) ? 'unsupported-field' : 'invalid-input';
  throw new CroftError(code, `${subject}: ${told.join('; ')}${more}.`, { errors });
}

const topFields = new Set(['apiVersion', 'kind', 'metadata', 'spec', 'status']);

/** All that is wrong with metadata and spec; empty when nothing is. `status` is left alone. */
export function objectErrors(kind: Kind, object: unknown): FieldError[] {
  if (typeof object !== 'object' || object === null) return [{ pointer: '', detail: `must be an object of kind ${kind.kind}` }];
  const given = object as Record<string, unknown>;
  const errors = Object.keys(given)
    .filter((key) => !topFields.has(key))
    .map((key) => ({
      pointer: `/${escapePointer(key)}`,
      detail: `is not a known field (known here: ${[...topFields].join(', ')})`,
    }));
  for (const field of ['apiVersion', 'kind'] as const) {
    if (given[field] !== undefined && given[field] !== kind[field]) {
      errors.push({ pointer: `/${field}`, detail: `${shown(given[field])} must be ${shown(kind[field])}` });
    }
  }
  errors.push(...metadataErrors(kind, given.metadata ?? {}));
  if (given.spec === undefined) errors.push({ pointer: '/spec', detail: 'is missing and required' });
  else errors.push(...schemaErrors(kind.spec, given.spec, '/spec', kind.kind === secret.kind));
  return errors.map((error) => toldApart(kind, error, given));
}

const notSupported = 'is a field (or value) of KubeVirt that Croft does not support';

/** A field that upstream has is no typing error: its sentence says so. */
function toldApart(kind: Kind, error: FieldError, object: unknown): FieldError {
  let value: unknown = object;
  for (const part of error.pointer.slice(1).split('/')) value = (value as Record<string, unknown> | undefined)?.[part];
  if (!isUnsupported(kind, error.pointer, value)) return error;
  const said = typeof value === 'string' || typeof value === 'boolean' ? `${shown(value)} ` : '';
  return { pointer: error.pointer, detail: `${said}${notSupported}` };
}

const subjectOf = (kind: Kind, object: unknown): string => {
  const name = (object as { metadata?: { name?: unknown } } | undefined)?.metadata?.name;
  return typeof name === 'string' && name !== '' ? `${kind.kind} ${name}` : kind.kind;
};

/** Checks metadata and spec. @throws CroftError `invalid-input` naming path, value and what would be right. */
export const validateObject = (kind: Kind, object: unknown): void => refuse(subjectOf(kind, object), objectErrors(kind, object));

/** Checks status; an absent one is right. @throws CroftError `invalid-input` */
export function validateStatus(kind: Kind, object: { metadata?: unknown; status?: unknown }): void {
  if (object.status === undefined) return;
  refuse(subjectOf(kind, object), schemaErrors(kind.status, object.status, '/status'));
}

/** Checks that a name may be looked up: right scope. @throws CroftError `invalid-input` */
export const validateScope = (kind: Kind, namespace: string | undefined): void =>
  refuse(kind.kind, namespaceErrors(kind, namespace));

/** @throws CroftError `too-large` when the object's JSON would not fit an etcd request. */
export function validateSize(kind: Kind, name: string, json: string): void {
  const bytes = Buffer.byteLength(json);
  if (bytes <= maxObjectBytes) return;
  throw new CroftError('too-large', `${kind.kind} ${name} has ${bytes} bytes; at most ${maxObjectBytes} can be stored.`);
}
