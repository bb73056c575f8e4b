/** What all controllers of storage share. */
import { CroftError } from '../../appliance/errors.ts';
import type { Logger } from '../../appliance/host/logger.ts';
import type { Events } from '../../appliance/reconcile/events.ts';
import type { Gate } from '../../appliance/reconcile/controller.ts';
import type { Informer } from '../../appliance/reconcile/informer.ts';
import type { Tasks } from '../../appliance/reconcile/tasks.ts';
import type { image, storagePool } from '../../appliance/resources/croft-kinds.ts';
import type { dataVolume, persistentVolumeClaim } from '../../appliance/resources/data-volume.ts';
import { idLabel } from '../../appliance/resources/identity.ts';
import type { Condition, Resource } from '../../appliance/resources/meta.ts';
import type { ResourceStore } from '../../appliance/store/store.ts';
import type { VolumeDriver } from '../driver.ts';
import type { Uploads } from '../images/uploads.ts';
import type { Pools } from '../pools.ts';

export type StorageInformers = {
  storagePool: Informer<typeof storagePool>;
  image: Informer<typeof image>;
  dataVolume: Informer<typeof dataVolume>;
  persistentVolumeClaim: Informer<typeof persistentVolumeClaim>;
};

export type StorageContext = {
  store: ResourceStore;
  informers: StorageInformers;
  pools: Pools;
  tasks: Tasks;
  events: Events;
  logger: Logger;
  /** Scratch space of images that are being made, one directory for each by its id. */
  imageWork: string;
  /** Bytes that people send; in the same directories. */
  uploads: Uploads;
  /** Downloads and unpacked packages that can be fetched again. */
  cache: string;
  /** Bytes an image may have, fetched or unpacked. */
  maxImageSize: number;
  /** Tests: stands in for the publishers of the catalogue. */
  catalogueMirror?: string | undefined;
  /** Lets images be fetched from loopback and the box's own addresses: for tests. */
  allowOwnAddresses: boolean;
  /** Where several boxes share a store: open on the one that makes and removes volumes. */
  gate?: Gate | undefined;
};

export const idOf = (object: Resource): string | undefined => object.metadata.labels?.[idLabel];

export const conditionOf = (conditions: readonly Condition[] | undefined, type: string): Condition | undefined =>
  conditions?.find((condition) => condition.type === type);

export const removeFinalizer = (object: Resource, finalizer: string): void => {
  object.metadata.finalizers = (object.metadata.finalizers ?? []).filter((name) => name !== finalizer);
};

/** True when one was added. */
export function addFinalizer(object: Resource, finalizer: string): boolean {
  if (object.metadata.finalizers?.includes(finalizer)) return false;
  object.metadata.finalizers = [...(object.metadata.finalizers ?? []), finalizer];
  return true;
}

/**
 * The pool something is to be removed from; undefined when the pool itself was deleted, so that nothing can be stuck in it.
 * @throws CroftError `unavailable` while a pool that exists is not open
 */
export function poolForRemoval({ pools, informers }: StorageContext, name: string): VolumeDriver | undefined {
  const driver = pools.find(name);
  if (!driver && informers.storagePool.get(name)) throw new CroftError('unavailable', `Storage pool ${name} is not open yet.`);
  return driver;
}
