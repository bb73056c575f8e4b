/**
 * Watches of the SQLite store. A watcher holds only a cursor into the change log and is woken by writes;
 * it reads the log at its consumer's pace, so a slow one costs no memory and at worst ends with `expired`.
 */
import { CroftError } from '../errors.ts';
import type { Kind } from '../resources/kind.ts';
import type { Resource } from '../resources/meta.ts';
import { kindKey, type Change, type ObjectTable } from './object-table.ts';
import { matchesLabels, parseLabelSelector } from './selectors.ts';
import type { WatchEvent, WatchQuery } from './store.ts';

type Watcher = { kind: string; cursor: number; wake: (() => void) | undefined };

export type WatchHub = {
  watch(kind: Kind, query: WatchQuery): AsyncGenerator<WatchEvent>;
  /** A change of this kind was committed. */
  publish(kind: string): void;
  /** Ends all watches. */
  close(): void;
};

const batch = 100;

/** The version a watch or list token names. @throws CroftError `invalid-input`, `expired` */
export function versionFrom(text: string, table: Pick<ObjectTable, 'floor' | 'version'>): number {
  if (!/^\d{1,15}$/.test(text))
    throw new CroftError('invalid-input', `resourceVersion: ${JSON.stringify(text)} is none that this store gave out.`);
  const version = Number(text);
  // A newer version than ours was given out by a store that was since restored from a backup.
  if (version < table.floor() || version > table.version()) {
    throw new CroftError(
      'expired',
      `Version ${version} is no longer in the log, which goes from ${table.floor()} to ${table.version()}: list again.`,
    );
  }
  return version;
}

/** What a change is to a watcher with this selector; an object that ceases to match is gone for it. */
export function eventOf(
  change: Change,
  matches: (labels: Record<string, string> | undefined) => boolean,
): WatchEvent | undefined {
  const before = change.labelsBefore !== undefined && matches(change.labelsBefore);
  const after = change.type !== 'DELETED' && matches(change.object.metadata.labels);
  if (after) return { type: before ? 'MODIFIED' : 'ADDED', object: change.object };
  return before ? { type: 'DELETED', object: change.object } : undefined;
}

/** Everything up to this version was told. */
const bookmarkOf = ({ apiVersion, kind }: Kind, version: number): WatchEvent => ({
  type: 'BOOKMARK',
  object: { apiVersion, kind, metadata: { name: '', resourceVersion: String(version) }, spec: {} },
});

export function createWatchHub(table: ObjectTable): WatchHub {
  const watchers = new Set<Watcher>();
  let closed = false;

  const wakeUp = (watcher: Watcher): void => {
    const wake = watcher.wake;
    watcher.wake = undefined;
    wake?.();
  };

  function* initial(kind: Kind, namespace: string | undefined, accepts: (object: Resource) => boolean): Generator<WatchEvent> {
    const { items } = table.scan(kind, namespace === undefined ? {} : { namespace }, accepts);
    for (const object of items) yield { type: 'ADDED', object };
  }

  async function* watch(
    kind: Kind,
    { namespace, labelSelector, resourceVersion, signal, bookmarkAfter }: WatchQuery,
  ): AsyncGenerator<WatchEvent> {
    const requirements = parseLabelSelector(labelSelector);
    const matches = (labels: Record<string, string> | undefined): boolean => matchesLabels(requirements, labels);
    const ended = (): boolean => closed || signal?.aborted === true;
    const cursor = resourceVersion === undefined ? table.version() : versionFrom(resourceVersion, table);
    const watcher: Watcher = { kind: kindKey(kind), cursor, wake: undefined };
    const stop = (): void => wakeUp(watcher);
    watchers.add(watcher);
    signal?.addEventListener('abort', stop);
    try {
      if (resourceVersion === undefined) {
        for (const event of initial(kind, namespace, (object) => matches(object.metadata.labels))) {
          if (ended()) return;
          yield event;
        }
      }
      while (!ended()) {
        versionFrom(String(watcher.cursor), table);
        const newest = table.version();
        const changes = table.changesAfter(kind, watcher.cursor, batch);
        for (const change of changes) {
          watcher.cursor = change.version;
          if (namespace !== undefined && (change.object.metadata.namespace ?? '') !== namespace) continue;
          const event = eventOf(change, matches);
          if (event) yield event;
          if (ended()) return;
        }
        if (changes.length === batch) continue;
        // Writes made while the consumer worked on the last batch come with the next round.
        if (newest !== table.version()) continue;
        watcher.cursor = newest;
        let silent = false;
        const silence =
          bookmarkAfter === undefined
            ? undefined
            : setTimeout(() => {
                silent = true;
                wakeUp(watcher);
              }, bookmarkAfter);
        await new Promise<void>((resolve) => {
          watcher.wake = resolve;
        });
        clearTimeout(silence);
        if (silent && !ended()) yield bookmarkOf(kind, watcher.cursor);
      }
    } finally {
      signal?.removeEventListener('abort', stop);
      watchers.delete(watcher);
    }
  }

  return {
    watch,
    publish(kind) {
      for (const watcher of watchers) {
        if (watcher.kind === kind) wakeUp(watcher);
        // One that waits has seen all of its kind: others' changes must not let it expire.
        else if (watcher.wake) watcher.cursor = table.version();
      }
    },
    close() {
      closed = true;
      for (const watcher of watchers) wakeUp(watcher);
    },
  };
}
