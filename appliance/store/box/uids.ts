/**
 * Which uid each VM's QEMU runs as: 1 900 000 000 + n, one per VM id. A number that was given back is the
 * last to be given again, so that files and processes forgotten under it stay nobody else's.
 */
import { CroftError } from '../../errors.ts';
import type { Database } from '../database.ts';

export const firstUid = 1_900_000_000;
export const uidCount = 65_536;

export type Uids = {
  /** The uid of this VM id; the same until released. @throws CroftError `unavailable` when all are in use */
  allocate(id: string): number;
  /** @returns undefined when it has none. */
  get(id: string): number | undefined;
  /** Gives it back: when nothing of the VM is left. */
  release(id: string): void;
  /** All in use: VM id to uid. */
  list(): Map<string, number>;
};

export function createUids(database: Database, now: () => number): Uids {
  const get = (id: string): number | undefined =>
    database.get<{ number: number }>('SELECT number FROM uids WHERE id = ? AND released IS NULL', id)?.number;

  /** Never used, or else the one longest released. */
  function nextNumber(): number {
    const highest = database.get<{ number: number | null }>('SELECT max(number) AS number FROM uids')?.number;
    const fresh = (highest ?? firstUid - 1) + 1;
    if (fresh < firstUid + uidCount) return fresh;
    const oldest = database.get<{ id: string; number: number }>(
      'SELECT id, number FROM uids WHERE released IS NOT NULL ORDER BY released, number LIMIT 1',
    );
    if (!oldest) throw new CroftError('unavailable', `All ${uidCount} user ids for guests are in use.`);
    database.run('DELETE FROM uids WHERE id = ?', oldest.id);
    return oldest.number;
  }

  return {
    get,
    allocate(id) {
      const found = get(id);
      if (found !== undefined) return found;
      return database.write(() => {
        // The VM came back, say from an undone deletion: its own number fits best.
        const mine = database.get<{ number: number }>('SELECT number FROM uids WHERE id = ?', id)?.number;
        const number = mine ?? nextNumber();
        database.run('INSERT OR REPLACE INTO uids VALUES (?, ?, NULL)', id, number);
        return number;
      });
    },
    release: (id) =>
      void database.write(() => database.run('UPDATE uids SET released = ? WHERE id = ? AND released IS NULL', now(), id)),
    list: () =>
      new Map(
        database
          .all<{ id: string; number: number }>('SELECT id, number FROM uids WHERE released IS NULL ORDER BY number')
          .map(({ id, number }) => [id, number]),
      ),
  };
}
