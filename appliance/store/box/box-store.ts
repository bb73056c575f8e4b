/**
 * The box's own store, box.db: what belongs to this machine in every mode and never goes to a cluster.
 * Tasks, events, metrics history, audit log, idempotency keys, sessions, uid numbers, the journal of sagas and run state, and
 * one-time links. Same file rules as the resource store (database.ts): one process, write-ahead log.
 *
 * Each part is a small file of its own over one table. What a power cut may take (progress, events, when a
 * session was last seen) is written without waiting for the disk; all else is on it when the call returns.
 */
import type { Logger } from '../../host/logger.ts';
import type { Events } from '../../reconcile/events.ts';
import type { Journal } from '../../reconcile/saga.ts';
import { openDatabase } from '../database.ts';
import { boxMigrations } from '../migrations.ts';
import { createHistory, type MetricsHistory } from '../../metrics/history.ts';
import { createAuditLog, type AuditLog } from './audit.ts';
import { createEvents } from './events.ts';
import { createIdempotencyKeys, type IdempotencyKeys } from './idempotency.ts';
import { createJournal } from './journal.ts';
import { createOneTime, type OneTime } from './one-time.ts';
import { createSessions, type Sessions } from './sessions.ts';
import { createTasks, type BoxTasks } from './tasks.ts';
import { createUids, type Uids } from './uids.ts';

export type BoxStore = {
  tasks: BoxTasks;
  events: Events;
  audit: AuditLog;
  idempotency: IdempotencyKeys;
  sessions: Sessions;
  uids: Uids;
  journal: Journal;
  oneTime: OneTime;
  history: MetricsHistory;
  /** Cancels what runs, waits up to 5 s for it, and closes the file. */
  close(): Promise<void>;
};

export type BoxStoreOptions = {
  /** Milliseconds since the epoch; for tests. */
  now?: () => number;
  logger?: Logger;
  /** How many of each log are kept; default tasks 2 000, events 10 000, audit 100 000. */
  limits?: { tasks?: number; events?: number; audit?: number };
};

/** Age at which tasks and events go: 30 days. The audit log keeps a year. */
export const keepFor = 30 * 24 * 3_600_000;
const keepAuditFor = 365 * 24 * 3_600_000;

/** @throws CroftError `in-use` when another process has it open, `invalid-state` when a newer Croft wrote it. */
export function openBoxStore(path: string, { now = Date.now, logger, limits = {} }: BoxStoreOptions = {}): BoxStore {
  const database = openDatabase(path, boxMigrations);
  const tasks = createTasks(database, { now, logger, keep: limits.tasks ?? 2_000, keepFor });
  return {
    tasks,
    events: createEvents(database, { now, logger, keep: limits.events ?? 10_000, keepFor }),
    audit: createAuditLog(database, { now, keep: limits.audit ?? 100_000, keepFor: keepAuditFor }),
    idempotency: createIdempotencyKeys(database, now),
    sessions: createSessions(database, now),
    uids: createUids(database, now),
    journal: createJournal(database),
    oneTime: createOneTime(database, now),
    history: createHistory(database, now),
    async close() {
      await tasks.stop();
      database.close();
    },
  };
}
