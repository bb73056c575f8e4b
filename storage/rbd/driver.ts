/**
 * VolumeDriver `rbd`: volumes as images of Ceph's block device, opened by QEMU itself through librbd.
 *
 * Theory of operation. A generation is one RBD image, `vol-<id>.g<N>`; the volume's record (record.ts) says which is
 * the head. A snapshot is an RBD snapshot of the head: the head stays, so a guest that has it open notices nothing.
 * Restore and clone make a new image cloned from a snapshot, whatever the size, and bind it by one write of the record;
 * until then it is nobody's. Deleting removes the record, and whatever no record names is collected as soon as no clone
 * lies on it (pool.ts). The bytes of a running guest never pass through Croft.
 */
import { CroftError } from '../../appliance/errors.ts';
import type { Logger } from '../../appliance/host/logger.ts';
import { humanBytes } from '../../appliance/resources/quantity.ts';
import type { CephCluster } from '../ceph/cluster.ts';
import type { DiskFree } from '../ceph/pools.ts';
import {
  reserveOf,
  type BlockdevGraph,
  type DiskWish,
  type PoolUsage,
  type Step,
  type VolumeDriver,
  type VolumeInfo,
  type VolumeSource,
} from '../driver.ts';
import { assertId } from '../local/files.ts';
import { isCephError, type ImageInfo } from './bridge/client.ts';
import { exportImage, exportSnapshot } from './export.ts';
import { deleteImage, imageOf, importImage } from './images.ts';
import { createFlattener } from './flatten.ts';
import { RbdPool } from './pool.ts';
import { exportChanges, importChanges } from './streams.ts';
import {
  cloneSnapshotName,
  generationName,
  headName,
  imageName,
  imageSnapshot,
  snapshotName,
  type VolumeRecord,
} from './record.ts';

export type RbdPoolOptions = {
  /** Name of the pool, also in Ceph. */
  pool: string;
  /** Copies of every block. */
  replicas: number;
  /** Bytes to be kept free; default: `rbdReserve`. */
  reserve?: number | undefined;
  disks: readonly DiskWish[];
  cluster: CephCluster;
  logger: Logger;
  /** Keeps several users of one Ceph pool apart; default: none. */
  namespace?: string;
  /** Other boxes use the pool too; `leads`: this one makes and removes volumes now. */
  shared?: { leads(): boolean } | undefined;
};

const sectorSize = 512;

