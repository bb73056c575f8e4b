/** What is known of the disks of this box beside Ceph: what they say of themselves, which blink, why one is not started. */
import type { Logger } from '../../appliance/host/logger.ts';
import type { DiskState, DiskWish } from '../driver.ts';
import { createLocator } from './locate.ts';
import { createSmart, warningOf } from './smart.ts';

export type Attendant = {
  /** The disks of this box, as they are wished for now. */
  follow(disks: readonly DiskWish[]): void;
  /** Told by the cluster; `undefined`: it has started. */
  failing(id: string, why: string | undefined): void;
  /** True when this is what was told before. */
  isFailing(id: string): boolean;
  adorn(disk: DiskState): DiskState;
  stop(): void;
};

export function createAttendant(logger: Logger): Attendant {
  const locator = createLocator(logger);
  const smart = createSmart(logger);
  const reasons = new Map<string, string>();
  let own = new Set<string>();
  return {
    follow(disks) {
      own = new Set(disks.map(({ id }) => id));
      locator.follow(disks);
    },
    failing(id, why) {
      if (why === undefined) reasons.delete(id);
      else reasons.set(id, why);
    },
    isFailing: (id) => reasons.has(id),
    adorn(disk) {
      if (!own.has(disk.id)) return disk;
      const facts = smart.of(disk.path);
      const warning = facts && warningOf(facts);
      const locating = locator.of(disk.id);
      const reason = disk.state === 'down' ? reasons.get(disk.id) : undefined;
      return {
        ...disk,
        ...(reason === undefined ? {} : { reason }),
        ...(facts === undefined ? {} : { smart: facts }),
        ...(warning === undefined ? {} : { warning }),
        ...(locating === undefined ? {} : { locating }),
      };
    },
    stop: () => locator.stop(),
  };
}
