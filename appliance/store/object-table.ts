/** The rows of store.db: objects as JSON text (sealed for Secrets), their owners, and the log of changes. */
import { dirname, join } from 'node:path';
import { CroftError } from '../errors.ts';
import { secret } from '../resources/core-kinds.ts';
import { idLabel } from '../resources/identity.ts';
import type { Kind } from '../resources/kind.ts';
import type { Resource } from '../resources/meta.ts';
import { openDatabase, type Value } from './database.ts';
import { storeMigrations } from './migrations.ts';
import { createKey, isSealed, readKey, secretBox, type SecretBox } from './secret-box.ts';
import type { WatchEventType } from './store.ts';
import { validateSize } from './validate.ts';

/** Where an object stands: its kind's group and name, its project ('' for the box), its name. */
export type Place = { kind: string; namespace: string; name: string };

/** `kubevirt.io/VirtualMachine`: without the version, which may change while objects stay. */
export const kindKey = (kind: { apiVersion: string; kind: string }): string => {
  const [group, version] = kind.apiVersion.split('/');
  return `${version === undefined ? '' : group}/${kind.kind}`;
};

export const placeOf = (object: Resource): Place => ({
  kind: kindKey(object),
  namespace: object.metadata.namespace ?? '',
  name: object.metadata.name,
});

export type Change = {
  version: number;
  type: Exclude<WatchEventType, 'BOOKMARK'>;
  labelsBefore: Record<string, string> | undefined;
  object: Resource;
};

type ObjectRow = { namespace: string; name: string; json: string };
type ChangeRow = ObjectRow & { version: number; type: Change['type']; labels_before: string | null };

/** How many objects a page asks of SQLite at once while filtering. */
const step = 200;

export type ObjectTable = ReturnType<typeof openObjectTable>;

export type ObjectTableOptions = {
  path: string;
  /** Key of the Secrets; made when first needed. Default: keys/store.key beside the database. */
  keyFile?: string;
  /** How many changes are kept for watches to resume from. */
  changeLogLimit: number;
};

const secretKind = kindKey(secret);
const sealPlace = (place: Place): string => `${place.kind}/${place.namespace}/${place.name}`;
const ownerUids = (one: Resource | undefined): string[] => one?.metadata.ownerReferences?.map(({ uid }) => uid) ?? [];
const where = 'kind = ? AND namespace = ? AND name = ?';