/** Opens nothing yet: call `open()` first. */
export function createRbdDriver(options: RbdPoolOptions): VolumeDriver {
  const { cluster, logger } = options;
  const place = { pool: options.pool, ...(options.namespace === undefined ? {} : { namespace: options.namespace }) };
  const pool = new RbdPool(place, () => cluster.bridge(), logger, options.shared);

  const flattener = createFlattener(pool, logger, () => options.shared === undefined || options.shared.leads());

  const all = async (records: VolumeRecord[], what: { used?: boolean }): Promise<Record<string, ImageInfo>> =>
    records.length === 0 ? {} : (await pool.bridge()).info(place, records.map(headName), what);

  const measure = async () =>
    usageOf(await (await pool.bridge()).command<DiskFree>({ prefix: 'df', format: 'json' }), options.pool);

  const infoOf = (record: VolumeRecord, head: ImageInfo): VolumeInfo => ({
    id: record.id,
    size: head.size,
    used: head.used ?? 0,
    snapshots: record.snapshots.map(({ id, size, createdAt }) => ({ id, size, createdAt })),
  });

  const driver: VolumeDriver = {
    name: 'rbd',

    async open() {
      await cluster.open(options.disks, options.replicas);
      await cluster.ensurePool(options.pool, options.replicas);
      const bridge = await pool.bridge();
      if (options.namespace !== undefined) {
        await bridge.createNamespace(options.pool, options.namespace).catch((error: unknown) => {
          if (!isCephError(error, 'EEXIST')) throw error;
        });
      }
      await pool.open();
      void flattener.look();
    },

    async usage(): Promise<PoolUsage> {
      const [sizes, present] = await Promise.all([all([...pool.volumes.values()], {}), measure()]);
      return { ...present, provisioned: Object.values(sizes).reduce((sum, { size }) => sum + size, 0) };
    },

    // Ceph blocks its clients when it is full, without a word: so those who write are stopped before (vm/space-watch).
    async space() {
      const { capacity, free } = await measure();
      return { free, reserve: rbdReserve(capacity, options.reserve), sparse: true };
    },

    async create({ id, size, source }) {
      assertId(id);
      assertSize(size);
      return pool.locks.with([id, ...keysOf(source)], async () => {
        if (!pool.volumes.has(id)) assertRoom(await measure(), options);
        const record = pool.volumes.get(id) ?? (await makeVolume(pool, id, size, source));
        if ('volumeId' in source) void flattener.look();
        return infoOf(record, await pool.head(record, { used: true }));
      });
    },

    async get(id) {
      const record = pool.volumes.get(id);
      return record && infoOf(record, await pool.head(record, { used: true }));
    },

    async list() {
      const records = [...pool.volumes.values()];
      const heads = await all(records, { used: true });
      return records.flatMap((record) => {
        const head = heads[headName(record)];
        return head ? [infoOf(record, head)] : [];
      });
    },

    async delete(id) {
      assertId(id);
      await pool.locks.with([id], async () => {
        const record = pool.volumes.get(id);
        if (!record) return;
        await pool.assertClosed(record);
        await pool.removeVolume(id);
      });
      await pool.collect();
    },

    async blockdev(id, nodeName, owner): Promise<BlockdevGraph> {
      if (nodeName.length > 15) throw new Error(`node name prefix ${nodeName} is longer than 15`);
      const record = pool.volume(id);
      const access = await cluster.guestAccess(options.pool, owner);
      return blockdevGraph({ ...place, image: headName(record), ...access }, nodeName);
    },

    async grow(id, size, node): Promise<Step[]> {
      const record = pool.volume(id);
      assertSize(size);
      const present = (await pool.head(record)).size;
      if (size < present) {
        throw new CroftError(
          'invalid-input',
          `size: ${humanBytes(size)} is smaller than the disk's ${humanBytes(present)}; disks only grow.`,
        );
      }
      if (size === present) return [];
      if (node !== undefined) return [{ qmp: { execute: 'block_resize', arguments: { 'node-name': node, size } } }];
      const resize = async (): Promise<void> => void (await (await pool.bridge()).resize(place, headName(pool.volume(id)), size));
      return [{ host: 'resize the image', run: resize }];
    },

    async snapshot(id, snapshotId): Promise<Step[]> {
      assertId(snapshotId);
      if (pool.volume(id).snapshots.some((one) => one.id === snapshotId)) return [];
      return [{ host: 'snapshot the image', run: () => takeSnapshot(pool, id, snapshotId) }];
    },

    async restore(id, snapshotId) {
      await pool.locks.with([id], async () => {
        const record = pool.volume(id);
        const snapshot = snapshotOf(record, snapshotId);
        await pool.assertClosed(record);
        const name = generationName(id, record.next);
        await pool.making(name, async (bridge) => {
          const from = { name: generationName(id, snapshot.generation), snapshot: snapshotName(snapshotId) };
          await bridge.clone(place, from, name);
          await pool.setVolume({ ...record, head: record.next, next: record.next + 1 });
        });
      });
      void flattener.look();
      await pool.collect();
    },

    async deleteSnapshot(id, snapshotId) {
      await pool.locks.with([id], async () => {
        const record = pool.volumes.get(id);
        const snapshot = record?.snapshots.find((one) => one.id === snapshotId);
        if (!record || !snapshot) return;
        await pool.setVolume({ ...record, snapshots: record.snapshots.filter((one) => one !== snapshot) });
        await (await pool.bridge()).removeSnapshot(place, generationName(id, snapshot.generation), snapshotName(snapshotId));
      });
      await pool.collect();
    },

    importImage: (imageId, file, progress) => importImage(pool, cluster.paths.conf, imageId, file, progress),
    async getImage(imageId) {
      const record = pool.images.get(imageId);
      return record && { size: record.size, used: record.used };
    },
    deleteImage: (imageId) => deleteImage(pool, imageId),
    exportImage: (imageId, wish) => exportImage(pool, cluster.paths.conf, imageId, wish),
    exportSnapshot: (id, snapshotId, wish) => exportSnapshot(pool, cluster.paths.conf, id, snapshotId, wish),

    exportChanges: (id, snapshotId, changes) => exportChanges(pool, cluster.paths.conf, { id, snapshotId, ...changes }),
    importChanges: (id, snapshotId, changes) => importChanges(pool, cluster.paths.conf, { id, snapshotId, ...changes }),

    setDisks: (disks) => cluster.ensure(disks),
    health: () => cluster.health(options.replicas),
  };
  return options.shared ? readingFirst(driver, pool) : driver;
}

