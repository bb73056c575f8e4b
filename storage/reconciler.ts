/**
 * Storage of a box: pools, images, disks.
 *
 * Theory of operation. Four controllers, each reading what is wished from the store and what is from the pool's driver:
 * StoragePool → an open driver; Image → bytes in a pool, made by a task; DataVolume → a claim of its name;
 * PersistentVolumeClaim → a volume named by the claim's `croft.io/id`. The driver is the truth about bytes, the store
 * about names: each step is idempotent, so a crash between any two is healed by running again. `appliance/vm` knows
 * only `resolve`: from a claim's name to an open pool's driver and a volume's id, or a sentence why not yet.
 */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isCroftError } from '../appliance/errors.ts';
import type { Config, Paths } from '../appliance/config.ts';
import type { Logger } from '../appliance/host/logger.ts';
import type { ImageUploads } from '../appliance/ports.ts';
import type { Gate } from '../appliance/reconcile/controller.ts';
import type { Events } from '../appliance/reconcile/events.ts';
import { keyOf } from '../appliance/reconcile/informer.ts';
import type { Tasks } from '../appliance/reconcile/tasks.ts';
import { poolOfImage } from '../appliance/resources/croft-kinds.ts';
import { dataVolume, moveAnnotation, persistentVolumeClaim, poolOfClaim } from '../appliance/resources/data-volume.ts';
import { parseBytes } from '../appliance/resources/quantity.ts';
import type { ResourceStore } from '../appliance/store/store.ts';
import { CephCluster } from './ceph/cluster.ts';
import { createStorageFence } from './ceph/fence.ts';
import { createCephPeers } from './ceph/peers.ts';
import { startClaimController, wishedSize } from './controllers/claims.ts';
import { conditionOf, idOf, type StorageContext, type StorageInformers } from './controllers/context.ts';
import { startDataVolumeController } from './controllers/data-volumes.ts';
import { startImageController } from './controllers/images.ts';
import { startPoolController } from './controllers/pools.ts';
import { createArchiveFiles } from './images/archive-files.ts';
import { createUploads } from './images/uploads.ts';
import type { StorageFence, VolumeDriver, VolumeResolver } from './driver.ts';
import { createPools } from './pools.ts';

export type { StorageInformers } from './controllers/context.ts';

export type StorageOptions = {
  store: ResourceStore;
  /** Started by the caller, stopped by it after `stop()`. */
  informers: StorageInformers;
  tasks: Tasks;
  events: Events;
  logger: Logger;
  paths: Pick<Paths, 'pools'>;
  config: Pick<Config, 'data' | 'cache'> & Partial<Pick<Config, 'run'>>;
  /** Bytes an image may have; default 2 TiB. */
  maxImageSize?: number;
  /** Tests serve images on loopback. */
  allowOwnAddresses?: boolean;
  /** Tests: base address of a server that stands in for the catalogue's publishers. */
  catalogueMirror?: string;
  /** This box among those of a cluster, and whether it leads. */
  peers?: { box: string; address: string; gate: Gate } | undefined;
};

export type StorageService = VolumeResolver & {
  /** How a box is shut out of the shared disks. */
  fence: StorageFence;
  /** Where the API hands in the bytes of images. */
  uploads: ImageUploads;
  /** The volume of a claim, whatever its state. */
  volumeOf(namespace: string, claimName: string): Promise<{ driver: VolumeDriver; id: string } | undefined>;
  /** Resolves when no controller has work at hand (work of images in the background does not count). */
  idle(): Promise<void>;
  /** Ends work under way so that it can be taken up again. Call it before tasks and informers are stopped. */
  stop(): Promise<void>;
};

const defaultMaxImageSize = 2 * 2 ** 40;

