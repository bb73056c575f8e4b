/**
 * DataVolume → a claim of its name, after CDI: source and size are settled here, the claim's controller makes the
 * volume. Once Succeeded it has done its work: a claim deleted afterwards is not made again (its data would be gone,
 * and nobody told).
 */
import { CroftError, isCroftError } from '../../appliance/errors.ts';
import { startController, watching, type Controller } from '../../appliance/reconcile/controller.ts';
import { fromKey, keyOf } from '../../appliance/reconcile/informer.ts';
import { image, singleUseAnnotation, poolOfImage } from '../../appliance/resources/croft-kinds.ts';
import {
  dataVolume,
  persistentVolumeClaim,
  poolOf,
  poolOfClaim,
  storageClassOf,
  type DataVolume,
  type PersistentVolumeClaim,
} from '../../appliance/resources/data-volume.ts';
import { idLabel, newId } from '../../appliance/resources/identity.ts';
import { ownerReferenceTo, setCondition, type Condition } from '../../appliance/resources/meta.ts';
import { formatBytes, humanBytes, parseBytes } from '../../appliance/resources/quantity.ts';
import { volumeSnapshotGroup } from '../../appliance/resources/snapshot.ts';
import { editStatus } from '../../appliance/store/edit.ts';
import type { ResourceStore } from '../../appliance/store/store.ts';
import { claimFinalizer } from './claims.ts';
import { conditionOf, type StorageContext } from './context.ts';
import { findSnapshotSource } from './snapshot-sources.ts';

const sectorSize = 512;
/** ms until a disk that waits for a snapshot looks again. */
const snapshotInterval = 2_000;

/** What a DataVolume asks for, settled. `wait`: a sentence why it cannot be settled yet. */
type Settled =
  | { pool: string; size: number; dataSource?: { apiGroup?: string; kind: string; name: string }; sourceNamespace?: string }
  | { wait: string };

export function startDataVolumeController(context: StorageContext): Controller {
  const { store, informers, logger } = context;

  return startController({
    name: 'data-volumes',
    logger,
    gate: context.gate,
    watches: [
      watching(informers.dataVolume),
      watching(informers.persistentVolumeClaim),
      watching(informers.image, (object) =>
        informers.dataVolume
          .list()
          .filter((found) => found.spec.sourceRef?.name === object.metadata.name)
          .map(keyOf),
      ),
    ],
    async reconcile(key) {
      const { name, namespace } = fromKey(key);
      const object = await store.get(dataVolume, name, namespace);
      if (!object || object.metadata.deletionTimestamp || object.status?.phase === 'Succeeded') return undefined;
      const claim = await store.get(persistentVolumeClaim, name, namespace);
      if (claim) {
        await follow(context, object, claim);
        return undefined;
      }
      try {
        const settled = await settle(context, object);
        if (!('wait' in settled)) {
          await makeClaim(context, object, settled);
          return undefined;
        }
        await report(context, object, 'Pending', settled.wait);
        // No event tells of a snapshot that became ready.
        return object.spec.source?.snapshot ? { requeueAfter: snapshotInterval } : undefined;
      } catch (error) {
        if (!isCroftError(error, 'invalid-input') && !isCroftError(error, 'unsupported-field')) throw error;
        await report(context, object, 'Failed', error.message);
        return undefined;
      }
    },
  });
}

