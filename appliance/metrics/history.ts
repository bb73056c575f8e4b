/** The rings of the metrics history in box.db; series.ts has the theory. */
import type { Database } from '../store/database.ts';
import { type History, type Point, seriesNames, type Tier, tiers } from './series.ts';

export type MetricsHistory = {
  /** Adds one sample of each subject. What a power cut takes of it is lost without harm. */
  record(at: number, points: ReadonlyMap<string, Point>): void;
  /** What is known of a subject, the newest slot last. */
  read<Of extends Tier>(subject: string, range: Of): History<Of>;
  forget(subject: string): void;
  /** Called after each record, with its time. Returns the way to stop. */
  subscribe(listener: (at: number) => void): () => void;
};

const columns = {
  cpu: 'cpu',
  memory: 'memory',
  diskRead: 'disk_read',
  diskWrite: 'disk_write',
  reads: 'reads',
  writes: 'writes',
  diskBusy: 'disk_busy',
  netReceived: 'net_received',
  netTransmitted: 'net_transmitted',
} as const satisfies Record<keyof Point, string>;

const names = seriesNames.map((name) => columns[name]);

/**
 * Into an empty or outdated slot as it is; into the present one as a running average, in which an unknown value counts
 * as the average so far.
 */
const upsert = `
  INSERT INTO samples (subject, tier, slot, at, n, ${names.join(', ')})
  VALUES (?, ?, ?, ?, 1, ${names.map(() => '?').join(', ')})
  ON CONFLICT DO UPDATE SET
    at = excluded.at,
    n = CASE WHEN at = excluded.at THEN n + 1 ELSE 1 END,
    ${names
      .map(
        (name) =>
          `${name} = CASE WHEN at = excluded.at
             THEN coalesce(${name} + (excluded.${name} - ${name}) / (n + 1), ${name}, excluded.${name})
             ELSE excluded.${name} END`,
      )
      .join(',\n    ')}`;

type Row = { at: number } & Record<(typeof names)[number], number | null>;

export function createHistory(database: Database, now: () => number): MetricsHistory {
  const listeners = new Set<(at: number) => void>();
  return {
    record(at, points) {
      database.write(
        () => {
          for (const [subject, point] of points) {
            const values = seriesNames.map((name) => point[name]);
            for (const { index, step, slots } of Object.values(tiers)) {
              const slot = Math.floor(at / step);
              database.run(upsert, subject, index, slot % slots, slot * step, ...values);
            }
          }
        },
        { durable: false },
      );
      for (const listener of listeners) listener(at);
    },
    read<Of extends Tier>(subject: string, range: Of) {
      const { index, step, slots } = tiers[range];
      const start = (Math.floor(now() / step) - slots + 1) * step;
      const rows = database.all<Row>('SELECT * FROM samples WHERE subject = ? AND tier = ? AND at >= ?', subject, index, start);
      const history = { range, start, step } as History<Of>;
      for (const name of seriesNames) (history as History<Tier>)[name] = Array<number | null>(slots).fill(null);
      for (const row of rows) {
        const place = (row.at - start) / step;
        // A clock that was set back left slots of a time that is yet to come.
        if (place >= slots) continue;
        for (const name of seriesNames) history[name][place] = row[columns[name]];
      }
      return history;
    },
    forget(subject) {
      database.write(() => database.run('DELETE FROM samples WHERE subject = ?', subject), { durable: false });
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}
