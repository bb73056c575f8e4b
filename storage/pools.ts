/** The open pools of this box, by name. */
import { CroftError, messageOf } from '../appliance/errors.ts';
import type { StoragePool } from '../appliance/resources/croft-kinds.ts';
import type { VolumeDriver } from './driver.ts';
import { loadDriver, type LoadContext } from './load.ts';

export type Pools = {
  /** Opens the pool if it isn't; the same driver for the same settings. @throws what opening throws */
  ensure(pool: StoragePool): Promise<VolumeDriver>;
  /** @throws CroftError `not-found`, `unavailable` saying why it isn't open */
  get(name: string): VolumeDriver;
  /** As `get`; undefined when no such pool is known: there is nothing left of it to clean up. @throws CroftError `unavailable` */
  find(name: string): VolumeDriver | undefined;
  /** Forgets the pool; what is in it stays. */
  drop(name: string): void;
};

type Entry = {
  settings: string;
  driver: VolumeDriver;
  opening: Promise<void>;
  state: 'opening' | 'open' | 'failed';
  reason?: string;
};

export function createPools(context: LoadContext): Pools {
  const entries = new Map<string, Entry>();

  const start = (pool: StoragePool, settings: string): Entry => {
    const driver = loadDriver(pool, context);
    const entry: Entry = { settings, driver, opening: driver.open(), state: 'opening' };
    entries.set(pool.metadata.name, entry);
    return entry;
  };

  const find = (name: string): VolumeDriver | undefined => {
    const entry = entries.get(name);
    if (!entry || entry.state === 'open') return entry?.driver;
    const why = entry.state === 'failed' ? `cannot be opened: ${entry.reason}` : 'is being opened';
    throw new CroftError('unavailable', `Storage pool ${name} ${why}.`);
  };

  return {
    find,
    async ensure(pool) {
      // Disks come and go in an open pool (setDisks).
      const settings = JSON.stringify({ ...pool.spec, disks: undefined });
      const present = entries.get(pool.metadata.name);
      const entry = present && present.settings === settings && present.state !== 'failed' ? present : start(pool, settings);
      try {
        await entry.opening;
        entry.state = 'open';
      } catch (error) {
        entry.state = 'failed';
        entry.reason = messageOf(error);
        throw error;
      }
      return entry.driver;
    },
    get(name) {
      const driver = find(name);
      if (!driver) throw new CroftError('not-found', `There is no storage pool ${name}.`);
      return driver;
    },
    drop(name) {
      entries.delete(name);
    },
  };
}
