/**
 * PersistentVolumeClaim → a volume in its pool, named by the claim's `croft.io/id`. The finalizer keeps the claim until
 * its volume is gone; a volume in use keeps the claim waiting, with the reason in its condition.
 */
import { CroftError, isCroftError } from '../../appliance/errors.ts';
import { startController, watching, type Controller } from '../../appliance/reconcile/controller.ts';
import { fromKey } from '../../appliance/reconcile/informer.ts';
import { image } from '../../appliance/resources/croft-kinds.ts';
import {
  moveAnnotation,
  persistentVolumeClaim,
  poolOfClaim,
  type PersistentVolumeClaim,
} from '../../appliance/resources/data-volume.ts';
import { idLabel, newId } from '../../appliance/resources/identity.ts';
import { setCondition } from '../../appliance/resources/meta.ts';
import { formatBytes, parseBytes } from '../../appliance/resources/quantity.ts';
import { editObject, editStatus } from '../../appliance/store/edit.ts';
import type { VolumeDriver, VolumeSource } from '../driver.ts';
import { addFinalizer, idOf, poolForRemoval, removeFinalizer, type StorageContext } from './context.ts';
import { findSnapshotSource } from './snapshot-sources.ts';

export const claimFinalizer = 'croft.io/volume';

const sectorSize = 512;
/** A claim that waits for space or its source looks again after this, ms. */
const waitInterval = 15_000;