/** What other boxes wrote is read before each call: memory is only this box's. */
function readingFirst(driver: VolumeDriver, pool: RbdPool): VolumeDriver {
  const reading =
    <A extends unknown[], R>(work: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      await pool.refresh();
      return work(...args);
    };
  return {
    ...driver,
    usage: reading(driver.usage),
    create: reading(driver.create),
    get: reading(driver.get),
    list: reading(driver.list),
    delete: reading(driver.delete),
    blockdev: reading(driver.blockdev),
    grow: reading(driver.grow),
    snapshot: reading(driver.snapshot),
    restore: reading(driver.restore),
    deleteSnapshot: reading(driver.deleteSnapshot),
    importImage: reading(driver.importImage),
    getImage: reading(driver.getImage),
    deleteImage: reading(driver.deleteImage),
    ...(driver.exportImage ? { exportImage: reading(driver.exportImage) } : {}),
    ...(driver.exportSnapshot ? { exportSnapshot: reading(driver.exportSnapshot) } : {}),
    ...(driver.exportChanges ? { exportChanges: reading(driver.exportChanges) } : {}),
    ...(driver.importChanges ? { importChanges: reading(driver.importChanges) } : {}),
  };
}

type GraphOptions = { pool: string; namespace?: string; image: string; conf: string; user: string };

/** What QEMU opens. The key stands in the keyring that `conf` names, so no argument carries it. Pure. */
export function blockdevGraph({ pool, namespace, image, conf, user }: GraphOptions, nodeName: string): BlockdevGraph {
  const both = { cache: { direct: true, 'no-flush': false }, discard: 'unmap' };
  return {
    nodes: [
      {
        driver: 'rbd',
        'node-name': `${nodeName}-rbd`,
        pool,
        ...(namespace === undefined ? {} : { namespace }),
        image,
        user,
        conf,
        ...both,
      },
      { driver: 'raw', 'node-name': nodeName, file: `${nodeName}-rbd`, ...both },
    ],
    top: nodeName,
  };
}

/** Net figures: what guests can store, copies already taken into account. Pure. */
export function usageOf({ pools }: DiskFree, name: string): Omit<PoolUsage, 'provisioned'> {
  const { stored = 0, max_avail: free = 0 } = pools.find((pool) => pool.name === name)?.stats ?? {};
  return { capacity: stored + free, used: stored, free };
}

/** What writers take between two looks must fit in; a quarter of a small pool at most. */
const leastReserve = 512 * 2 ** 20;

/** Bytes kept free. Full is worse than for a local pool: Ceph's clients then wait without a word. Pure. */
export const rbdReserve = (capacity: number, wished: number | undefined): number =>
  wished ?? Math.max(reserveOf(capacity, undefined), Math.min(leastReserve, capacity / 4));

