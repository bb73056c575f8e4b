/**
 * Clones of clones of clones: each read of a block that was never written asks all of them in turn. A volume that lies
 * on more than `deepest` others gets all its bytes of its own, in the background, also while a guest has it open. Cut off
 * anywhere it reads the same, and is gone on with at the next opening of the pool.
 */
import { messageOf } from '../../appliance/errors.ts';
import type { Logger } from '../../appliance/host/logger.ts';
import type { RbdPool } from './pool.ts';
import { headName } from './record.ts';

/** Images below a volume that are one too many. An image of the pool is the first, a clone of a VM the next. */
export const deepest = 4;

export type Flattener = {
  /** Looks at all volumes; at once, or after the look that goes on now. Never throws. */
  look(): Promise<void>;
};

export function createFlattener(pool: RbdPool, logger: Logger, mayWork: () => boolean): Flattener {
  let running: Promise<void> | undefined;
  let again = false;

  const flattenDeep = async (): Promise<void> => {
    const bridge = await pool.bridge();
    const depths = await bridge.depths(pool.place, [...pool.volumes.values()].map(headName));
    for (const [name, depth] of Object.entries(depths)) {
      if (depth <= deepest) continue;
      const started = Date.now();
      logger.info({ image: name, depth }, 'a volume lies on many others and gets bytes of its own');
      await bridge.flatten(pool.place, name, {});
      logger.info({ image: name, ms: Date.now() - started }, 'a volume has bytes of its own');
    }
    await pool.collect();
  };

  const work = async (): Promise<void> => {
    do {
      again = false;
      try {
        if (mayWork()) await flattenDeep();
      } catch (error) {
        // Gone meanwhile, or Ceph is silent: the next clone or opening looks again.
        logger.warn({ error: messageOf(error) }, 'volumes that lie on many others stay so for now');
      }
    } while (again);
  };

  return {
    look() {
      again = true;
      running ??= work().finally(() => {
        running = undefined;
      });
      return running;
    },
  };
}
