/**
 * State of an open local pool: the records of all volumes in memory, each change on disk first. Opening settles
 * what a crash cut off, by these rules:
 *
 * - A volume exists when its volume.json does. A directory without one is an unfinished creation: removed.
 * - A generation file that no record names is an unfinished snapshot, restore or deletion: removed, unless a
 *   guest has it open.
 * - A `pending` generation (live snapshot) becomes the head when data was written to it, and is dropped when
 *   it is untouched: then the frozen file and it read the same, so nothing is lost either way. While a guest
 *   has it open, only that guest's QEMU knows; it stays pending until the snapshot is repeated or the guest ends.
 */
import { chmod, mkdir, readdir, rm, rmdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CroftError } from '../../appliance/errors.ts';
import type { Logger } from '../../appliance/host/logger.ts';
import { createLocks, type Locks } from '../locks.ts';
import {
  assertId,
  generationFile,
  isLocked,
  poolFiles,
  readQcow2,
  readRecord,
  supportsDirect,
  writeRecord,
  type PoolFiles,
} from './files.ts';
import { garbage, layerKey, reachable, type Layer, type VolumeRecord } from './record.ts';

export class LocalPool {
  readonly files: PoolFiles;
  readonly locks: Locks = createLocks();
  readonly records = new Map<string, VolumeRecord>();
  /** Layers that creations under way are about to lie on. */
  readonly reserved = new Set<Layer>();
  /** Volumes that are being read for an export, and how often: their layers stay as they are. */
  readonly exporting = new Map<string, number>();
  readonly #logger: Logger;
  direct = false;

  constructor(root: string, logger: Logger) {
    this.files = poolFiles(root);
    this.#logger = logger;
  }

  async open(): Promise<void> {
    for (const directory of [this.files.root, this.files.images, this.files.volumes]) {
      await mkdir(directory, { recursive: true });
      // Guests' uids pass through, nobody lists.
      await chmod(directory, 0o711);
    }
    this.direct = await supportsDirect(this.files.root);
    this.records.clear();
    for (const id of await readdir(this.files.volumes)) await this.#openVolume(id);
    await this.#cleanImages();
    await this.collect();
  }

  /** The living volume. @throws CroftError `not-found` */
  record(id: string): VolumeRecord {
    const record = this.records.get(id);
    if (!record || record.deleted) throw new CroftError('not-found', `There is no volume ${id} in this pool.`);
    return record;
  }

  /** Changes a record: on disk, then in memory. Changes of one record never overlap. */
  async change(id: string, edit: (record: VolumeRecord) => VolumeRecord): Promise<VolumeRecord> {
    return this.locks.with([`record:${id}`], async () => {
      const current = this.records.get(id);
      if (!current) throw new CroftError('not-found', `There is no volume ${id} in this pool.`);
      const next = edit(current);
      await writeRecord(this.files.record(id), next);
      this.records.set(id, next);
      return next;
    });
  }

  /** Path of the volume's head file. */
  headPath(record: VolumeRecord): string {
    return this.files.layer({ volume: record.id, generation: record.head });
  }

  /** @throws CroftError `in-use` when a guest has the volume open */
  async assertClosed(record: VolumeRecord): Promise<void> {
    for (const generation of [record.head, ...(record.pending ? [record.pending.generation] : [])]) {
      const path = this.files.layer({ volume: record.id, generation });
      if (await isLocked(path))
        throw new CroftError('in-use', `Volume ${record.id} is open in a running VM; stop it or detach the disk.`);
    }
  }

  /** Decides a pending live snapshot, if it can be decided (see above). */
  async settle(id: string): Promise<VolumeRecord> {
    const record = this.record(id);
    const { pending } = record;
    if (!pending) return record;
    const path = this.files.layer({ volume: id, generation: pending.generation });
    const present = await exists(path);
    if (present && (await isLocked(path))) return record;
    if (present && !(await readQcow2(path)).pristine) {
      this.#logger.info({ volume: id, snapshot: pending.snapshotId }, 'a live snapshot that was cut off is completed');
      return this.change(id, completePending);
    }
    const dropped = await this.change(id, dropPending);
    await rm(path, { force: true });
    return dropped;
  }