export function startClaimController(context: StorageContext): Controller {
  const { store, informers, pools, logger } = context;

  const report = (claim: PersistentVolumeClaim, size: number | undefined, reason: string, message: string) =>
    editStatus(store, persistentVolumeClaim, claim.metadata, (draft) => {
      const condition = { type: 'Bound', status: size === undefined ? ('False' as const) : ('True' as const), reason, message };
      draft.status = {
        ...draft.status,
        phase: size === undefined ? (draft.status?.phase ?? 'Pending') : 'Bound',
        ...(size === undefined ? {} : { capacity: { storage: formatBytes(size) } }),
        conditions: setCondition(draft.status?.conditions, condition),
      };
    });

  const reportLost = (claim: PersistentVolumeClaim, message: string) =>
    editStatus(store, persistentVolumeClaim, claim.metadata, (draft) => {
      const condition = { type: 'Bound', status: 'False' as const, reason: 'Lost', message };
      draft.status = { ...draft.status, phase: 'Lost', conditions: setCondition(draft.status?.conditions, condition) };
    });

  async function remove(claim: PersistentVolumeClaim): Promise<void> {
    // The move sees the deletion, takes its copy back and lets go.
    if (isMoving(claim)) throw new CroftError('in-use', 'It is being moved to another pool; that is undone first.');
    const id = idOf(claim);
    if (id) await poolForRemoval(context, poolOfClaim(claim))?.delete(id);
    await editObject(store, persistentVolumeClaim, claim.metadata, (draft) => removeFinalizer(draft, claimFinalizer));
  }

  async function sourceOf({ metadata, spec }: PersistentVolumeClaim): Promise<VolumeSource> {
    const { dataSource } = spec;
    if (!dataSource) return { blank: true };
    if (dataSource.kind === 'Image') {
      const found = await store.get(image, dataSource.name);
      const id = found && idOf(found);
      if (!id) throw new CroftError('not-found', `There is no image ${dataSource.name}.`);
      return { imageId: id };
    }
    if (dataSource.kind === 'PersistentVolumeClaim') {
      const namespace = metadata.annotations?.['croft.io/source-namespace'] ?? metadata.namespace;
      const found = await store.get(persistentVolumeClaim, dataSource.name, namespace);
      const id = found && idOf(found);
      if (!id) throw new CroftError('not-found', `There is no disk ${namespace}/${dataSource.name}.`);
      return { volumeId: id };
    }
    if (dataSource.kind === 'VolumeSnapshot') {
      const namespace = metadata.annotations?.['croft.io/source-namespace'] ?? metadata.namespace;
      const found = await findSnapshotSource(store, dataSource.name, namespace);
      if (!found?.ready) throw new CroftError('not-found', `There is no ready snapshot ${namespace}/${dataSource.name}.`);
      return { volumeId: found.disk.volumeId, snapshotId: found.snapshotId };
    }
    throw new CroftError(
      'unsupported-field',
      `spec.dataSource.kind: ${dataSource.kind} is not supported; Image, PersistentVolumeClaim and VolumeSnapshot are.`,
    );
  }

  async function provision(claim: PersistentVolumeClaim, id: string): Promise<void> {
    const driver = pools.get(poolOfClaim(claim));
    const wished = wishedSize(claim);
    const present = await driver.get(id);
    // A new empty disk in the place of a vanished one would hide the loss from everybody.
    if (!present && claim.status?.phase && claim.status.phase !== 'Pending') {
      await reportLost(claim, `Volume ${id} is not in pool ${poolOfClaim(claim)} any more.`);
      return;
    }
    const volume = present ?? (await driver.create({ id, size: wished, source: await sourceOf(claim) }));
    const size = wished > volume.size && !isMoving(claim) ? await growClosed(driver, id, wished, volume.size) : volume.size;
    await report(claim, size, 'Bound', size < wished ? 'The disk grows when its VM lets go of it or is asked to grow it.' : '');
  }

  return startController({
    name: 'claims',
    logger,
    gate: context.gate,
    watches: [watching(informers.persistentVolumeClaim)],
    async reconcile(key) {
      const { name, namespace } = fromKey(key);
      let claim = await store.get(persistentVolumeClaim, name, namespace);
      if (!claim) return undefined;
      if (claim.metadata.deletionTimestamp) {
        if (!claim.metadata.finalizers?.includes(claimFinalizer)) return undefined;
        try {
          await remove(claim);
        } catch (error) {
          if (!isCroftError(error, 'in-use') && !isCroftError(error, 'unavailable')) throw error;
          await report(claim, undefined, 'Deleting', error.message);
          return { requeueAfter: 1_000 };
        }
        return undefined;
      }
      claim = await editObject(store, persistentVolumeClaim, { name, namespace }, (draft) => {
        if (draft.metadata.deletionTimestamp) return false;
        addFinalizer(draft, claimFinalizer);
        draft.metadata.labels = { ...draft.metadata.labels, [idLabel]: idOf(draft) ?? newId() };
        return undefined;
      });
      const id = claim && idOf(claim);
      if (!claim || !id || claim.metadata.deletionTimestamp) return undefined;
      try {
        await provision(claim, id);
        return undefined;
      } catch (error) {
        if (!isCroftError(error)) throw error;
        await report(claim, undefined, error.code, error.message);
        // Space may return, a source may appear, a pool may open.
        return { requeueAfter: waitInterval };
      }
    },
  });
}

const isMoving = ({ metadata }: PersistentVolumeClaim): boolean => metadata.annotations?.[moveAnnotation] !== undefined;

/** Bytes a claim asks for, in whole sectors. @throws CroftError `invalid-input` */
export const wishedSize = ({ spec }: PersistentVolumeClaim): number =>
  Math.ceil(parseBytes(spec.resources?.requests?.storage ?? 0, 'spec.resources.requests.storage') / sectorSize) * sectorSize;

/** Grows a volume no guest has open. @returns its size afterwards; the old one when a guest has it (vm/ grows it then). */
async function growClosed(driver: VolumeDriver, id: string, wished: number, present: number): Promise<number> {
  try {
    for (const step of await driver.grow(id, wished, undefined)) {
      if ('host' in step) await step.run();
    }
    return wished;
  } catch (error) {
    if (isCroftError(error, 'command-failed') || isCroftError(error, 'in-use')) return present;
    throw error;
  }
}
