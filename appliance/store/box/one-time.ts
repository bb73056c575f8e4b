/** Links and tickets that work once: set-up links, password resets, console tickets. By hash; times are Unix ms. */
import type { Database } from '../database.ts';

export type OneTime = {
  /** `kind` says what it is for: a console ticket opens no set-up. */
  put(hash: string, kind: string, payload: string, expires: number): void;
  /** The payload, exactly once; undefined when unknown, used, expired or of another kind. */
  take(hash: string, kind: string): string | undefined;
  /** Withdraws all of a kind, e.g. older set-up links. */
  removeAll(kind: string): void;
};

export function createOneTime(database: Database, now: () => number): OneTime {
  return {
    put(hash, kind, payload, expires) {
      database.write(() => {
        database.run('DELETE FROM one_time WHERE expires <= ?', now());
        database.run('INSERT INTO one_time VALUES (?, ?, ?, ?)', hash, kind, payload, expires);
      });
    },
    take: (hash, kind) =>
      database.write(
        () =>
          database.get<{ payload: string }>(
            'DELETE FROM one_time WHERE hash = ? AND kind = ? AND expires > ? RETURNING payload',
            hash,
            kind,
            now(),
          )?.payload,
      ),
    removeAll: (kind) => void database.write(() => database.run('DELETE FROM one_time WHERE kind = ?', kind)),
  };
}