async function settle({ store, informers }: StorageContext, object: DataVolume): Promise<Settled> {
  const { metadata, spec } = object;
  const wish = spec.storage ?? spec.pvc;
  const asked = wish?.resources?.requests?.storage;
  const size = asked === undefined ? undefined : roundUp(parseBytes(asked, 'spec.storage.resources.requests.storage'));
  const className = wish?.storageClassName;
  if (spec.sourceRef) {
    const source = await store.get(image, spec.sourceRef.name);
    if (!source) return { wait: `It waits for image ${spec.sourceRef.name}, which does not exist.` };
    const { phase, progress, virtualSize, message } = source.status ?? {};
    if (phase === 'Failed') return { wait: `Image ${source.metadata.name} failed: ${message}` };
    if (phase !== 'Ready' || virtualSize === undefined) {
      const percent = progress === undefined ? '' : `, ${Math.round(progress * 100)} %`;
      return { wait: `It waits for image ${source.metadata.name} (${(phase ?? 'pending').toLowerCase()}${percent}).` };
    }
    const pool = className === undefined ? poolOfImage(source) : poolOf(className);
    if (pool !== poolOfImage(source)) {
      throw new CroftError(
        'invalid-input',
        `spec.storage.storageClassName: image ${source.metadata.name} is in pool ${poolOfImage(source)}, not in ${pool}.`,
      );
    }
    assertLargeEnough(size, virtualSize, `image ${source.metadata.name}`);
    return { pool, size: size ?? virtualSize, dataSource: { apiGroup: 'croft.io', kind: 'Image', name: source.metadata.name } };
  }
  if (spec.source?.blank) {
    if (size === undefined || size === 0)
      throw new CroftError('invalid-input', 'spec.storage.resources.requests.storage: a blank disk needs a size.');
    return { pool: poolOf(className), size };
  }
  if (spec.source?.pvc) {
    const { name, namespace = metadata.namespace } = spec.source.pvc;
    const source = informers.persistentVolumeClaim.get(name, namespace);
    if (!source) return { wait: `It waits for disk ${namespace}/${name}, which does not exist.` };
    if (source.status?.phase !== 'Bound') return { wait: `It waits for disk ${namespace}/${name}, which is not ready.` };
    const sourceSize = parseBytes(source.status.capacity?.storage ?? 0, 'status.capacity.storage');
    assertLargeEnough(size, sourceSize, `disk ${name}`);
    const pool = poolOfClaim(source);
    if (className !== undefined && poolOf(className) !== pool) {
      throw new CroftError(
        'invalid-input',
        `spec.storage.storageClassName: disk ${name} is in pool ${pool}, not in ${poolOf(className)}.`,
      );
    }
    return {
      pool,
      size: size ?? sourceSize,
      dataSource: { kind: 'PersistentVolumeClaim', name },
      ...(namespace === metadata.namespace ? {} : { sourceNamespace: namespace }),
    };
  }
  if (spec.source?.snapshot) return await settleSnapshot(store, object, size);
  throw new CroftError(
    'unsupported-field',
    'spec.source: use blank, pvc, snapshot, or sourceRef to an image; an address is imported as an Image first.',
  );
}

/** A new disk from one disk of a VM's snapshot, in the same pool. */
async function settleSnapshot(store: ResourceStore, { metadata, spec }: DataVolume, size: number | undefined): Promise<Settled> {
  const { name, namespace = metadata.namespace } = (spec.source as { snapshot: { name: string; namespace?: string } }).snapshot;
  const source = await findSnapshotSource(store, name, namespace);
  if (!source) return { wait: `It waits for snapshot ${namespace}/${name}, which does not exist.` };
  if (!source.ready) return { wait: `It waits for snapshot ${namespace}/${name}, which is not ready.` };
  const { disk } = source;
  assertLargeEnough(size, disk.size, `snapshot ${name}`);
  const pool = poolOf(disk.storageClassName);
  const className = (spec.storage ?? spec.pvc)?.storageClassName;
  if (className !== undefined && poolOf(className) !== pool) {
    throw new CroftError(
      'invalid-input',
      `spec.storage.storageClassName: snapshot ${name} is in pool ${pool}, not in ${poolOf(className)}.`,
    );
  }
  return {
    pool,
    size: size ?? disk.size,
    dataSource: { apiGroup: volumeSnapshotGroup, kind: 'VolumeSnapshot', name },
    ...(namespace === metadata.namespace ? {} : { sourceNamespace: namespace }),
  };
}

const roundUp = (bytes: number): number => Math.ceil(bytes / sectorSize) * sectorSize;

