/** A durable map of text in box.db: cursors of sagas, run state, small facts of this box. */
import type { Journal } from '../../reconcile/saga.ts';
import type { Database } from '../database.ts';

export function createJournal(database: Database): Journal {
  return {
    get: (key) => database.get<{ value: string }>('SELECT value FROM journal WHERE key = ?', key)?.value,
    put: (key, value) => void database.write(() => database.run('INSERT OR REPLACE INTO journal VALUES (?, ?)', key, value)),
    delete: (key) => void database.write(() => database.run('DELETE FROM journal WHERE key = ?', key)),
    // substr, not LIKE: keys may hold % and _.
    list: (prefix) =>
      database.all<{ key: string; value: string }>(
        'SELECT key, value FROM journal WHERE key >= ? AND substr(key, 1, length(?)) = ? ORDER BY key',
        prefix,
        prefix,
        prefix,
      ),
  };
}
