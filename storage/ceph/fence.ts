/**
 * A box shut out of the disks, by the monitors' commands (measured: docs/ha.md). A blocklist entry for a whole address
 * stops every client on it, present and future, but not its disks, and those come back up by themselves: so they are
 * marked down and kept from coming up. `touchGroups` proves that every placement group knows.
 */
import { CroftError } from '../../appliance/errors.ts';
import type { BoxPlace, StorageFence } from '../driver.ts';
import { isCephError, type CephBridge } from '../rbd/bridge/client.ts';

/** Seconds. Ten years: an entry that ends by itself would let a box in that nobody has looked at. The fraction makes it the JSON real that Ceph asks for. */
const forever = 315_360_000.5;

/** Of `ceph osd dump --format json`. */
export type OsdMap = {
  epoch: number;
  blocklist: Record<string, string>;
  osds: { osd: number; up: number; state: string[] }[];
  pools: { pool: number; pool_name: string; size: number; min_size: number; pg_num: number }[];
};

/** Whole-address entries read `10.0.0.1:0/0`. Pure. */
export const isBlocked = ({ blocklist }: Pick<OsdMap, 'blocklist'>, address: string): boolean => `${address}:0/0` in blocklist;

/** Pure. `disks`: numbers of the box's OSDs; `boxes`: how many boxes have any. */
export function readShutOut(map: OsdMap, { addresses }: BoxPlace, disks: readonly number[]) {
  const own = map.osds.filter(({ osd }) => disks.includes(osd));
  return {
    blocked: addresses.every((address) => isBlocked(map, address)),
    disksStopped: own.every(({ up, state }) => up === 0 && state.includes('noup')),
    // A box without disks takes no copy away.
    servesWithout: own.length === 0 || pairs(map).every(({ min_size }) => min_size === 1),
  };
}

/** Pools with a copy on each of two boxes; with three copies, two are left. */
const pairs = ({ pools }: OsdMap): OsdMap['pools'] => pools.filter(({ size }) => size === 2);

/** ms: enough for an election, short enough to be tried again within the budget. */
const timeout = 15_000;

export function createStorageFence(bridge: () => Promise<CephBridge>): StorageFence {
  const command = async <T>(wish: { prefix: string } & Record<string, unknown>): Promise<T> => {
    try {
      return await (await bridge()).command<T>(wish, { timeout });
    } catch (error) {
      if (!isCephError(error)) throw error;
      throw new CroftError('unavailable', `The storage cluster refused ${wish.prefix}: ${error.message}`, { cause: error });
    }
  };
  const map = (): Promise<OsdMap> => command<OsdMap>({ prefix: 'osd dump', format: 'json' });
  const disksOf = async (box: string): Promise<number[]> => {
    const tree = await command<{ nodes: { name: string; type: string; children?: number[] }[] }>({
      prefix: 'osd tree',
      format: 'json',
    });
    return tree.nodes.find(({ name, type }) => type === 'host' && name === box)?.children ?? [];
  };
  const setLeast = async (least: number): Promise<void> => {
    for (const { pool_name: pool, min_size: present } of pairs(await map())) {
      if (present !== least) await command({ prefix: 'osd pool set', pool, var: 'min_size', val: String(least) });
    }
  };
  const each = async (box: string, prefix: string, argument: (numbers: string[]) => object): Promise<void> => {
    const numbers = await disksOf(box);
    if (numbers.length > 0) await command({ prefix, ...argument(numbers.map(String)) });
  };

  return {
    look: async (place) => readShutOut(await map(), place, await disksOf(place.box)),

    async serves(box) {
      const disks = await disksOf(box);
      if (disks.length === 0) return undefined;
      return (await map()).osds.some(({ osd, up }) => up === 1 && disks.includes(osd));
    },

    async block({ addresses }) {
      for (const addr of addresses) await command({ prefix: 'osd blocklist', blocklistop: 'add', addr, expire: forever });
    },

    async stopDisks({ box }) {
      await each(box, 'osd set-group', (who) => ({ flags: 'noup', who: who.map((number) => `osd.${number}`) }));
      await each(box, 'osd down', (ids) => ({ ids }));
    },

    serveWithout: () => setLeast(1),

    async prove() {
      // Read first: what the groups then answer by is this map or a newer one.
      const { epoch, pools } = await map();
      const wanted = pools.filter(({ size }) => size > 1).map(({ pool_name: name, pg_num: groups }) => ({ name, groups }));
      const { groups, answered } = await (await bridge()).touchGroups(wanted);
      if (answered === groups) return epoch;
      throw new CroftError('unavailable', `${groups - answered} of ${groups} placement groups do not serve yet.`);
    },

    async letIn({ box, addresses }) {
      const present = await map();
      for (const addr of addresses) {
        if (isBlocked(present, addr)) await command({ prefix: 'osd blocklist', blocklistop: 'rm', addr });
      }
      await each(box, 'osd unset-group', (who) => ({ flags: 'noup', who: who.map((number) => `osd.${number}`) }));
    },

    async mend() {
      const { pools } = await map();
      if (pairs({ pools } as OsdMap).every(({ min_size: least }) => least === 2)) return;
      const { pgmap } = await command<{ pgmap: { pgs_by_state: { state_name: string }[]; degraded_objects?: number } }>({
        prefix: 'status',
        format: 'json',
      });
      const whole = pgmap.pgs_by_state.every(({ state_name }) =>
        /^active\+clean(\+(snaptrim|scrubbing|deep|wait).*)*$/.test(state_name),
      );
      if (whole && (pgmap.degraded_objects ?? 0) === 0) await setLeast(2);
    },
  };
}