function assertLargeEnough(size: number | undefined, least: number, what: string): void {
  if (size === undefined || size >= least) return;
  throw new CroftError(
    'invalid-input',
    `spec.storage.resources.requests.storage: ${humanBytes(size)} is smaller than ${what}, which has ${humanBytes(least)}.`,
  );
}

export const sourceNamespaceAnnotation = 'croft.io/source-namespace';

async function makeClaim(
  { store }: StorageContext,
  object: DataVolume,
  settled: Exclude<Settled, { wait: string }>,
): Promise<void> {
  const { name, namespace } = object.metadata;
  try {
    await store.create(persistentVolumeClaim, {
      metadata: {
        name,
        ...(namespace === undefined ? {} : { namespace }),
        labels: { [idLabel]: newId() },
        finalizers: [claimFinalizer],
        ownerReferences: [ownerReferenceTo(object)],
        ...(settled.sourceNamespace ? { annotations: { [sourceNamespaceAnnotation]: settled.sourceNamespace } } : {}),
      },
      spec: {
        accessModes: ['ReadWriteOnce'],
        volumeMode: 'Block',
        storageClassName: storageClassOf(settled.pool),
        resources: { requests: { storage: formatBytes(settled.size) } },
        ...(settled.dataSource ? { dataSource: settled.dataSource } : {}),
      },
    });
  } catch (error) {
    // Made by an earlier run that did not see its own write yet.
    if (!isCroftError(error, 'already-exists')) throw error;
  }
}

async function follow(context: StorageContext, object: DataVolume, claim: PersistentVolumeClaim): Promise<void> {
  const owned = claim.metadata.ownerReferences?.some((owner) => owner.uid === object.metadata.uid);
  if (!owned)
    return report(context, object, 'Failed', `A claim ${claim.metadata.name} exists already and is not of this DataVolume.`);
  if (claim.status?.phase === 'Bound') {
    // Before the end is told: told, this is not looked at again.
    await useUp(context, object);
    return report(context, object, 'Succeeded', '');
  }
  const message = conditionOf(claim.status?.conditions, 'Bound')?.message ?? 'The disk is being made.';
  const { source, sourceRef } = object.spec;
  const phase = source?.pvc || source?.snapshot || sourceRef ? 'CloneInProgress' : 'ImportInProgress';
  return report(context, object, phase, message);
}

/** Deletes the image a disk was made of, where it was for this disk only. Its bytes stay as long as the disk lies on them. */
async function useUp({ store }: StorageContext, { spec }: DataVolume): Promise<void> {
  const source = spec.sourceRef && (await store.get(image, spec.sourceRef.name));
  if (source?.metadata.annotations?.[singleUseAnnotation] === 'true') await store.delete(image, source.metadata.name);
}

async function report({ store, events }: StorageContext, object: DataVolume, phase: string, message: string): Promise<void> {
  const { name, namespace } = object.metadata;
  const done = phase === 'Succeeded';
  const status = (ok: boolean): Condition['status'] => (ok ? 'True' : 'False');
  await editStatus(store, dataVolume, { name, namespace }, (draft) => {
    let { conditions } = draft.status ?? {};
    conditions = setCondition(conditions, { type: 'Bound', status: status(done), reason: done ? 'Bound' : 'Pending', message });
    conditions = setCondition(conditions, { type: 'Ready', status: status(done), reason: phase, message });
    conditions = setCondition(conditions, {
      type: 'Running',
      status: status(phase.endsWith('InProgress')),
      reason: phase,
      message,
    });
    draft.status = { ...draft.status, phase, conditions, claimName: name, progress: done ? '100.0%' : 'N/A' };
  });
  if (phase === object.status?.phase || !['Succeeded', 'Failed'].includes(phase)) return;
  events.record({
    type: done ? 'Normal' : 'Warning',
    reason: done ? 'DiskReady' : 'DiskFailed',
    message: done ? `Disk ${name} is ready.` : `Disk ${name}: ${message}`,
    about: { kind: 'DataVolume', name, ...(namespace === undefined ? {} : { project: namespace }) },
  });
}
