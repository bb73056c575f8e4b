/**
 * Schemas of our SQLite files and the way from each version to the next. `PRAGMA user_version` counts the
 * steps done; a step, once released, is never changed: a new one is added.
 */
import type { DatabaseSync } from 'node:sqlite';
import { CroftError } from '../errors.ts';

/** SQL of step n at index n-1. */
export type Migrations = readonly string[];

/** store.db: all resources. */
export const storeMigrations: Migrations = [
  `
  CREATE TABLE objects (
    kind TEXT NOT NULL,              -- group/Kind, e.g. kubevirt.io/VirtualMachine
    namespace TEXT NOT NULL,         -- '' for kinds of the box
    name TEXT NOT NULL,
    uid TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL,        -- resourceVersion: one sequence for all objects
    id TEXT,                         -- label croft.io/id
    json TEXT NOT NULL,              -- the whole object; sealed for Secrets
    PRIMARY KEY (kind, namespace, name)
  ) STRICT;
  CREATE INDEX objects_by_id ON objects (kind, id) WHERE id IS NOT NULL;

  CREATE TABLE owners (
    kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    owner_uid TEXT NOT NULL,
    PRIMARY KEY (kind, namespace, name, owner_uid)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX owners_by_uid ON owners (owner_uid);

  -- AUTOINCREMENT: a version is never given twice, also when the log was emptied.
  CREATE TABLE changes (
    version INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    labels_before TEXT,              -- JSON; NULL for ADDED
    json TEXT NOT NULL
  ) STRICT;

  CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
  `,
];

/** box.db: what belongs to this box in all modes and never to a cluster's store. Times are Unix ms. */
export const boxMigrations: Migrations = [
  `
  CREATE TABLE tasks (
    id TEXT PRIMARY KEY, state TEXT NOT NULL, started INTEGER NOT NULL, json TEXT NOT NULL
  ) STRICT;
  CREATE INDEX tasks_by_start ON tasks (started);

  CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL,
    kind TEXT NOT NULL, name TEXT NOT NULL, project TEXT NOT NULL, json TEXT NOT NULL
  ) STRICT;
  CREATE INDEX events_by_object ON events (kind, name, seq);

  CREATE TABLE audit (seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, json TEXT NOT NULL) STRICT;

  CREATE TABLE idempotency (
    key TEXT PRIMARY KEY, at INTEGER NOT NULL, request TEXT NOT NULL, answer TEXT
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX idempotency_by_time ON idempotency (at);

  CREATE TABLE sessions (
    hash TEXT PRIMARY KEY, user TEXT NOT NULL, created INTEGER NOT NULL, seen INTEGER NOT NULL, expires INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX sessions_by_user ON sessions (user);

  CREATE TABLE uids (
    id TEXT PRIMARY KEY, number INTEGER NOT NULL UNIQUE, released INTEGER
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE journal (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

  CREATE TABLE one_time (
    hash TEXT PRIMARY KEY, kind TEXT NOT NULL, payload TEXT NOT NULL, expires INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  `,
  `
  -- Metrics history: a ring of slots per subject and tier, so its size is bounded by construction.
  CREATE TABLE samples (
    subject TEXT NOT NULL,           -- croft.io/id of a VM, or 'node'
    tier INTEGER NOT NULL,
    slot INTEGER NOT NULL,           -- (at / step) modulo the tier's slots
    at INTEGER NOT NULL,             -- begin of the slot's time
    n INTEGER NOT NULL,              -- samples that the averages are made of
    cpu REAL, memory REAL,
    disk_read REAL, disk_write REAL, reads REAL, writes REAL, disk_busy REAL,
    net_received REAL, net_transmitted REAL,
    PRIMARY KEY (subject, tier, slot)
  ) STRICT, WITHOUT ROWID;
  `,
];

/**
 * Brings a database to the newest schema; each step is all or nothing.
 * @throws CroftError `invalid-state` when it was written by a newer Croft.
 */
export function migrate(database: DatabaseSync, migrations: Migrations, path: string): void {
  const row = database.prepare('PRAGMA user_version').get() as { user_version: number };
  if (row.user_version > migrations.length) {
    throw new CroftError(
      'invalid-state',
      `${path} has schema ${row.user_version}, but this Croft knows only ${migrations.length}: it was written by a newer one. Start that version.`,
    );
  }
  for (const [index, sql] of migrations.entries()) {
    if (index < row.user_version) continue;
    database.exec(`BEGIN IMMEDIATE; ${sql}; PRAGMA user_version = ${index + 1}; COMMIT`);
  }
}
