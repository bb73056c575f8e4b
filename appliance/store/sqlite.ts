/**
 * The SQLite store: the whole of ResourceStore for a box without Kubernetes.
 *
 * One row per object holds its JSON; each write is one transaction that also appends to the bounded change
 * log and takes the next number of the one sequence that is every object's resourceVersion. SQLite is
 * called synchronously, so a read-check-write cannot be interleaved, and a resolved promise means that the
 * change is on disk (WAL, synchronous=FULL). Watches are pushed (watch-hub.ts), garbage is collected in the
 * background (garbage.ts), Secrets are sealed (secret-box.ts), and one process has the file (database.ts).
 *
 * Objects handed out are the caller's own: parsed afresh from the stored text, which measured faster than
 * cloning a cached object; mutate them freely. Who reads often and changes nothing takes `shared` (shared-reads.ts).
 */
import { CroftError } from '../errors.ts';
import { idLabel } from '../resources/identity.ts';
import { describe, type Kind, type Of } from '../resources/kind.ts';
import type { Resource } from '../resources/meta.ts';
import { createGarbageCollector } from './garbage.ts';
import { kindKey, openObjectTable, placeOf, type Place } from './object-table.ts';
import { exactValueOf, matchesFields, matchesLabels, parseFieldSelector, parseLabelSelector } from './selectors.ts';
import { createSharedReads } from './shared-reads.ts';
import type { DeleteOptions, Draft, ListQuery, ListResult, ResourceStore, WatchEvent, WatchQuery } from './store.ts';
import { checkPreconditions, created, deleted, isFinished, isUnchanged, plain, statusUpdated, updated } from './transitions.ts';
import { validateObject, validateScope, validateStatus } from './validate.ts';
import { createWatchHub, versionFrom } from './watch-hub.ts';

export type SqliteStoreOptions = {
  /** The database file; made if absent. */
  path: string;
  /** Key that Secrets are sealed with, mode 0400, made at first use. Default: keys/store.key beside the database. */
  keyFile?: string;
  /** Changes kept for watches to resume from; older watchers get `expired`. Default 4096. */
  changeLogLimit?: number;
  /** Told of failures in the background; they are tried again at the next occasion. */
  onBackgroundError?: (error: unknown) => void;
};

type PageToken = { version: number; namespace: string; name: string };

const encodeToken = (token: PageToken): string => Buffer.from(JSON.stringify(token)).toString('base64url');

function decodeToken(text: string): PageToken {
  try {
    const token = JSON.parse(Buffer.from(text, 'base64url').toString()) as PageToken;
    if (Number.isSafeInteger(token.version) && typeof token.namespace === 'string' && typeof token.name === 'string')
      return token;
  } catch {
    // Said below, as for any other text.
  }
  throw new CroftError('invalid-input', `continue: ${JSON.stringify(text.slice(0, 40))} is no page that a list gave out.`);
}

const placeFor = (kind: Kind, name: string, namespace: string | undefined): Place => {
  validateScope(kind, namespace);
  return { kind: kindKey(kind), namespace: namespace ?? '', name };
};

const normalized = (kind: Kind, object: Resource): Resource => ({
  ...plain(object),
  apiVersion: kind.apiVersion,
  kind: kind.kind,
});

/**
 * Opens, or makes, the store of a box.
 * @throws CroftError `in-use` when another process has it, `invalid-state` when a newer Croft wrote it or its key is missing.
 */
