/** /v1/pools. */
import type { Static } from 'typebox';
import { CroftError } from '../../../appliance/errors.ts';
import { storagePool, type StoragePool } from '../../../appliance/resources/croft-kinds.ts';
import { persistentVolumeClaim, poolOfClaim } from '../../../appliance/resources/data-volume.ts';
import { idLabel, newId } from '../../../appliance/resources/identity.ts';
import { parseBytes } from '../../../appliance/resources/quantity.ts';
import type { ResourceStore } from '../../../appliance/store/store.ts';
import { Pool, PoolCreate } from '../../schemas/objects.ts';
import { allOf } from '../all-of.ts';
import type { Server } from '../context.ts';
import { tag } from '../preconditions.ts';
import { projectPool } from '../projections/objects.ts';
import { checkName } from '../projections/vm-draft.ts';
import { changeQuery, collectionRoutes } from './collection.ts';
import { wishOf } from './disks.ts';

export async function createPool(
  store: ResourceStore,
  { name, labels, driver, reserve, disks, ...spec }: Static<typeof PoolCreate>,
) {
  return await store.create(storagePool, {
    metadata: { name: checkName(name), labels: { ...labels, [idLabel]: newId() } },
    spec: {
      driver: driver ?? 'local',
      ...spec,
      ...(reserve === undefined ? {} : { reserve: parseBytes(reserve, 'reserve') }),
      ...(disks === undefined ? {} : { disks: disks.map(wishOf) }),
    },
  });
}

/** @throws CroftError `in-use` */
export async function refuseUsedPool(store: ResourceStore, pool: StoragePool): Promise<void> {
  const items = await allOf(store, persistentVolumeClaim);
  const used = items.filter((claim) => poolOfClaim(claim) === pool.metadata.name).length;
  if (used > 0)
    throw new CroftError(
      'in-use',
      `Pool ${pool.metadata.name} holds ${used} ${used === 1 ? 'volume' : 'volumes'}; delete or move them first.`,
    );
}

export function poolRoutes(app: Server): void {
  collectionRoutes(app, {
    path: '/v1/pools',
    kind: storagePool,
    out: Pool,
    project: projectPool,
    read: 'viewer',
    write: 'admin',
    mayDelete: refuseUsedPool,
  });

  app.post('/v1/pools', {
    config: { permission: 'admin' },
    schema: { summary: 'Create a pool', querystring: changeQuery, body: PoolCreate, response: { 201: Pool } },
    handler: async ({ store, body }, reply) => {
      const created = await createPool(store, body);
      tag(reply, created).code(201).header('location', `/v1/pools/${body.name}`);
      return projectPool(created);
    },
  });
}
