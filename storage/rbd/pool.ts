/**
 * State of an open rbd pool: the records of all volumes and images in memory, each change in the pool first. Where
 * boxes share the pool, one of them makes and removes volumes, and all read the records anew before each call.
 *
 * What a crash cut off is settled by one rule: an RBD image or snapshot that no record names is unfinished or
 * finished with, and is removed (`collect`), except while creations under way are about to name it. RBD itself keeps
 * what clones still lie on: such an image stays, unseen, until `collect` finds it free.
 */
import { CroftError, messageOf } from '../../appliance/errors.ts';
import type { Logger } from '../../appliance/host/logger.ts';
import { createLocks } from '../locks.ts';
import { isCephError, type CephBridge, type ImageInfo, type Place } from './bridge/client.ts';
import {
  headName,
  ImageRecord,
  imagesObject,
  isExport,
  keptImages,
  parseRecord,
  unnamed,
  VolumeRecord,
  volumesObject,
  type ImageRecord as Image,
  type VolumeRecord as Volume,
} from './record.ts';

export class RbdPool {
  readonly locks = createLocks();
  readonly volumes = new Map<string, Volume>();
  readonly images = new Map<string, Image>();
  readonly place: Place;
  /** RBD images that are being made. */
  readonly reserved = new Set<string>();
  readonly #bridge: () => Promise<CephBridge>;
  readonly #logger: Logger;
  readonly #shared: { leads(): boolean } | undefined;

  constructor(place: Place, bridge: () => Promise<CephBridge>, logger: Logger, shared?: { leads(): boolean }) {
    this.place = place;
    this.#bridge = bridge;
    this.#logger = logger;
    this.#shared = shared;
  }

  bridge(): Promise<CephBridge> {
    return this.#bridge();
  }

  async open(): Promise<void> {
    await this.refresh();
    await (await this.#bridge()).prepare(this.place).catch((error: unknown) => {
      // Full already, say: no reason to keep VMs from their disks.
      this.#logger.warn({ pool: this.place.pool, error: messageOf(error) }, 'the pool could not be prepared for being full');
    });
    // What looks unfinished may be another box's work under way.
    if (this.#shared) return;
    const bridge = await this.#bridge();
    for (const name of await bridge.listImages(this.place)) if (isExport(name)) await this.#tryRemove(bridge, name);
    await this.#dropUnnamedSnapshots(bridge);
    await this.collect();
  }

  /** Reads all records anew. */
  async refresh(): Promise<void> {
    const bridge = await this.#bridge();
    const [volumes, images] = [await bridge.records(this.place, volumesObject), await bridge.records(this.place, imagesObject)];
    this.volumes.clear();
    this.images.clear();
    for (const [id, text] of Object.entries(volumes)) this.volumes.set(id, parseRecord<Volume>(VolumeRecord, id, text));
    for (const [id, text] of Object.entries(images)) this.images.set(id, parseRecord<Image>(ImageRecord, id, text));
  }

  /** @throws CroftError `not-found` */
  volume(id: string): Volume {
    const record = this.volumes.get(id);
    if (!record) throw new CroftError('not-found', `There is no volume ${id} in this pool.`);
    return record;
  }

  async setVolume(record: Volume): Promise<Volume> {
    await (await this.#bridge()).setRecord(this.place, volumesObject, record.id, JSON.stringify(record));
    this.volumes.set(record.id, record);
    return record;
  }

  async removeVolume(id: string): Promise<void> {
    await (await this.#bridge()).removeRecord(this.place, volumesObject, id);
    this.volumes.delete(id);
  }

  async setImage(record: Image): Promise<void> {
    await (await this.#bridge()).setRecord(this.place, imagesObject, record.id, JSON.stringify(record));
    this.images.set(record.id, record);
  }

  async removeImage(id: string): Promise<void> {
    await (await this.#bridge()).removeRecord(this.place, imagesObject, id);
    this.images.delete(id);
  }

  /** The volume's head as RBD has it. @throws CroftError `invalid-state` when the pool has lost it */
  async head(record: Volume, what: { used?: boolean } = {}): Promise<ImageInfo> {
    const name = headName(record);
    const found = (await (await this.#bridge()).info(this.place, [name], what))[name];
    if (!found) throw new CroftError('invalid-state', `Volume ${record.id}: its image ${name} is not in the pool.`);
    return found;
  }

  /** @throws CroftError `in-use` when a guest has the volume open */
  async assertClosed(record: Volume): Promise<void> {
    const { openBy } = await this.head(record);
    if (openBy.length > 0) {
      throw new CroftError('in-use', `Volume ${record.id} is open in a running VM; stop it or detach the disk.`);
    }
  }

  /** Runs `work` while `name` is safe from being collected; an image of this name that a crash left is removed first. */
  async making<T>(name: string, work: (bridge: CephBridge) => Promise<T>): Promise<T> {
    const bridge = await this.#bridge();
    this.reserved.add(name);
    try {
      if (!(await bridge.removeImage(this.place, name))) {
        throw new CroftError('already-exists', `${name} was deleted and lives on in its clones.`);
      }
      return await work(bridge);
    } finally {
      this.reserved.delete(name);
    }
  }

  /** Removes all that no record names and no clone lies on. Idempotent. */
  async collect(): Promise<void> {
    if (this.#shared && !this.#shared.leads()) return;
    await this.locks.with(['collect'], async () => {
      const bridge = await this.#bridge();
      // A removed clone may free what it lay on: again until nothing more goes.
      const gone = new Set<string>();
      for (let removed = true; removed; ) {
        removed = false;
        const names = await bridge.listImages(this.place);
        for (const name of unnamed(names, keptImages(this.volumes.values(), this.images.values()))) {
          if (this.reserved.has(name) || gone.has(name) || !(await this.#tryRemove(bridge, name))) continue;
          gone.add(name);
          removed = true;
        }
      }
    });
  }

  async #tryRemove(bridge: CephBridge, name: string): Promise<boolean> {
    try {
      return await bridge.removeImage(this.place, name);
    } catch (error) {
      if (!isCephError(error, 'EBUSY')) throw error;
      this.#logger.warn({ image: name }, 'an RBD image of no record is open in a client and is left alone');
      return false;
    }
  }

  async #dropUnnamedSnapshots(bridge: CephBridge): Promise<void> {
    const kept = keptImages(this.volumes.values(), this.images.values());
    for (const [name, { snapshots }] of Object.entries(await bridge.info(this.place, [...kept.keys()]))) {
      for (const snapshot of snapshots) {
        if (!kept.get(name)?.has(snapshot)) await bridge.removeSnapshot(this.place, name, snapshot);
      }
    }
  }
}
