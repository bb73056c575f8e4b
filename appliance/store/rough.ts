/**
 * A store with a cluster's manners, for tests and the simulator: the theory of store.ts allows all it does,
 * so whatever breaks behind it would break on Kubernetes. Seeded: the same calls in the same order see the
 * same faults.
 */
import { CroftError } from '../errors.ts';
import { describe, type Kind, type Of } from '../resources/kind.ts';
import type { Resource } from '../resources/meta.ts';
import type { ListQuery, ListResult, ResourceStore, WatchEvent, WatchQuery } from './store.ts';

/** Chances, 0 to 1, of each fault per call or event. */
export type Roughness = {
  seed: number;
  /** A write is refused with `conflict`. */
  conflict?: number;
  /** A watch ends with `expired`, at its start or before an event. */
  expired?: number;
  /** Any call is refused with `too-many-requests`. */
  tooMany?: number;
  /** A list without `consistent` answers as it did last time; a watch event waits. */
  lag?: number;
  /** The longest wait of a lagging event, ms. Default 20. */
  lagMs?: number;
  /** A watch tells its last few events again, in order, as after a reconnection. */
  duplicate?: number;
  /** A watch ends without a word, as servers' timeouts do. */
  cut?: number;
  /** A write is done, but its answer is lost: `unavailable`. */
  lostAnswer?: number;
};

/** Mulberry32: a small generator of numbers in [0, 1) from a seed. */
export function randomOf(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const replayed = 3;

const bookmark = <K extends Kind>(kind: K, { metadata }: Resource): WatchEvent<Of<K>> => ({
  type: 'BOOKMARK',
  object: {
    apiVersion: kind.apiVersion,
    kind: kind.kind,
    metadata: { name: '', resourceVersion: metadata.resourceVersion },
  } as Of<K>,
});

export function roughStore(inner: ResourceStore, roughness: Roughness): ResourceStore {
  const {
    conflict = 0.1,
    expired = 0.05,
    tooMany = 0.05,
    lag = 0.2,
    lagMs = 20,
    duplicate = 0.1,
    cut = 0.05,
    lostAnswer = 0,
  } = roughness;
  const random = randomOf(roughness.seed);
  const happens = (chance: number): boolean => random() < chance;
  const lastLists = new Map<string, ListResult<Resource>>();

  function throttle(): void {
    if (happens(tooMany)) throw new CroftError('too-many-requests', 'The server asks to slow down (injected).');
  }

  async function write<T>(what: string, doIt: () => Promise<T>, mayConflict = true): Promise<T> {
    throttle();
    if (mayConflict && happens(conflict)) throw new CroftError('conflict', `${what} changed meanwhile (injected).`);
    const result = await doIt();
    if (happens(lostAnswer)) throw new CroftError('unavailable', `No answer to the change of ${what} (injected; it was made).`);
    return result;
  }

  const pause = (signal: AbortSignal | undefined): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(done, random() * lagMs);
      function done(): void {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      }
      signal?.addEventListener('abort', done);
    });

  function maybeExpire(): void {
    if (happens(expired)) throw new CroftError('expired', 'The version is too old to watch from (injected).');
  }

  async function* watch<K extends Kind>(kind: K, query: WatchQuery = {}): AsyncGenerator<WatchEvent<Of<K>>> {
    throttle();
    if (query.resourceVersion !== undefined) maybeExpire();
    const recent: WatchEvent<Of<K>>[] = [];
    for await (const event of inner.watch(kind, query)) {
      if (happens(lag)) await pause(query.signal);
      if (query.signal?.aborted) return;
      maybeExpire();
      yield event;
      recent.push(event);
      if (recent.length > replayed) recent.shift();
      if (happens(duplicate)) for (const again of recent) yield structuredClone(again);
      if (happens(duplicate)) yield bookmark(kind, event.object);
      if (happens(cut)) return;
    }
  }

  return {
    async get(kind, name, namespace) {
      throttle();
      return inner.get(kind, name, namespace);
    },
    async list<K extends Kind>(kind: K, query: ListQuery = {}): Promise<ListResult<Of<K>>> {
      throttle();
      const { consistent, ...rest } = query;
      const key = `${kind.kind} ${JSON.stringify(rest)}`;
      const last = lastLists.get(key) as ListResult<Of<K>> | undefined;
      if (!consistent && last && happens(lag)) return structuredClone(last);
      const result = await inner.list(kind, query);
      lastLists.set(key, structuredClone(result));
      return result;
    },
    watch,
    create: (kind, draft) => write(`${kind.kind} ${draft.metadata.name}`, () => inner.create(kind, draft), false),
    update: (kind, object) => write(describe(object), () => inner.update(kind, object)),
    updateStatus: (kind, object) => write(describe(object), () => inner.updateStatus(kind, object)),
    delete: (kind, name, namespace, options) =>
      write(`${kind.kind} ${name}`, () => inner.delete(kind, name, namespace, options), options?.resourceVersion !== undefined),
    close: () => inner.close(),
  };
}