/** @throws CroftError `insufficient-storage`. A pool that isn't measured yet (no capacity) refuses nothing. */
export function assertRoom(
  { capacity, free }: Pick<PoolUsage, 'capacity' | 'free'>,
  { pool, reserve: wished }: Pick<RbdPoolOptions, 'pool' | 'reserve'>,
): void {
  const reserve = rbdReserve(capacity, wished);
  if (capacity === 0 || free >= reserve) return;
  throw new CroftError(
    'insufficient-storage',
    `The pool ${pool} has ${humanBytes(free)} free and keeps ${humanBytes(reserve)} in reserve: add a disk, or delete what isn't needed.`,
  );
}

function assertSize(size: number): void {
  if (Number.isSafeInteger(size) && size > 0 && size % sectorSize === 0) return;
  throw new CroftError('invalid-input', `size: ${size} is not a positive multiple of ${sectorSize} bytes.`);
}

const keysOf = (source: VolumeSource): string[] => {
  if ('imageId' in source) return [`image:${source.imageId}`];
  return 'volumeId' in source ? [source.volumeId] : [];
};

function snapshotOf(record: VolumeRecord, snapshotId: string): VolumeRecord['snapshots'][number] {
  const found = record.snapshots.find((one) => one.id === snapshotId);
  if (!found) throw new CroftError('not-found', `Volume ${record.id} has no snapshot ${snapshotId}.`);
  return found;
}

async function takeSnapshot(pool: RbdPool, id: string, snapshotId: string): Promise<void> {
  await pool.locks.with([id], async () => {
    const record = pool.volume(id);
    if (record.snapshots.some((one) => one.id === snapshotId)) return;
    const bridge = await pool.bridge();
    const name = headName(record);
    // One that a crash left without a record may be older than what the caller now calls the snapshot.
    await bridge.removeSnapshot(pool.place, name, snapshotName(snapshotId));
    await bridge.snapshot(pool.place, name, snapshotName(snapshotId));
    const { size } = await pool.head(record);
    const snapshot = { id: snapshotId, generation: record.head, size, createdAt: new Date().toISOString() };
    await pool.setVolume({ ...record, snapshots: [...record.snapshots, snapshot] });
  });
}

async function makeVolume(pool: RbdPool, id: string, size: number, source: VolumeSource): Promise<VolumeRecord> {
  const record: VolumeRecord = { id, createdAt: new Date().toISOString(), head: 1, next: 2, snapshots: [] };
  return pool.making(generationName(id, 1), async (bridge) => {
    if ('blank' in source) await bridge.createImage(pool.place, headName(record), size);
    else if ('imageId' in source) {
      const image = imageOf(pool, source.imageId);
      assertFits(image.size, size);
      const from = { name: imageName(image.id, image.generation), snapshot: imageSnapshot };
      await bridge.clone(pool.place, from, headName(record), size);
    } else await cloneVolume(pool, source, record, size);
    return pool.setVolume(record);
  });
}

async function cloneVolume(
  pool: RbdPool,
  { volumeId, snapshotId }: { volumeId: string; snapshotId?: string },
  record: VolumeRecord,
  size: number,
): Promise<void> {
  const bridge = await pool.bridge();
  const origin = pool.volume(volumeId);
  if (snapshotId !== undefined) {
    const snapshot = snapshotOf(origin, snapshotId);
    assertFits(snapshot.size, size);
    const from = { name: generationName(volumeId, snapshot.generation), snapshot: snapshotName(snapshotId) };
    await bridge.clone(pool.place, from, headName(record), size);
    return;
  }
  await pool.assertClosed(origin);
  assertFits((await pool.head(origin)).size, size);
  const from = { name: headName(origin), snapshot: cloneSnapshotName(record.id) };
  await bridge.removeSnapshot(pool.place, from.name, from.snapshot);
  await bridge.snapshot(pool.place, from.name, from.snapshot);
  await bridge.clone(pool.place, from, headName(record), size);
  // RBD keeps it out of sight for as long as the clone lies on it.
  await bridge.removeSnapshot(pool.place, from.name, from.snapshot);
}

function assertFits(source: number, size: number): void {
  if (source <= size) return;
  throw new CroftError('invalid-input', `size: ${humanBytes(size)} is smaller than the source, which has ${humanBytes(source)}.`);
}
