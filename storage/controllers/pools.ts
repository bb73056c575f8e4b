/** StoragePool → an open driver, its usage in the status. */
import { messageOf } from '../../appliance/errors.ts';
import { startController, watching, type Controller } from '../../appliance/reconcile/controller.ts';
import { storagePool } from '../../appliance/resources/croft-kinds.ts';
import { setCondition } from '../../appliance/resources/meta.ts';
import { editStatus } from '../../appliance/store/edit.ts';
import type { StorageContext } from './context.ts';

const usageInterval = 30_000;
/** While copies are missing, or disks come and go. */
const busyInterval = 2_000;
/** Usage is shown in steps of this many bytes: a store write for every block written would be noise. */
const usageStep = 16 * 2 ** 20;

export function startPoolController(context: StorageContext, onOpen: (pool: string) => void): Controller {
  const { store, informers, pools, logger } = context;
  const open = new Set<string>();

  const report = async (name: string, problem: string | undefined, usage: object): Promise<void> => {
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
        pools.drop(name);
        return undefined;
      }
      let busy = false;
      try {
        const driver = await pools.ensure(pool);
        const [{ capacity, used, provisioned }, health] = [await driver.usage(), await driver.health?.()];
        busy = health !== undefined && (health.state !== 'ok' || health.disks.some(({ state }) => state !== 'up'));
        const usage = { capacity, used: Math.ceil(used / usageStep) * usageStep, provisioned };
        await report(name, undefined, { ...usage, ...(health ? { health } : {}) });
      } catch (error) {
        await report(name, messageOf(error), {});
        throw error;
      }
      if (!open.has(name)) {
        open.add(name);
        onOpen(name);
      }
      return { requeueAfter: busy ? busyInterval : usageInterval };
    },
  });
}
