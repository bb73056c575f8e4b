/**
 * Objects between Croft's one shape (metadata, spec, status) and the wire. Custom resources differ only in metadata
 * that is Kubernetes' own; Secret has its fields at the top level; a claim's source stands in `dataSourceRef`, the only
 * field that keeps kinds Kubernetes doesn't know (core/v1 PersistentVolumeClaimSpec). Pure.
 */
import { persistentVolumeClaim } from '../resources/data-volume.ts';
import { secret } from '../resources/core-kinds.ts';
import type { Kind } from '../resources/kind.ts';
import type { ObjectMeta, Resource } from '../resources/meta.ts';

/** JSON as the API server has it. */
export type WireObject = {
  apiVersion?: string;
  kind?: string;
  metadata: ObjectMeta & Record<string, unknown>;
  spec?: Record<string, unknown>;
  status?: Record<string, unknown>;
} & Record<string, unknown>;

export const crdGroup = 'croft.io';

/** `/apis/kubevirt.io/v1/namespaces/default/virtualmachines/web`; without a name the collection. */
export function pathOfKind(kind: Kind, namespace?: string, name?: string, subresource?: 'status'): string {
  const root = kind.apiVersion.includes('/') ? `/apis/${kind.apiVersion}` : `/api/${kind.apiVersion}`;
  const scope = kind.namespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  const leaf = name === undefined ? '' : `/${encodeURIComponent(name)}`;
  return `${root}${scope}/${kind.plural}${leaf}${subresource ? `/${subresource}` : ''}`;
}

const knownMetadata = [
  'name',
  'namespace',
  'uid',
  'resourceVersion',
  'generation',
  'creationTimestamp',
  'deletionTimestamp',
  'labels',
  'annotations',
  'finalizers',
  'ownerReferences',
] as const;

function metadataFromWire(wire: WireObject['metadata']): ObjectMeta {
  return Object.fromEntries(knownMetadata.flatMap((key) => (wire[key] === undefined ? [] : [[key, wire[key]]]))) as ObjectMeta;
}

/** The metadata a client may send; what is left out stays as it is (apimachinery ValidateObjectMetaAccessorUpdate). */
function metadataToWire(kind: Kind, metadata: ObjectMeta): WireObject['metadata'] {
  const { name, namespace, uid, resourceVersion, labels, annotations, finalizers, ownerReferences } = metadata;
  return {
    name,
    ...(kind.namespaced && namespace !== undefined ? { namespace } : {}),
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
    ...(labels === undefined ? {} : { labels }),
    ...(annotations === undefined ? {} : { annotations }),
    ...(finalizers === undefined ? {} : { finalizers: [...new Set(finalizers)] }),
    ...(ownerReferences === undefined ? {} : { ownerReferences }),
  };
}

/** What the schema of a claim knows; the rest are Kubernetes' defaults, which stay where they are. */
const claimFields = Object.keys((persistentVolumeClaim.spec as unknown as { properties: object }).properties);

function claimFromWire({ dataSourceRef, ...spec }: Record<string, unknown>): Record<string, unknown> {
  const known = Object.fromEntries(Object.entries(spec).filter(([key]) => claimFields.includes(key)));
  const { namespace: _, ...source } = (dataSourceRef ?? {}) as Record<string, unknown>;
  return dataSourceRef === undefined ? known : { ...known, dataSource: source };
}

function claimToWire({ dataSource, ...spec }: Record<string, unknown>): Record<string, unknown> {
  if (dataSource === undefined) return spec;
  const source = dataSource as { apiGroup?: string; kind: string; name: string };
  const foreign = source.kind !== persistentVolumeClaim.kind && source.apiGroup === undefined;
  return { ...spec, dataSourceRef: foreign ? { apiGroup: crdGroup, ...source } : source };
}

/** An object as the store hands it out. */
export function fromWire(kind: Kind, wire: WireObject): Resource {
  const base = { apiVersion: kind.apiVersion, kind: kind.kind, metadata: metadataFromWire(wire.metadata) };
  if (kind.kind === secret.kind && kind.home === 'core') {
    return { ...base, spec: { ...(wire.type === undefined ? {} : { type: wire.type }), data: wire.data ?? {} } };
  }
  const spec = kind === (persistentVolumeClaim as Kind) ? claimFromWire(wire.spec ?? {}) : (wire.spec ?? {});
  return { ...base, spec, ...(wire.status === undefined ? {} : { status: wire.status }) };
}

/** An object as it is written. @param stored what is there now: fields that Croft doesn't know are kept as they are */
export function toWire(kind: Kind, object: Resource, stored?: WireObject): WireObject {
  const base = { apiVersion: kind.apiVersion, kind: kind.kind, metadata: metadataToWire(kind, object.metadata) };
  const spec = object.spec as Record<string, unknown>;
  if (kind.kind === secret.kind && kind.home === 'core') {
    const { type, data } = spec;
    return { ...base, ...(type === undefined ? {} : { type }), data };
  }
  if (kind !== (persistentVolumeClaim as Kind)) {
    return { ...base, spec, ...(object.status === undefined ? {} : { status: object.status as Record<string, unknown> }) };
  }
  const kept = Object.entries(stored?.spec ?? {}).filter(([key]) => !claimFields.includes(key) || key === 'dataSource');
  const status = object.status as Record<string, unknown> | undefined;
  return { ...base, spec: { ...Object.fromEntries(kept), ...claimToWire(spec) }, ...(status === undefined ? {} : { status }) };
}
