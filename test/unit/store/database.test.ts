import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openDatabase } from '../../../appliance/store/database.ts';
import { createKey, readKey, secretBox } from '../../../appliance/store/secret-box.ts';

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'croft-database-'));
  path = join(directory, 'x.db');
});
afterEach(() => rmSync(directory, { recursive: true }));
const first = 'CREATE TABLE t (a TEXT)';

describe('database', () => {
  it('goes through the migrations it has not had, each wholly or not at all', () => {
    const old = openDatabase(path, [first]);
    old.run(`INSERT INTO t VALUES ('kept')`);
    old.close();
    expect(() => openDatabase(path, [first, 'ALTER TABLE t ADD COLUMN b TEXT; SELECT nonsense'])).toThrow('nonsense');
    const next = openDatabase(path, [first, `ALTER TABLE t ADD COLUMN b TEXT DEFAULT 'new'`]);
    expect(next.all('SELECT a, b FROM t').map((row) => ({ ...(row as object) }))).toEqual([{ a: 'kept', b: 'new' }]);
    next.close();
    expect(() => openDatabase(path, [first])).toThrow('has schema 2, but this Croft knows only 1');
  });

  it('says when the disk is full, and goes on when it is not', () => {
    const database = openDatabase(path, [first]);
    database.run('PRAGMA max_page_count = 4');
    const big = 'x'.repeat(50_000);
    expect(() => database.write(() => database.run('INSERT INTO t VALUES (?)', big))).toThrow(
      expect.objectContaining({ code: 'insufficient-storage' }) as Error,
    );
    database.write(() => database.run('INSERT INTO t VALUES (?)', 'small'));
    expect(database.all('SELECT a FROM t')).toHaveLength(1);
    database.close();
  });

  it('undoes a transaction that throws, and is owner-only', () => {
    const database = openDatabase(path, [first]);
    const attempt = () =>
      database.write(
        () => {
          database.run(`INSERT INTO t VALUES ('half')`);
          throw new Error('no');
        },
        { durable: false },
      );
    expect(attempt).toThrow('no');
    expect(database.all('SELECT a FROM t')).toEqual([]);
    expect(database.get('PRAGMA synchronous')).toMatchObject({ synchronous: 2 });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    database.close();
    database.close();
  });
});

describe('secret box', () => {
  it('opens only with its key, at its place, unchanged', () => {
    const key = createKey(join(directory, 'keys', 'key'));
    expect(readKey(join(directory, 'keys', 'key'))).toEqual(key);
    const box = secretBox(key);
    const sealed = box.seal('geheim – ü', 'a');
    expect(box.open(sealed, 'a')).toBe('geheim – ü');
    expect(box.seal('geheim – ü', 'a')).not.toBe(sealed);
    const flipped = `${sealed.slice(0, -6)}${sealed.at(-6) === 'A' ? 'B' : 'A'}${sealed.slice(-5)}`;
    for (const open of [
      () => box.open(sealed, 'b'),
      () => box.open(flipped, 'a'),
      () => box.open('sealed1:', 'a'),
      () => secretBox(Buffer.alloc(32)).open(sealed, 'a'),
    ]) {
      expect(open).toThrow(expect.objectContaining({ code: 'internal' }) as Error);
    }
  });

  it('never replaces a key', () => {
    const file = join(directory, 'key');
    const key = createKey(file);
    expect(() => createKey(file)).toThrow('EEXIST');
    expect(readKey(file)).toEqual(key);
    expect(readKey(join(directory, 'none'))).toBeUndefined();
  });
});
