/** Events in box.db: bounded by count and age, newest first when listed. */
import type { Logger } from '../../host/logger.ts';
import type { EventRecord, Events } from '../../reconcile/events.ts';
import type { Database } from '../database.ts';
import { createListeners } from './listeners.ts';

/** Writes between two trimmings. */
const stride = 100;

export function createEvents(
  database: Database,
  { now, logger, keep, keepFor }: { now: () => number; logger: Logger | undefined; keep: number; keepFor: number },
): Events {
  const listeners = createListeners<EventRecord>(logger);
  let seq = database.get<{ seq: number }>(`SELECT seq FROM sqlite_sequence WHERE name = 'events'`)?.seq ?? 0;

  function trim(newest: number): void {
    database.run('DELETE FROM events WHERE seq <= ? OR at < ?', newest - keep, now() - keepFor);
  }
  trim(seq);

  return {
    record(event) {
      const at = now();
      const { kind, name, project = '' } = event.about;
      const record: EventRecord = { seq: seq + 1, at: new Date(at).toISOString(), ...event, about: { ...event.about } };
      try {
        database.write(
          () => {
            database.run(
              'INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)',
              record.seq,
              at,
              kind,
              name,
              project,
              JSON.stringify(record),
            );
            if (record.seq % stride === 0) trim(record.seq);
          },
          { durable: false },
        );
      } catch (error) {
        // An event tells of work; a full disk must not make it fail.
        logger?.error({ err: error, event: record }, 'an event could not be stored');
      }
      seq = record.seq;
      listeners.call(record);
    },
    list({ kind, name, project, limit = 100 } = {}) {
      return database
        .all<{ json: string }>(
          `SELECT json FROM events WHERE kind = coalesce(?, kind) AND name = coalesce(?, name)
           AND project = coalesce(?, project) ORDER BY seq DESC LIMIT ?`,
          kind ?? null,
          name ?? null,
          project ?? null,
          limit,
        )
        .map(({ json }) => JSON.parse(json) as EventRecord);
    },
    subscribe: (listener) => listeners.add(listener),
  };
}
