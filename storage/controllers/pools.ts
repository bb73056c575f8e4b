/** StoragePool → an open driver, its usage in the status. */
import { messageOf } from '../../appliance/errors.ts';
import { startController, watching, type Controller } from '../../appliance/reconcile/controller.ts';
import { storagePool, type StoragePool } from '../../appliance/resources/croft-kinds.ts';
import { setCondition } from '../../appliance/resources/meta.ts';
import { editStatus } from '../../appliance/store/edit.ts';
import type { VolumeDriver } from '../driver.ts';
import type { StorageContext } from './context.ts';

const usageInterval = 30_000;
const healthInterval = 5_000;
/** While copies are missing, or disks come and go. */
const busyInterval = 2_000;
/** Usage is shown in steps of this many bytes: a store write for every block written would be noise. */
const usageStep = 16 * 2 ** 20;

/** A disk that is refused keeps nobody from the pool's data. @returns why, undefined when all is as wished */
async function setDisks(driver: VolumeDriver, { spec }: StoragePool): Promise<string | undefined> {
  try {
    if (spec.disks) await driver.setDisks?.(spec.disks);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

export function startPoolController(context: StorageContext, onOpen: (pool: string) => void): Controller {
  const { store, informers, pools, logger } = context;
  const open = new Set<string>();
  const measured = new Map<string, { at: number; usage: object }>();

  /** Usage is a walk over all volumes; redundancy is asked for more often. */
  const usageOf = async (name: string, driver: VolumeDriver): Promise<object> => {
    const known = measured.get(name);
    if (known && Date.now() - known.at < usageInterval) return known.usage;
    const { capacity, used, provisioned } = await driver.usage();
    const usage = { capacity, used: Math.ceil(used / usageStep) * usageStep, provisioned };
    measured.set(name, { at: Date.now(), usage });
    return usage;
  };

  const report = async (name: string, problem: string | undefined, usage: object): Promise<void> => {
    // All boxes open the pool, one speaks of it.
    if (context.gate?.open() === false) return;
    await editStatus(store, storagePool, { name }, (object) => {
      const condition = {
        type: 'Ready',
        status: problem === undefined ? ('True' as const) : ('False' as const),
        reason: problem === undefined ? 'Open' : 'CannotOpen',
        message: problem ?? '',
      };
      object.status = { ...object.status, ...usage, conditions: setCondition(object.status?.conditions, condition) };
    });
  };

  return startController({
    name: 'storage-pools',
    logger,
    watches: [watching(informers.storagePool)],
    async reconcile(name) {
      const pool = await store.get(storagePool, name);
      if (!pool || pool.metadata.deletionTimestamp) {
        open.delete(name);
        measured.delete(name);
        pools.drop(name);
        return undefined;
      }
      let interval = usageInterval;
      try {
        const driver = await pools.ensure(pool);
        const refused = await setDisks(driver, pool);
        const health = await driver.health?.();
        if (health && refused !== undefined) health.problem = refused;
        if (health)
          interval = health.state === 'ok' && health.disks.every(({ state }) => state === 'up') ? healthInterval : busyInterval;
        // Told before the walk over the volumes, which waits while data cannot be reached.
        if (health) await report(name, undefined, { health });
        if (context.gate?.open() !== false) await report(name, undefined, await usageOf(name, driver));
      } catch (error) {
        await report(name, messageOf(error), {});
        throw error;
      }
      if (!open.has(name)) {
        open.add(name);
        onOpen(name);
      }
      return { requeueAfter: interval };
    },
  });
}
