/**
 * VolumeDriver `sim`: a pool in memory, for `npm run dev` and for tests of everything above the drivers. It keeps
 * what a disk says to its guest (bytes by sector run), so that it passes the same contract as the real drivers;
 * QEMU gets null devices.
 */
import { readFile, rm } from 'node:fs/promises';
import { CroftError } from '../appliance/errors.ts';
import { humanBytes } from '../appliance/resources/quantity.ts';
import type { PoolUsage, Step, VolumeDriver, VolumeInfo, VolumeSource } from './driver.ts';

/** Non-zero 4 KiB blocks by number; the byte they are filled with. */
type Blocks = ReadonlyMap<number, number>;
type Snapshot = { id: string; size: number; createdAt: string; blocks: Blocks };
type Volume = { id: string; size: number; blocks: Blocks; snapshots: Snapshot[] };
type Image = { size: number; blocks: Blocks };

/** What survives a restart of the simulated service. */
export type SimDisk = { volumes: Map<string, Volume>; images: Map<string, Image>; capacity: number };

export const createSimDisk = (capacity = 2 ** 40): SimDisk => ({ volumes: new Map(), images: new Map(), capacity });

const blockSize = 4096;
const sectorSize = 512;

export type SimDriver = VolumeDriver & {
  /** Fills whole 4 KiB blocks, as a guest would. */
  write(id: string, offset: number, length: number, byte: number): void;
  reads(id: string, offset: number, length: number, byte: number): boolean;
};

export function createSimDriver(disk: SimDisk = createSimDisk()): SimDriver {
  const { volumes, images } = disk;

  const volume = (id: string): Volume => {
    const found = volumes.get(id);
    if (!found) throw new CroftError('not-found', `There is no volume ${id} in this pool.`);
    return found;
  };
  const snapshotOf = (id: string, snapshotId: string): Snapshot => {
    const found = volume(id).snapshots.find((snapshot) => snapshot.id === snapshotId);
    if (!found) throw new CroftError('not-found', `Volume ${id} has no snapshot ${snapshotId}.`);
    return found;
  };
  const usage = (): PoolUsage => {
    const kept = [...volumes.values()].flatMap((one) => [one.blocks, ...one.snapshots.map(({ blocks }) => blocks)]);
    const used = [...kept, ...[...images.values()].map(({ blocks }) => blocks)].reduce(
      (sum, blocks) => sum + blocks.size * blockSize,
      0,
    );
    const provisioned = [...volumes.values()].reduce((sum, one) => sum + one.size, 0);
    return { capacity: disk.capacity, used, free: Math.max(0, disk.capacity - used), provisioned };
  };
  const infoOf = ({ id, size, blocks, snapshots }: Volume): VolumeInfo => ({
    id,
    size,
    used: [blocks, ...snapshots.map((one) => one.blocks)].reduce((sum, one) => sum + one.size * blockSize, 0),
    snapshots: snapshots.map(({ id: snapshotId, size: bytes, createdAt }) => ({ id: snapshotId, size: bytes, createdAt })),
  });
  const contentOf = (source: VolumeSource): Image => {
    if ('blank' in source) return { size: 0, blocks: new Map() };
    if ('volumeId' in source)
      return source.snapshotId === undefined ? volume(source.volumeId) : snapshotOf(source.volumeId, source.snapshotId);
    const image = images.get(source.imageId);
    if (!image) throw new CroftError('not-found', `There is no image ${source.imageId} in this pool.`);
    return image;
  };
  const step = (host: string, work: () => void): Step[] => [{ host, run: async () => work() }];

  return {
    name: 'sim',
    async open() {
      // Nothing to settle: memory is never half-written.
    },
    usage: async () => usage(),

    async create({ id, size, source }) {
      const existing = volumes.get(id);
      if (existing) return infoOf(existing);
      assertSize(size);
      if (usage().free === 0)
        throw new CroftError('insufficient-storage', `The pool has 0 B free of ${humanBytes(disk.capacity)}.`);
      const content = contentOf(source);
      if (content.size > size) {
        throw new CroftError(
          'invalid-input',
          `size: ${humanBytes(size)} is smaller than the source, which has ${humanBytes(content.size)}.`,
        );
      }
      const made: Volume = { id, size, blocks: content.blocks, snapshots: [] };
      volumes.set(id, made);
      return infoOf(made);
    },
    async get(id) {
      const found = volumes.get(id);
      return found && infoOf(found);
    },
    list: async () => [...volumes.values()].map(infoOf),
    async delete(id) {
      volumes.delete(id);
    },

    async blockdev(id, nodeName) {
      const { size } = volume(id);
      const top = `${nodeName}-g1`;
      return { nodes: [{ driver: 'null-co', 'node-name': top, size, 'read-zeroes': true }], top };
    },

    async grow(id, size) {
      const found = volume(id);
      assertSize(size);
      if (size < found.size) {
        throw new CroftError(
          'invalid-input',
          `size: ${humanBytes(size)} is smaller than the disk's ${humanBytes(found.size)}; disks only grow.`,
        );
      }
      if (size === found.size) return [];
      return step('grow the simulated disk', () => {
        volume(id).size = size;
      });
    },
    async snapshot(id, snapshotId) {
      if (volume(id).snapshots.some((snapshot) => snapshot.id === snapshotId)) return [];
      return step('freeze the simulated disk', () => {
        const { size, blocks, snapshots } = volume(id);
        if (snapshots.some((snapshot) => snapshot.id === snapshotId)) return;
        snapshots.push({ id: snapshotId, size, blocks, createdAt: new Date().toISOString() });
      });
    },
    async restore(id, snapshotId) {
      const { size, blocks } = snapshotOf(id, snapshotId);
      Object.assign(volume(id), { size, blocks });
    },
    async deleteSnapshot(id, snapshotId) {
      const found = volume(id);
      found.snapshots = found.snapshots.filter((snapshot) => snapshot.id !== snapshotId);
    },

    async importImage(imageId, file) {
      if (!images.has(imageId)) images.set(imageId, await readImage(file));
      await rm(file, { force: true });
      const { size, blocks } = images.get(imageId) as Image;
      return { size, used: blocks.size * blockSize };
    },
    async getImage(imageId) {
      const image = images.get(imageId);
      return image && { size: image.size, used: image.blocks.size * blockSize };
    },
    async deleteImage(imageId) {
      images.delete(imageId);
    },

    write(id, offset, length, byte) {
      const found = volume(id);
      const blocks = new Map(found.blocks);
      for (let at = offset; at < offset + length; at += blockSize) {
        if (byte === 0) blocks.delete(at / blockSize);
        else blocks.set(at / blockSize, byte);
      }
      found.blocks = blocks;
    },
    reads(id, offset, length, byte) {
      const { blocks } = volume(id);
      for (let at = offset; at < offset + length; at += blockSize) if ((blocks.get(at / blockSize) ?? 0) !== byte) return false;
      return true;
    },
  };
}

function assertSize(size: number): void {
  if (Number.isSafeInteger(size) && size > 0 && size % sectorSize === 0) return;
  throw new CroftError('invalid-input', `size: ${size} is not a positive multiple of ${sectorSize} bytes.`);
}

/** First byte of each block stands for the block: enough for a simulation. */
async function readImage(file: string): Promise<Image> {
  const content = await readFile(file);
  const blocks = new Map<number, number>();
  for (let at = 0; at < content.length; at += blockSize) {
    const byte = content[at];
    if (byte) blocks.set(at / blockSize, byte);
  }
  return { size: Math.max(sectorSize, Math.ceil(content.length / sectorSize) * sectorSize), blocks };
}
