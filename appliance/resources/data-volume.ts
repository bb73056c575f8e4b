/**
 * CDI's DataVolume (cdi.kubevirt.io/v1beta1, containerized-data-importer-api pkg/apis/core/v1beta1/types.go) and
 * Kubernetes' PersistentVolumeClaim (core/v1): how a disk is asked for and where it is bound.
 * A DataVolume makes a claim of its own name; the claim's `croft.io/id` names the volume in its pool.
 */
import { Type, type Static } from 'typebox';
import { Condition } from './meta.ts';
import { defineKind, type Of } from './kind.ts';

const strict = { additionalProperties: false } as const;
const Quantity = Type.Union([Type.Integer({ minimum: 0 }), Type.String()]);
const Requests = Type.Object({ requests: Type.Optional(Type.Object({ storage: Quantity }, strict)) }, strict);

/** Images are offered as DataSources of this namespace: `sourceRef: {kind: DataSource, namespace: croft-images, name}`. */
export const imageNamespace = 'croft-images';

/** StorageClass of a pool: `croft-<pool>`. */
export const storageClassOf = (pool: string): string => `croft-${pool}`;
export const poolOf = (storageClassName: string | undefined): string =>
  (storageClassName ?? 'croft-local').replace(/^croft-/, '');

/** On a claim whose volume was moved: the pool it is in. A claim's storage class cannot be changed in Kubernetes. */
export const poolAnnotation = 'croft.io/pool';
/** On a claim whose volume is being moved: name of the VolumeMove. Nobody else begins anything with the volume meanwhile. */
export const moveAnnotation = 'croft.io/move';

export const DataVolumeSpec = Type.Object(
  {
    source: Type.Optional(
      Type.Object(
        {
          blank: Type.Optional(Type.Object({}, strict)),
          pvc: Type.Optional(Type.Object({ name: Type.String(), namespace: Type.Optional(Type.String()) }, strict)),
          snapshot: Type.Optional(Type.Object({ name: Type.String(), namespace: Type.Optional(Type.String()) }, strict)),
          http: Type.Optional(Type.Object({ url: Type.String() }, strict)),
        },
        strict,
      ),
    ),
    sourceRef: Type.Optional(
      Type.Object({ kind: Type.Literal('DataSource'), name: Type.String(), namespace: Type.Optional(Type.String()) }, strict),
    ),
    storage: Type.Optional(
      Type.Object(
        {
          accessModes: Type.Optional(Type.Array(Type.String())),
          resources: Type.Optional(Requests),
          storageClassName: Type.Optional(Type.String()),
          volumeMode: Type.Optional(Type.String()),
        },
        strict,
      ),
    ),
    pvc: Type.Optional(
      Type.Object(
        {
          accessModes: Type.Optional(Type.Array(Type.String())),
          resources: Type.Optional(Requests),
          storageClassName: Type.Optional(Type.String()),
          volumeMode: Type.Optional(Type.String()),
        },
        strict,
      ),
    ),
  },
  strict,
);
export type DataVolumeSpec = Static<typeof DataVolumeSpec>;

export const DataVolumeTemplate = Type.Object(
  {
    metadata: Type.Object({
      name: Type.String({ minLength: 1 }),
      labels: Type.Optional(Type.Record(Type.String(), Type.String())),
      annotations: Type.Optional(Type.Record(Type.String(), Type.String())),
    }),
    spec: DataVolumeSpec,
  },
  strict,
);

export const dataVolume = defineKind({
  apiVersion: 'cdi.kubevirt.io/v1beta1',
  kind: 'DataVolume',
  plural: 'datavolumes',
  shortNames: ['dv', 'dvs'],
  namespaced: true,
  spec: DataVolumeSpec,
  status: Type.Object({
    /** Upstream's DataVolumePhase: Pending, ImportInProgress, CloneInProgress, Succeeded, Failed … */
    phase: Type.Optional(Type.String()),
    progress: Type.Optional(Type.String()),
    claimName: Type.Optional(Type.String()),
    conditions: Type.Optional(Type.Array(Condition)),
  }),
  columns: [
    { header: 'PHASE', path: '.status.phase' },
    { header: 'PROGRESS', path: '.status.progress' },
  ],
});
export type DataVolume = Of<typeof dataVolume>;

export const persistentVolumeClaim = defineKind({
  apiVersion: 'v1',
  kind: 'PersistentVolumeClaim',
  plural: 'persistentvolumeclaims',
  shortNames: ['pvc'],
  namespaced: true,
  home: 'core',
  spec: Type.Object(
    {
      accessModes: Type.Optional(Type.Array(Type.String())),
      resources: Type.Optional(Requests),
      storageClassName: Type.Optional(Type.String()),
      volumeMode: Type.Optional(Type.String()),
      volumeName: Type.Optional(Type.String()),
      dataSource: Type.Optional(
        Type.Object({ apiGroup: Type.Optional(Type.String()), kind: Type.String(), name: Type.String() }, strict),
      ),
    },
    strict,
  ),
  status: Type.Object({
    phase: Type.Optional(Type.Enum(['Pending', 'Bound', 'Lost'])),
    capacity: Type.Optional(Type.Record(Type.String(), Quantity)),
    conditions: Type.Optional(Type.Array(Condition)),
  }),
  columns: [
    { header: 'STATUS', path: '.status.phase' },
    { header: 'CAPACITY', path: '.status.capacity.storage' },
    { header: 'STORAGECLASS', path: '.spec.storageClassName' },
  ],
});
export type PersistentVolumeClaim = Of<typeof persistentVolumeClaim>;

/** The pool that holds a claim's volume: this alone says which of two copies is the disk. */
export const poolOfClaim = ({ metadata, spec }: PersistentVolumeClaim): string =>
  metadata.annotations?.[poolAnnotation] ?? poolOf(spec.storageClassName);