/** @throws CroftError `in-use`, `invalid-state` (newer schema; key file lost or of another store) */
export function openObjectTable({ path, keyFile, changeLogLimit }: ObjectTableOptions) {
  const keyPath = keyFile ?? join(dirname(path), 'keys', 'store.key');
  const database = openDatabase(path, storeMigrations);
  let box: SecretBox | undefined;
  try {
    box = openBox();
  } catch (error) {
    database.close();
    throw error;
  }

  function openBox(): SecretBox | undefined {
    const key = readKey(keyPath);
    const seal = database.get<{ value: string }>(`SELECT value FROM facts WHERE key = 'seal'`)?.value;
    if (!key) {
      if (seal === undefined) return undefined;
      throw new CroftError('invalid-state', `${keyPath} is missing: the secrets in ${path} cannot be read without it.`, {
        fix: [`Restore ${keyPath} from a backup.`],
      });
    }
    const opened = secretBox(key);
    if (seal !== undefined) {
      try {
        opened.open(seal, 'seal');
      } catch (cause) {
        throw new CroftError('invalid-state', `${keyPath} is not the key that ${path} was written with.`, {
          cause,
          fix: [`Restore ${keyPath} from the same backup as the store.`],
        });
      }
    }
    return opened;
  }

  function theBox(): SecretBox {
    box ??= secretBox(createKey(keyPath));
    return box;
  }

  const encode = (place: Place, json: string): string =>
    place.kind === secretKind ? theBox().seal(json, sealPlace(place)) : json;
  const decode = (kind: string, row: ObjectRow): Resource =>
    JSON.parse(isSealed(row.json) ? theBox().open(row.json, sealPlace({ kind, ...row })) : row.json) as Resource;

  const logged = database.get<{ seq: number }>(`SELECT seq FROM sqlite_sequence WHERE name = 'changes'`);
  let version = logged?.seq ?? 0;
  let floor = (database.get<{ first: number | null }>('SELECT min(version) AS first FROM changes')?.first ?? version + 1) - 1;

  function writeOwners(place: Place, object: Resource, before: Resource | undefined): void {
    const [uids, previous] = [new Set(ownerUids(object)), ownerUids(before)];
    if (uids.size === previous.length && previous.every((uid) => uids.has(uid))) return;
    database.run(`DELETE FROM owners WHERE ${where}`, place.kind, place.namespace, place.name);
    for (const uid of uids) database.run('INSERT INTO owners VALUES (?, ?, ?, ?)', place.kind, place.namespace, place.name, uid);
  }

  function log(place: Place, type: Change['type'], text: string, before: Resource | undefined): void {
    const labels = before ? JSON.stringify(before.metadata.labels ?? {}) : null;
    database.run(
      'INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?, ?)',
      version + 1,
      place.kind,
      place.namespace,
      place.name,
      type,
      labels,
      text,
    );
  }

  /** Runs one change with the version it gets; the in-memory counters follow only what was committed. */
  function commit(work: (next: number) => void): void {
    const next = version + 1;
    // Trimmed in strides: a delete per write would double the pages touched.
    const trim = next - floor > changeLogLimit + Math.max(1, changeLogLimit >> 3) ? next - changeLogLimit : undefined;
    database.write(() => {
      work(next);
      if (trim !== undefined) database.run('DELETE FROM changes WHERE version <= ?', trim);
    });
    version = next;
    if (trim !== undefined) floor = trim;
  }

  return {
    /** The newest version given. */
    version: (): number => version,
    /** Changes after this version are all in the log. */
    floor: (): number => floor,

    get(place: Place): Resource | undefined {
      const row = database.get<{ json: string }>(
        `SELECT json FROM objects WHERE ${where}`,
        place.kind,
        place.namespace,
        place.name,
      );
      return row && decode(place.kind, { ...place, json: row.json });
    },

    /**
     * Objects of a kind in the order of namespace and name, after `after`, that pass `accepts`; at most `limit`.
     * @returns also whether there are more.
     */
    scan(
      kind: Kind,
      query: { namespace?: string; id?: string; after?: { namespace: string; name: string }; limit?: number },
      accepts: (object: Resource) => boolean,
    ): { items: Resource[]; more: boolean } {
      const key = kindKey(kind);
      const limit = query.limit ?? Number.POSITIVE_INFINITY;
      const items: Resource[] = [];
      let after = query.after ?? { namespace: '', name: '' };
      const conditions = ['kind = ?', '(namespace, name) > (?, ?)'];
      const fixed: Value[] = [];
      if (query.namespace !== undefined) {
        conditions.push('namespace = ?');
        fixed.push(query.namespace);
      }
      if (query.id !== undefined) {
        conditions.push('id = ?');
        fixed.push(query.id);
      }
      const sql = `SELECT namespace, name, json FROM objects WHERE ${conditions.join(' AND ')} ORDER BY namespace, name LIMIT ${step}`;
      for (;;) {
        const rows = database.all<ObjectRow>(sql, key, after.namespace, after.name, ...fixed);
        for (const row of rows) {
          const object = decode(key, row);
          if (!accepts(object)) continue;
          if (items.length === limit) return { items, more: true };
          items.push(object);
        }
        const last = rows.at(-1);
        if (!last || rows.length < step) return { items, more: false };
        after = { namespace: last.namespace, name: last.name };
      }
    },

    /** Writes a new or changed object with the next version. @returns the object as stored. */
    put(object: Resource, before: Resource | undefined): Resource {
      const place = placeOf(object);
      let stored = object;
      commit((next) => {
        stored = { ...object, metadata: { ...object.metadata, resourceVersion: String(next) } };
        const json = JSON.stringify(stored);
        validateSize({ kind: object.kind } as Kind, object.metadata.name, json);
        if (place.kind === secretKind && !database.get(`SELECT 1 FROM facts WHERE key = 'seal'`)) {
          database.run(`INSERT INTO facts VALUES ('seal', ?)`, theBox().seal('croft', 'seal'));
        }
        const text = encode(place, json);
        const id = object.metadata.labels?.[idLabel] ?? null;
        if (before) {
          database.run(
            `UPDATE objects SET version = ?, id = ?, json = ? WHERE ${where}`,
            next,
            id,
            text,
            place.kind,
            place.namespace,
            place.name,
          );
        } else {
          database.run(
            'INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?, ?)',
            place.kind,
            place.namespace,
            place.name,
            object.metadata.uid ?? '',
            next,
            id,
            text,
          );
        }
        writeOwners(place, object, before);
        log(place, before ? 'MODIFIED' : 'ADDED', text, before);
      });
      return stored;
    },

    /** Removes an object; `last` is how watchers see it go. @returns it with the version of its removal. */
    remove(last: Resource, before: Resource): Resource {
      const place = placeOf(last);
      let gone = last;
      commit((next) => {
        gone = { ...last, metadata: { ...last.metadata, resourceVersion: String(next) } };
        database.run(`DELETE FROM objects WHERE ${where}`, place.kind, place.namespace, place.name);
        database.run(`DELETE FROM owners WHERE ${where}`, place.kind, place.namespace, place.name);
        log(place, 'DELETED', encode(place, JSON.stringify(gone)), before);
      });
      return gone;
    },

    /** The next changes of a kind after a version, in order; at most `limit`. */
    changesAfter(kind: Kind, after: number, limit: number): Change[] {
      const key = kindKey(kind);
      return database
        .all<ChangeRow>(
          'SELECT version, namespace, name, type, labels_before, json FROM changes WHERE version > ? AND kind = ? ORDER BY version LIMIT ?',
          after,
          key,
          limit,
        )
        .map((row) => ({
          version: row.version,
          type: row.type,
          labelsBefore: row.labels_before === null ? undefined : (JSON.parse(row.labels_before) as Record<string, string>),
          object: decode(key, row),
        }));
    },

    /** Objects all of whose owners are gone. */
    orphans: (): Place[] =>
      database.all<Place>(
        `SELECT kind, namespace, name FROM owners GROUP BY kind, namespace, name
         HAVING sum(owner_uid IN (SELECT uid FROM objects)) = 0`,
      ),
    /** Objects that name this uid as an owner and have no owner left. */
    orphansOf: (uid: string): Place[] =>
      database.all<Place>(
        `SELECT kind, namespace, name FROM owners AS mine WHERE owner_uid = ? AND NOT EXISTS (
           SELECT 1 FROM owners JOIN objects ON objects.uid = owners.owner_uid
           WHERE owners.kind = mine.kind AND owners.namespace = mine.namespace AND owners.name = mine.name)`,
        uid,
      ),
    ownerExists: (uid: string): boolean => database.get('SELECT 1 FROM objects WHERE uid = ?', uid) !== undefined,

    close: (): void => database.close(),
  };
}
