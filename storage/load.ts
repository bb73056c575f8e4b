/** Pool drivers by name: where a StoragePool's `spec.driver` becomes code. */
import { join } from 'node:path';
import { CroftError } from '../appliance/errors.ts';
import type { Logger } from '../appliance/host/logger.ts';
import type { StoragePool } from '../appliance/resources/croft-kinds.ts';
import type { VolumeDriver } from './driver.ts';
import type { CephCluster } from './ceph/cluster.ts';
import { createLocalDriver } from './local/driver.ts';
import { createRbdDriver } from './rbd/driver.ts';
import { createSimDriver } from './sim.ts';

export type LoadContext = {
  /** Directory that holds the pools' directories. */
  pools: string;
  /** The box's storage cluster; does nothing until a pool of it is opened. */
  ceph: CephCluster;
  logger: Logger;
  /** Other boxes use the shared pools too. */
  shared?: { leads(): boolean } | undefined;
};

type Constructor = (pool: StoragePool, context: LoadContext) => VolumeDriver;

const drivers: Record<string, Constructor> = {
  local: ({ metadata, spec }, { pools, logger }) =>
    createLocalDriver({ path: spec.path ?? join(pools, metadata.name), reserve: spec.reserve, logger }),
  rbd: ({ metadata, spec }, { ceph, logger, shared }) =>
    createRbdDriver({
      pool: metadata.name,
      replicas: spec.replicas ?? 2,
      reserve: spec.reserve,
      disks: spec.disks ?? [],
      cluster: ceph,
      logger,
      shared,
    }),
  sim: () => createSimDriver(),
};

/** The driver of a pool; not opened yet. @throws CroftError `missing-component` */
export function loadDriver(pool: StoragePool, context: LoadContext): VolumeDriver {
  const construct = drivers[pool.spec.driver];
  if (!construct) {
    throw new CroftError(
      'missing-component',
      `spec.driver: there is no driver ${pool.spec.driver}; there are ${Object.keys(drivers).join(', ')}.`,
    );
  }
  return construct(pool, context);
}
