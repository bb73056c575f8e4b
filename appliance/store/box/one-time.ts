/** Links and tickets that work once: set-up links, password resets, console tickets. By hash; times are Unix ms. */
import type { Database } from '../database.ts';

export type OneTime = {
  /** `kind` says what it is for: a console ticket opens no set-up. Beyond `most` of a kind those that expire first go. */
  put(hash: string, kind: string, payload: string, expires: number, most?: number): void;
  /** The payload, exactly once; undefined when unknown, used, expired or of another kind. */
  take(hash: string, kind: string): string | undefined;
  /** Withdraws all of a kind, e.g. older set-up links. */
  removeAll(kind: string): void;
};

export function createOneTime(database: Database, now: () => number): OneTime {
  return {
    put(hash, kind, payload, expires, most) {
      database.write(() => {
        database.run('DELETE FROM one_time WHERE expires <= ?', now());
        database.run('INSERT INTO one_time VALUES (?, ?, ?, ?)', hash, kind, payload, expires);
        if (most === undefined) return;
        const latest = 'SELECT hash FROM one_time WHERE kind = ? ORDER BY expires DESC, hash LIMIT ?';
        database.run(`DELETE FROM one_time WHERE kind = ? AND hash NOT IN (${latest})`, kind, kind, most);
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
