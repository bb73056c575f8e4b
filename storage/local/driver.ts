/**
 * VolumeDriver `local`: a directory of qcow2 files.
 *
 * Theory of operation. `images/<id>.qcow2` never change; a volume made from one is an empty file on top of it, so
 * that cloning takes the same moment whatever the size. `volumes/<id>/volume.json` binds the volume to its
 * generations (`gen-N.qcow2`) and is replaced in one rename: what it says is what is; all else in the directory is
 * unfinished or finished with. A file is removed when the last head, snapshot or clone that lies on it has gone
 * (reachability over all records, no counters that could be wrong). QEMU gets every layer explicitly, locks on.
 */
import { mkdir, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { CroftError } from '../../appliance/errors.ts';
import { run } from '../../appliance/host/exec.ts';
import { silentLogger, type Logger } from '../../appliance/host/logger.ts';
import { syncDirectory } from '../../appliance/host/files.ts';
import { humanBytes } from '../../appliance/resources/quantity.ts';
import { reserveOf, type PoolSpace, type PoolUsage, type VolumeDriver, type VolumeInfo, type VolumeSource } from '../driver.ts';
import { allocated, assertId, createQcow2, grant, readQcow2, writeRecord } from './files.ts';
import { exportSnapshot } from './export.ts';
import { assertChainHasRoom, deleteSnapshot, freezeHead, restore, snapshotOf, snapshotSteps } from './generations.ts';
import { blockdevGraph } from './graph.ts';
import { deleteImage, exportImage, getImage, importImage } from './images.ts';
import { dropPending, LocalPool } from './pool.ts';
import { shorten, shortened } from './shorten.ts';
import { chainOf, isShared, type Layer, type VolumeRecord } from './record.ts';

export type LocalPoolOptions = {
  /** Directory of the pool; made if missing. */
  path: string;
  /** Bytes to keep free; default 5 % of the file system, at most 10 GiB. */
  reserve?: number;
  logger?: Logger;
};

const sectorSize = 512;

/** Opens nothing yet: call `open()` first. */
export function createLocalDriver(options: LocalPoolOptions): VolumeDriver {
  const pool = new LocalPool(options.path, options.logger ?? silentLogger());

  const usage = async (): Promise<PoolUsage> => {
    const { blocks, bfree, bavail, bsize } = await statfs(pool.files.root);
    const sizes = await Promise.all(living(pool).map(async (record) => (await readQcow2(pool.headPath(record))).size));
    const capacity = blocks * bsize;
    return {
      capacity,
      used: (blocks - bfree) * bsize,
      free: bavail * bsize,
      provisioned: sizes.reduce((sum, size) => sum + size, 0),
    };
  };

  const space = async (): Promise<PoolSpace> => {
    const { bavail, bsize, blocks } = await statfs(pool.files.root);
    return { free: bavail * bsize, reserve: reserveOf(blocks * bsize, options.reserve) };
  };

  const assertSpace = async (bytes: number): Promise<void> => {
    const { free, reserve } = await space();
    if (free - bytes >= reserve) return;
    throw new CroftError(
      'insufficient-storage',
      `The pool has ${humanBytes(free)} free and keeps ${humanBytes(reserve)} in reserve; this needs ${humanBytes(bytes)}.`,
    );
  };

  return {
    name: 'local',
    open: () => pool.open(),
    usage,
    space,

    async create({ id, size, source }) {
      assertId(id);
      assertSize(size);
      return pool.locks.with([id, ...keysOf(source)], async () => {
        const existing = pool.records.get(id);
        if (existing?.deleted) throw new CroftError('already-exists', `Volume ${id} was deleted and lives on in its clones.`);
        if (existing) return infoOf(pool, existing);
        await assertSpace(0);
        const parent = await parentOf(pool, source);
        if (parent && parent.size > size) {
          throw new CroftError(
            'invalid-input',
            `size: ${humanBytes(size)} is smaller than the source, which has ${humanBytes(parent.size)}.`,
          );
        }
        return infoOf(pool, await makeVolume(pool, id, size, parent?.layer));
      });
    },

    async get(id) {
      const record = pool.records.get(id);
      return record && !record.deleted ? infoOf(pool, record) : undefined;
    },
    list: () => Promise.all(living(pool).map((record) => infoOf(pool, record))),

    async delete(id) {
      assertId(id);
      await pool.locks.with([id], async () => {
        const record = pool.records.get(id);
        if (!record || record.deleted) return;
        await pool.assertClosed(await pool.settle(id));
        await pool.change(id, (current) => ({ ...dropPending(current), deleted: true, snapshots: [] }));
      });
      await pool.collect();
    },

    blockdev: (id, nodeName, owner) =>
      pool.locks.with([id], async () => {
        if (nodeName.length > 15) throw new Error(`node name prefix ${nodeName} is longer than 15`);
        const record = await pool.settle(id);
        const chain = chainOf(pool.records, { volume: id, generation: record.head });
        for (const layer of chain) await grantLayer(pool, record, layer, owner);
        return blockdevGraph(
          id,
          nodeName,
          chain.map((layer) => ({ layer, path: pool.files.layer(layer) })),
          { direct: pool.direct },
        );
      }),

    async grow(id, size, node) {
      const record = pool.record(id);
      assertSize(size);
      const path = pool.headPath(record);
      const current = (await readQcow2(path)).size;
      if (size < current) {
        throw new CroftError(
          'invalid-input',
          `size: ${humanBytes(size)} is smaller than the disk's ${humanBytes(current)}; disks only grow.`,
        );
      }
      if (size === current) return [];
      if (node !== undefined) return [{ qmp: { execute: 'block_resize', arguments: { 'node-name': node, size } } }];
      const resize = (): Promise<void> =>
        pool.locks.with([id], async () => {
          const settled = await pool.settle(id);
          await run(['qemu-img', 'resize', '-q', '-f', 'qcow2', pool.headPath(settled), String(size)]);
        });
      return [{ host: 'resize the file', run: resize }];
    },

    async snapshot(id, snapshotId, node) {
      const { pending, snapshots } = pool.record(id);
      const begun = pending?.snapshotId === snapshotId || snapshots.some((snapshot) => snapshot.id === snapshotId);
      // A new layer lets the guest write everything once more.
      if (!begun) await assertSpace(0);
      return snapshotSteps(pool, id, snapshotId, node);
    },
    restore: (id, snapshotId) => restore(pool, id, snapshotId),
    deleteSnapshot: (id, snapshotId) => deleteSnapshot(pool, id, snapshotId),

    shorten: async (id, node) => shorten(pool, id, node),
    shortened: (id, job) => shortened(pool, id, job),

    async importImage(imageId, file, progress) {
      const needed = await stat(file).catch(() => undefined); // gone already: taken in by an earlier call
      const { dev } = await stat(pool.files.root);
      // Within one file system the file is only renamed.
      await assertSpace(needed && needed.dev !== dev ? needed.blocks * sectorSize : 0);
      return importImage(pool, imageId, file, progress);
    },
    getImage: (imageId) => getImage(pool, imageId),
    deleteImage: (imageId) => deleteImage(pool, imageId),
    exportImage: (imageId, options) => exportImage(pool, imageId, options),
    exportSnapshot: (id, snapshotId, options) => exportSnapshot(pool, id, snapshotId, options),
  };
}

const living = (pool: LocalPool): VolumeRecord[] => [...pool.records.values()].filter((record) => !record.deleted);

function assertSize(size: number): void {
  if (Number.isSafeInteger(size) && size > 0 && size % sectorSize === 0) return;
  throw new CroftError('invalid-input', `size: ${size} is not a positive multiple of ${sectorSize} bytes.`);
}

const keysOf = (source: VolumeSource): string[] => {
  if ('imageId' in source) return [`image:${source.imageId}`];
  return 'volumeId' in source ? [source.volumeId] : [];
};

/** The file a new volume is to lie on. @throws CroftError `not-found`, `in-use`, `invalid-state` */
async function parentOf(pool: LocalPool, source: VolumeSource): Promise<{ layer: Layer; size: number } | undefined> {
  if ('blank' in source) return undefined;
  if ('imageId' in source) {
    const image = await getImage(pool, source.imageId);
    if (!image) throw new CroftError('not-found', `There is no image ${source.imageId} in this pool.`);
    return { layer: { image: source.imageId }, size: image.size };
  }
  const record = await pool.settle(source.volumeId);
  if (source.snapshotId !== undefined) {
    const snapshot = snapshotOf(record, source.snapshotId);
    return { layer: { volume: record.id, generation: snapshot.generation }, size: snapshot.size };
  }
  await pool.assertClosed(record);
  const { size, pristine } = await readQcow2(pool.headPath(record));
  const below = record.layers[record.head] ?? null;
  // Nothing written since the last freeze: the clone lies beside the head instead of making the chain longer.
  if (pristine && below) return { layer: below, size };
  return { layer: { volume: record.id, generation: await freezeHead(pool, record.id) }, size };
}

async function makeVolume(pool: LocalPool, id: string, size: number, parent: Layer | undefined): Promise<VolumeRecord> {
  if (parent) assertChainHasRoom(pool, parent);
  if (parent) pool.reserved.add(parent);
  const directory = pool.files.volume(id);
  try {
    // What an earlier try left; without volume.json it is nobody's.
    await rm(directory, { recursive: true, force: true });
    await mkdir(directory, { mode: 0o711 });
    const record: VolumeRecord = {
      id,
      createdAt: new Date().toISOString(),
      head: 1,
      next: 2,
      layers: { 1: parent ?? null },
      snapshots: [],
    };
    await createQcow2(join(directory, 'gen-1.qcow2'), size, parent && pool.files.backing(id, parent));
    await writeRecord(pool.files.record(id), record);
    await syncDirectory(pool.files.volumes);
    pool.records.set(id, record);
    return record;
  } catch (error) {
    await rm(directory, { recursive: true, force: true });
    throw error;
  } finally {
    if (parent) pool.reserved.delete(parent);
  }
}

async function infoOf(pool: LocalPool, record: VolumeRecord): Promise<VolumeInfo> {
  const generations = Object.keys(record.layers).map((name) => pool.files.layer({ volume: record.id, generation: Number(name) }));
  const used = await Promise.all(generations.map(allocated));
  return {
    id: record.id,
    size: (await readQcow2(pool.headPath(record))).size,
    used: used.reduce((sum, bytes) => sum + bytes, 0),
    snapshots: record.snapshots.map(({ id, size, createdAt }) => ({ id, size, createdAt })),
  };
}

/** Lets the guest's uid write the head and read what is below, and no other uid more than clones force. */
async function grantLayer(
  pool: LocalPool,
  record: VolumeRecord,
  layer: Layer,
  owner: { uid: number; gid: number } | undefined,
): Promise<void> {
  // Images are readable to all guests since they were taken in.
  if ('image' in layer) return;
  const path = pool.files.layer(layer);
  if (layer.volume === record.id && layer.generation === record.head) await grant(path, owner, 0o600);
  else if (isShared(pool.records, layer) || layer.volume !== record.id) await grant(path, undefined, 0o444);
  else await grant(path, owner, 0o400);
}
