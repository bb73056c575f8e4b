/** Sign-in sessions by the hash of their token: who reads box.db can use none of them. Times are Unix ms. */
import type { Database } from '../database.ts';

export type Session = { user: string; created: number; seen: number; expires: number };

export type Sessions = {
  /** `hash` is that of the token, never the token. */
  put(hash: string, user: string, expires: number): void;
  /** @returns undefined when there is none or it has expired. */
  get(hash: string): Session | undefined;
  /** Notes its use and moves its end; written at most once a minute. */
  touch(hash: string, expires: number): void;
  remove(hash: string): void;
  /** Ends all of a user's, but for one if given: after a change of password or role. @returns how many. */
  removeOf(user: string, except?: string): number;
};

const touchEvery = 60_000;

export function createSessions(database: Database, now: () => number): Sessions {
  return {
    put(hash, user, expires) {
      database.write(() => {
        database.run('DELETE FROM sessions WHERE expires <= ?', now());
        database.run('INSERT INTO sessions VALUES (?, ?, ?, ?, ?)', hash, user, now(), now(), expires);
      });
    },
    get: (hash) =>
      database.get<Session>('SELECT user, created, seen, expires FROM sessions WHERE hash = ? AND expires > ?', hash, now()),
    touch(hash, expires) {
      database.write(
        () =>
          database.run(
            'UPDATE sessions SET seen = ?, expires = ? WHERE hash = ? AND seen <= ?',
            now(),
            expires,
            hash,
            now() - touchEvery,
          ),
        { durable: false },
      );
    },
    remove: (hash) => void database.write(() => database.run('DELETE FROM sessions WHERE hash = ?', hash)),
    removeOf: (user, except = '') =>
      database.write(() => database.run('DELETE FROM sessions WHERE user = ? AND hash <> ?', user, except)),
  };
}