export async function startStorage(options: StorageOptions): Promise<StorageService> {
  const { store, informers, tasks, events, logger, config, peers } = options;
  const ceph = new CephCluster({
    root: join(config.data, 'ceph'),
    ...(config.run === undefined ? {} : { run: join(config.run, 'ceph') }),
    logger,
    ...(peers ? { peers: createCephPeers(store, peers) } : {}),
  });
  const shared = peers && { leads: () => peers.gate.open() };
  const pools = createPools({ pools: options.paths.pools, ceph, logger, shared });
  const imageWork = join(config.data, 'image-work');
  await mkdir(imageWork, { recursive: true, mode: 0o711 });
  const maxImageSize = options.maxImageSize ?? defaultMaxImageSize;
  const uploads = createUploads({ directory: imageWork, maxSize: maxImageSize });
  const context: StorageContext = {
    store,
    informers,
    pools,
    tasks,
    events,
    logger,
    imageWork,
    uploads,
    cache: config.cache,
    maxImageSize,
    allowOwnAddresses: options.allowOwnAddresses ?? false,
    catalogueMirror: options.catalogueMirror,
    gate: peers?.gate,
  };
  await informers.image.synced();
  await forgetOrphans(context);

  const images = startImageController(context);
  uploads.onChange = (id) => {
    for (const object of informers.image.list()) if (idOf(object) === id) images.enqueue(keyOf(object));
  };
  const claims = startClaimController(context);
  const dataVolumes = startDataVolumeController(context);
  // What waited for the pool goes on as soon as it opens.
  const poolController = startPoolController(context, (pool) => {
    for (const object of informers.image.list()) if (poolOfImage(object) === pool) images.enqueue(keyOf(object));
    for (const object of informers.persistentVolumeClaim.list()) {
      if (poolOfClaim(object) === pool) claims.enqueue(keyOf(object));
    }
  });
  const controllers = [poolController, images, claims, dataVolumes];

  return {
    uploads,
    fence: createStorageFence(() => ceph.bridge()),
    pool: (name) => pools.get(name),
    async volumeOf(namespace, claimName) {
      const claim = await store.get(persistentVolumeClaim, claimName, namespace);
      const id = claim && idOf(claim);
      return id ? { driver: pools.get(poolOfClaim(claim)), id } : undefined;
    },
    resolve: (namespace, claimName) => resolve(context, namespace, claimName),
    filesOf: createArchiveFiles({ directory: imageWork, pool: (name) => pools.get(name) }),
    async idle() {
      for (const controller of controllers) await controller.idle();
    },
    async stop() {
      await uploads.stop();
      await Promise.all(controllers.map((controller) => controller.stop()));
      await ceph.close();
    },
  };
}

async function resolve(
  { store, pools }: StorageContext,
  namespace: string,
  claimName: string,
): ReturnType<VolumeResolver['resolve']> {
  const claim = await store.get(persistentVolumeClaim, claimName, namespace);
  if (!claim) {
    const wish = await store.get(dataVolume, claimName, namespace);
    if (!wish) return { pending: `There is no disk ${claimName} in project ${namespace}.` };
    const why = conditionOf(wish.status?.conditions, 'Ready')?.message;
    return { pending: why ? `Disk ${claimName}: ${why}` : `Disk ${claimName} is being made.` };
  }
  const volumeId = idOf(claim);
  if (claim.metadata.deletionTimestamp) return { pending: `Disk ${claimName} is being deleted.` };
  if (claim.status?.phase !== 'Bound' || !volumeId) {
    const asked = claim.spec.resources?.requests?.storage ?? 'unknown size';
    const why = conditionOf(claim.status?.conditions, 'Bound')?.message ?? 'it is being made.';
    return { pending: `Disk ${claimName} (${asked}) is not ready: ${why}` };
  }
  if (claim.metadata.annotations?.[moveAnnotation] !== undefined)
    return { pending: `Disk ${claimName} is being moved to another pool.` };
  const size = parseBytes(claim.status.capacity?.storage ?? 0, 'status.capacity.storage');
  try {
    const wished = wishedSize(claim);
    const pool = poolOfClaim(claim);
    return { driver: pools.get(pool), pool, volumeId, size, ...(wished > size ? { wished } : {}) };
  } catch (error) {
    if (!isCroftError(error)) throw error;
    return { pending: `Disk ${claimName}: ${error.message}` };
  }
}

/** Scratch space of images that were deleted while the service did not run. */
async function forgetOrphans({ informers, imageWork }: StorageContext): Promise<void> {
  const known = new Set(informers.image.list().map(idOf));
  for (const entry of await readdir(imageWork)) {
    if (!known.has(entry)) await rm(join(imageWork, entry), { recursive: true, force: true });
  }
}