  /** Removes all files nothing needs any more, and the directories and images this leaves empty or unused. Idempotent. */
  async collect(): Promise<void> {
    await this.locks.with(['collect'], async () => {
      for (const { volume, generation } of garbage(this.records, [...this.reserved])) {
        // The file first: a record naming a missing file is collected again, a file without a record looks foreign.
        await rm(this.files.layer({ volume, generation }), { force: true });
        await this.change(volume, (record) => {
          const layers = Object.fromEntries(Object.entries(record.layers).filter(([name]) => Number(name) !== generation));
          return { ...record, layers };
        });
      }
      for (const record of this.records.values()) {
        if (record.deleted && Object.keys(record.layers).length === 0) await this.#removeDirectory(record.id);
      }
      await this.#collectImages();
    });
  }

  async #removeDirectory(id: string): Promise<void> {
    await rm(this.files.record(id), { force: true });
    this.records.delete(id);
    await rmdir(this.files.volume(id));
  }

  async #collectImages(): Promise<void> {
    const needed = reachable(this.records, [...this.reserved]);
    for (const name of await readdir(this.files.images)) {
      const id = /^(.+)\.deleted$/.exec(name)?.[1];
      if (id === undefined || needed.has(layerKey({ image: id }))) continue;
      await rm(this.files.image(id), { force: true });
      await rm(join(this.files.images, name), { force: true });
    }
  }

  async #cleanImages(): Promise<void> {
    for (const name of await readdir(this.files.images)) {
      if (name.endsWith('.tmp')) await rm(join(this.files.images, name), { force: true });
    }
  }

  async #openVolume(id: string): Promise<void> {
    try {
      assertId(id);
    } catch {
      this.#logger.warn({ entry: id }, 'an entry of the pool that is not ours is left alone');
      return;
    }
    const record = await readRecord(this.files.record(id));
    const entries = await readdir(this.files.volume(id));
    if (!record) return this.#removeUnfinished(id, entries);
    this.records.set(id, record);
    for (const name of entries.filter((entry) => entry.startsWith('volume.json.'))) {
      await rm(join(this.files.volume(id), name), { force: true });
    }
    for (const name of entries) {
      const generation = generationFile.exec(name)?.[1];
      if (generation === undefined || generation in record.layers || record.pending?.generation === Number(generation)) continue;
      const path = join(this.files.volume(id), name);
      if (await isLocked(path)) this.#logger.warn({ path }, 'a file of no record is open in a guest and is left alone');
      else await rm(path, { force: true });
    }
    if (!record.deleted) await this.settle(id);
  }

  async #removeUnfinished(id: string, entries: string[]): Promise<void> {
    const foreign = entries.filter((name) => !generationFile.test(name) && !name.startsWith('volume.json.'));
    if (foreign.length > 0) {
      this.#logger.warn(
        { volume: id, foreign },
        'a directory without volume.json holds files that are not ours and is left alone',
      );
      return;
    }
    await rm(this.files.volume(id), { recursive: true });
  }
}

/** The record once QEMU has moved on to the pending generation. */
export function completePending(record: VolumeRecord): VolumeRecord {
  const { pending, ...rest } = record;
  if (!pending) return record;
  const snapshot = { id: pending.snapshotId, generation: record.head, size: pending.size, createdAt: pending.createdAt };
  return {
    ...rest,
    head: pending.generation,
    layers: { ...record.layers, [pending.generation]: { volume: record.id, generation: record.head } },
    snapshots: [...record.snapshots, snapshot],
  };
}

export function dropPending(record: VolumeRecord): VolumeRecord {
  const { pending: _, ...rest } = record;
  return rest;
}

export const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );
