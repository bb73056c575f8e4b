/**
 * Opening a SQLite file of ours: write-ahead log, one process only, schema up to date.
 *
 * The lock is SQLite's own (exclusive locking mode), so it ends with its process, however that ends; the
 * .pid file beside it only serves the message. A trap of POSIX locks: a process that opens and closes a
 * locked file by other means loses its lock. Nothing in this process may open these files but SQLite.
 */
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { CroftError, messageOf } from '../errors.ts';
import { migrate, type Migrations } from './migrations.ts';

export type Value = null | number | bigint | string | Uint8Array;

/** What our stores need of SQLite: prepared statements, by their SQL, and transactions. */
export type Database = {
  /** All rows. */
  all<Row>(sql: string, ...values: Value[]): Row[];
  /** The first row. */
  get<Row>(sql: string, ...values: Value[]): Row | undefined;
  /** @returns how many rows changed. */
  run(sql: string, ...values: Value[]): number;
  /**
   * Runs `work` in a transaction, on disk before this returns. `durable: false` leaves the last writes to
   * the system's write-back: a power cut may take them, a crash of ours may not.
   * @throws CroftError `insufficient-storage`, `unavailable` (I/O error); nothing is changed then
   */
  write<T>(work: () => T, options?: { durable?: boolean }): T;
  close(): void;
};

/** Result codes of SQLite (sqlite3.h); the low byte of extended ones. */
const [busy, ioError, corrupt, full] = [5, 10, 11, 13];
const lockWait = 250;

function lockError(path: string, cause: unknown): CroftError {
  let pid = '';
  try {
    pid = readFileSync(`${path}.pid`, 'utf8').trim();
  } catch {
    // Without the pid the message is still true.
  }
  return new CroftError('in-use', `${path} is open in another process${pid ? ` (pid ${pid})` : ''}: only one Croft can use it.`, {
    fix: ['Stop the other Croft, or choose another directory with CROFT_DATA.'],
    cause,
  });
}

/** What SQLite could not do, as people meet it. Other errors are defects of ours and stay as they are. */
function storageError(path: string, error: unknown): unknown {
  const code = ((error as { errcode?: number }).errcode ?? 0) & 0xff;
  if (code === full) {
    return new CroftError('insufficient-storage', `There is no space left to write ${path}: nothing was changed.`, {
      fix: [`Free space in the file system of ${path}.`],
      cause: error,
    });
  }
  if (code === ioError || code === corrupt) {
    return new CroftError('unavailable', `${path} cannot be read or written: ${messageOf(error)}.`, {
      fix: ['Check the disk (dmesg, smartctl); restore a backup if the file is damaged.'],
      cause: error,
    });
  }
  return error;
}

function connect(path: string, migrations: Migrations): DatabaseSync {
  mkdirSync(dirname(path), { recursive: true, mode: 0o711 });
  // Made by us so that its mode is ours; SQLite gives the same to -wal. Only before our lock exists, see above.
  try {
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const connection = new DatabaseSync(path, { timeout: lockWait });
  try {
    connection.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
    connection.exec('PRAGMA journal_size_limit = 16777216; PRAGMA foreign_keys = ON; BEGIN IMMEDIATE; COMMIT');
    writeFileSync(`${path}.pid`, `${process.pid}\n`, { mode: 0o600 });
    migrate(connection, migrations, path);
    return connection;
  } catch (error) {
    connection.close();
    throw (error as { errcode?: number }).errcode === busy ? lockError(path, error) : storageError(path, error);
  }
}

/** @throws CroftError `in-use` when another process has it open, `invalid-state` when a newer Croft wrote it. */
export function openDatabase(path: string, migrations: Migrations): Database {
  const connection = connect(path, migrations);
  const statements = new Map<string, StatementSync>();
  const prepared = (sql: string): StatementSync => {
    let statement = statements.get(sql);
    if (!statement) {
      statement = connection.prepare(sql);
      statements.set(sql, statement);
    }
    return statement;
  };
  return {
    all: <Row>(sql: string, ...values: Value[]) => prepared(sql).all(...values) as Row[],
    get: <Row>(sql: string, ...values: Value[]) => prepared(sql).get(...values) as Row | undefined,
    run: (sql, ...values) => Number(prepared(sql).run(...values).changes),
    write(work, { durable = true } = {}) {
      if (!durable) connection.exec('PRAGMA synchronous = NORMAL');
      try {
        prepared('BEGIN IMMEDIATE').run();
        try {
          const result = work();
          prepared('COMMIT').run();
          return result;
        } catch (error) {
          // SQLite has rolled back by itself after some errors (disk full, I/O).
          if (connection.isTransaction) prepared('ROLLBACK').run();
          throw storageError(path, error);
        }
      } finally {
        if (!durable) connection.exec('PRAGMA synchronous = FULL');
      }
    },
    close() {
      if (!connection.isOpen) return;
      rmSync(`${path}.pid`, { force: true });
      connection.close();
    },
  };
}
