/**
 * Idempotency keys: a request sent twice under one key is done once. `begin` before the work, `finish` with
 * the answer, `forget` when it failed in a way that a repeat may mend. Kept for 24 h.
 */
import type { Database } from '../database.ts';

export type IdempotencyKeys = {
  /**
   * Claims a key for a request, told by its fingerprint (hash of method, path, body and caller).
   * @returns `new`: do it; `running`: its first sending is at work; `done`: repeat the answer;
   * `mismatch`: the key was used for another request.
   */
  begin(
    key: string,
    request: string,
  ): { state: 'new' } | { state: 'running' } | { state: 'mismatch' } | { state: 'done'; answer: string };
  /** Stores the answer, as text. */
  finish(key: string, answer: string): void;
  forget(key: string): void;
};

const keepFor = 24 * 3_600_000;

export function createIdempotencyKeys(database: Database, now: () => number): IdempotencyKeys {
  // Whether work cut off by the end of the service was done is unknown; a repeat meets `already-exists` if it was.
  database.run('DELETE FROM idempotency WHERE answer IS NULL');
  return {
    begin(key, request) {
      return database.write(() => {
        database.run('DELETE FROM idempotency WHERE at < ?', now() - keepFor);
        const found = database.get<{ request: string; answer: string | null }>(
          'SELECT request, answer FROM idempotency WHERE key = ?',
          key,
        );
        if (!found) {
          database.run('INSERT INTO idempotency VALUES (?, ?, ?, NULL)', key, now(), request);
          return { state: 'new' as const };
        }
        if (found.request !== request) return { state: 'mismatch' as const };
        return found.answer === null ? { state: 'running' as const } : { state: 'done' as const, answer: found.answer };
      });
    },
    finish: (key, answer) =>
      void database.write(() => database.run('UPDATE idempotency SET answer = ? WHERE key = ?', answer, key)),
    forget: (key) => void database.write(() => database.run('DELETE FROM idempotency WHERE key = ?', key)),
  };
}
