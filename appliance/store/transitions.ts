/**
 * What a write makes of an object: the rules of Kubernetes' apiserver (registry/rest and the status
 * subresource) that both stores share. Pure; the SQLite store only keeps what comes out.
 */
import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { CroftError } from '../errors.ts';
import { idLabel } from '../resources/identity.ts';
import { describe, type Kind } from '../resources/kind.ts';
import type { ObjectMeta, Resource } from '../resources/meta.ts';
import type { DeleteOptions } from './store.ts';

/** Plain JSON: no undefined fields, nothing shared with the caller. */
export const plain = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

/** Times have whole seconds in Kubernetes' metadata. */
const timestamp = (now: Date): string => now.toISOString().replace(/\.\d+Z$/, 'Z');

/** The half of the metadata that a caller decides; the rest is the store's. */
const wishedMetadata = ({ labels, annotations, finalizers, ownerReferences }: ObjectMeta): Partial<ObjectMeta> => ({
  ...(labels === undefined ? {} : { labels }),
  ...(annotations === undefined ? {} : { annotations }),
  ...(finalizers === undefined || finalizers.length === 0 ? {} : { finalizers: [...new Set(finalizers)] }),
  ...(ownerReferences === undefined || ownerReferences.length === 0 ? {} : { ownerReferences }),
});

/** A new object from a draft. Status is not taken: as with a status subresource, only updateStatus writes it. */
export function created(kind: Kind, draft: { metadata: ObjectMeta; spec: unknown }, now = new Date()): Resource {
  const { name, namespace } = draft.metadata;
  return {
    apiVersion: kind.apiVersion,
    kind: kind.kind,
    metadata: {
      name,
      ...(kind.namespaced ? { namespace } : {}),
      uid: randomUUID(),
      generation: 1,
      creationTimestamp: timestamp(now),
      ...wishedMetadata(draft.metadata),
    },
    spec: draft.spec,
  };
}

/** @throws CroftError `conflict` when uid or version are given and not the stored ones. */
export function checkPreconditions(before: Resource, { uid, resourceVersion }: DeleteOptions): void {
  if (uid !== undefined && uid !== before.metadata.uid) {
    throw new CroftError(
      'conflict',
      `${describe(before)} is another object of this name: its uid is ${before.metadata.uid}, not ${uid}.`,
    );
  }
  if (resourceVersion !== undefined && resourceVersion !== before.metadata.resourceVersion) {
    throw new CroftError(
      'conflict',
      `${describe(before)} changed meanwhile: it is at version ${before.metadata.resourceVersion}, not ${resourceVersion}.`,
    );
  }
}

function checkIdKept(before: Resource, object: Resource): void {
  const id = before.metadata.labels?.[idLabel];
  const next = object.metadata.labels?.[idLabel];
  if (id === undefined || id === next) return;
  throw new CroftError('invalid-input', `${describe(before)}: metadata.labels["${idLabel}"] is ${id} and cannot be changed.`, {
    errors: [{ pointer: `/metadata/labels/${idLabel.replace('/', '~1')}`, detail: `cannot be changed; it must stay ${id}` }],
  });
}

function checkFinalizers(before: Resource, object: Resource): void {
  if (before.metadata.deletionTimestamp === undefined) return;
  const added = (object.metadata.finalizers ?? []).filter((one) => !before.metadata.finalizers?.includes(one));
  if (added.length === 0) return;
  throw new CroftError(
    'invalid-input',
    `${describe(before)} is being deleted: metadata.finalizers cannot gain ${added.join(', ')}.`,
    {
      errors: [{ pointer: '/metadata/finalizers', detail: `cannot gain ${added.join(', ')} while the object is being deleted` }],
    },
  );
}

/** The object with the caller's metadata and spec. @throws CroftError `invalid-input` for what may not change. */
export function updated(before: Resource, object: Resource): Resource {
  checkIdKept(before, object);
  checkFinalizers(before, object);
  const { labels: _l, annotations: _a, finalizers: _f, ownerReferences: _o, ...kept } = before.metadata;
  const sameSpec = isDeepStrictEqual(before.spec, object.spec);
  return {
    ...before,
    metadata: {
      ...kept,
      generation: (before.metadata.generation ?? 1) + (sameSpec ? 0 : 1),
      ...wishedMetadata(object.metadata),
    },
    spec: object.spec,
  };
}

/** The object with the caller's status. */
export function statusUpdated(before: Resource, object: Resource): Resource {
  const { status: _status, ...rest } = before;
  return object.status === undefined ? rest : { ...rest, status: object.status };
}

/** The object waiting for its finalizers; undefined when it has none and goes at once. */
export function deleted(before: Resource, now = new Date()): Resource | undefined {
  if (!before.metadata.finalizers?.length) return undefined;
  if (before.metadata.deletionTimestamp !== undefined) return before;
  return { ...before, metadata: { ...before.metadata, deletionTimestamp: timestamp(now) } };
}

/** True when the last finalizer of a deleted object is gone. */
export const isFinished = (object: Resource): boolean =>
  object.metadata.deletionTimestamp !== undefined && !object.metadata.finalizers?.length;

export const isUnchanged = (before: Resource, after: Resource): boolean => isDeepStrictEqual(before, after);