export function openSqliteStore(options: SqliteStoreOptions): ResourceStore {
  const table = openObjectTable({ changeLogLimit: 4096, ...options });
  const hub = createWatchHub(table);
  const shared = createSharedReads(table);
  const background = options.onBackgroundError ?? ((error: unknown) => process.emitWarning(error as Error));
  const garbage = createGarbageCollector(table, (place) => removeAt(place, undefined), background);
  let closed = false;
  garbage.sweep();

  function open(): void {
    if (closed) throw new CroftError('unavailable', 'The store is closed.');
  }

  function put(object: Resource, before: Resource | undefined): Resource {
    const stored = table.put(object, before);
    shared.changed(placeOf(stored), stored);
    hub.publish(kindKey(object));
    garbage.check((stored.metadata.ownerReferences ?? []).map(({ uid }) => uid));
    return stored;
  }

  function drop(last: Resource, before: Resource): Resource {
    const gone = table.remove(last, before);
    shared.changed(placeOf(last), undefined);
    hub.publish(kindKey(last));
    garbage.ownerGone(last.metadata.uid ?? '');
    return gone;
  }

  function removeAt(place: Place, preconditions: DeleteOptions | undefined): Resource | undefined {
    const before = table.get(place);
    if (!before) return undefined;
    checkPreconditions(before, preconditions ?? {});
    const waiting = deleted(before);
    if (waiting === before) return before;
    if (waiting) return plain(put(waiting, before));
    drop(before, before);
    return before;
  }

  function write(given: Resource, next: (before: Resource, object: Resource) => Resource): Resource {
    const before = table.get(placeOf(given));
    if (!before) throw new CroftError('not-found', `There is no ${describe(given)}.`);
    checkPreconditions(before, given.metadata);
    const after = next(before, given);
    if (isFinished(after)) return drop(after, before);
    // As kube-apiserver: a write that changes nothing is none, and wakes nobody.
    return isUnchanged(before, after) ? before : put(after, before);
  }

  return {
    shared: shared.reads,

    async get<K extends Kind>(kind: K, name: string, namespace?: string) {
      open();
      return table.get(placeFor(kind, name, namespace)) as Of<K> | undefined;
    },

    async list<K extends Kind>(kind: K, query: ListQuery = {}): Promise<ListResult<Of<K>>> {
      open();
      const labels = parseLabelSelector(query.labelSelector);
      const fields = parseFieldSelector(query.fieldSelector);
      if (query.limit !== undefined && !(Number.isSafeInteger(query.limit) && query.limit > 0)) {
        throw new CroftError('invalid-input', `limit: ${query.limit} must be a whole number above 0.`);
      }
      const token = query.continue === undefined ? undefined : decodeToken(query.continue);
      // All pages carry the first page's version: a watch from it repeats what changed between the pages.
      const version = token ? versionFrom(String(token.version), table) : table.version();
      const id = exactValueOf(labels, idLabel);
      const { items, more } = table.scan(
        kind,
        {
          ...(query.namespace === undefined ? {} : { namespace: query.namespace }),
          ...(id === undefined || id === '' ? {} : { id }),
          ...(token === undefined ? {} : { after: token }),
          ...(query.limit === undefined ? {} : { limit: query.limit }),
        },
        ({ metadata }) => matchesLabels(labels, metadata.labels) && matchesFields(fields, metadata),
      );
      const last = items.at(-1)?.metadata;
      return {
        items: items as Of<K>[],
        resourceVersion: String(version),
        ...(more && last ? { continue: encodeToken({ version, namespace: last.namespace ?? '', name: last.name }) } : {}),
      };
    },

    watch<K extends Kind>(kind: K, query: WatchQuery = {}) {
      open();
      return hub.watch(kind, query) as AsyncIterable<WatchEvent<Of<K>>>;
    },

    async create<K extends Kind>(kind: K, draft: Draft<K>): Promise<Of<K>> {
      open();
      const given = plain(draft) as unknown as Resource;
      validateObject(kind, given);
      const object = created(kind, given);
      if (table.get(placeOf(object))) throw new CroftError('already-exists', `${describe(object)} exists already.`);
      return plain(put(object, undefined)) as Of<K>;
    },

    async update<K extends Kind>(kind: K, object: Of<K>): Promise<Of<K>> {
      open();
      const given = normalized(kind, object);
      validateObject(kind, plain(object));
      return plain(write(given, updated)) as Of<K>;
    },

    async updateStatus<K extends Kind>(kind: K, object: Of<K>): Promise<Of<K>> {
      open();
      const given = normalized(kind, object);
      validateScope(kind, given.metadata.namespace);
      validateStatus(kind, given);
      return plain(write(given, statusUpdated)) as Of<K>;
    },

    async delete<K extends Kind>(kind: K, name: string, namespace?: string, preconditions?: DeleteOptions) {
      open();
      return removeAt(placeFor(kind, name, namespace), preconditions) as Of<K> | undefined;
    },

    async close() {
      if (closed) return;
      closed = true;
      garbage.close();
      hub.close();
      table.close();
    },
  };
}
