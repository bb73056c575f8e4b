/**
 * Reads while the API server is away: a store for people's reads in front of the Kubernetes store. What the server
 * answers is passed on; while it doesn't, `get` and `list` serve what the informers last saw, and `staleSince` says
 * since when, so that whoever answers can mark it. Writes and watches are the server's alone: they fail as it does.
 *
 * For the API's handlers only. Controllers use the store itself: nothing may be started or taken away on a memory.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { isCroftError } from '../errors.ts';
import type { Informer } from '../reconcile/informer.ts';
import type { Kind, Of } from '../resources/kind.ts';
import { image } from '../resources/croft-kinds.ts';
import { matchesFields, matchesLabels, parseFieldSelector, parseLabelSelector } from './selectors.ts';
import type { ListQuery, ListResult, ResourceStore } from './store.ts';

export type LastKnown = {
  store: ResourceStore;
  /** When the server last answered, while it doesn't. */
  staleSince(): Date | undefined;
  stop(): void;
};

export type LastKnownOptions = {
  /** ms that a read waits for the server before it serves what is known. */
  patience?: number;
  /** ms between two looks whether the server is back. */
  probeInterval?: number;
};

/** The only errors that mean "away"; a refusal is an answer. */
const isAway = (error: unknown): boolean => isCroftError(error, 'unavailable');

const late = Symbol('late');

/** @param informers of the kinds that can be served; a kind without one, or one that never listed, fails as the server does */
export function withLastKnown(
  inner: ResourceStore,
  informers: readonly Informer[],
  { patience = 3_000, probeInterval = 1_000 }: LastKnownOptions = {},
): LastKnown {
  const stopped = new AbortController();
  const known = new Map<Kind, Informer>();
  let answered = new Date();
  let away = false;

  for (const informer of informers) {
    // An empty memory of a kind that was never listed would be a lie.
    void informer.synced().then(() => known.set(informer.kind, informer));
  }

  async function probe(): Promise<void> {
    while (away && !stopped.signal.aborted) {
      await delay(probeInterval, undefined, { signal: stopped.signal }).catch(() => undefined); // Stopped: the loop ends.
      const error: unknown = await inner.list(image, { limit: 1 }).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      if (isAway(error)) continue;
      away = false;
      answered = new Date();
    }
  }

  /** The server's answer, or what is known when it doesn't come. */
  async function read<T>(ask: () => Promise<T>, remembered: (() => T) | undefined): Promise<T> {
    if (!remembered) return await ask();
    if (away) return remembered();
    const timer = new AbortController();
    const asked = ask();
    try {
      const first = await Promise.race([
        asked,
        delay(patience, late, { signal: timer.signal }).catch(() => late), // Answered in time: nobody looks at it.
      ]);
      if (first !== late) {
        answered = new Date();
        return first as T;
      }
      // It goes on behind our back; whatever it says comes too late.
      asked.catch(() => undefined);
    } catch (error) {
      if (!isAway(error)) throw error;
    } finally {
      timer.abort();
    }
    if (!away) {
      away = true;
      void probe();
    }
    return remembered();
  }

  function recall<K extends Kind>(informer: Informer, query: ListQuery): ListResult<Of<K>> {
    const labels = parseLabelSelector(query.labelSelector);
    const fields = parseFieldSelector(query.fieldSelector);
    const from = Number(/^known-(\d+)$/.exec(query.continue ?? '')?.[1] ?? 0);
    const keyOf = ({ metadata }: { metadata: { namespace?: string; name: string } }) =>
      `${metadata.namespace ?? ''}/${metadata.name}`;
    const items = informer
      .list(query.namespace)
      .filter(({ metadata }) => matchesLabels(labels, metadata.labels) && matchesFields(fields, metadata))
      .toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
    const end = query.limit === undefined ? items.length : from + query.limit;
    return {
      items: structuredClone(items.slice(from, end)) as Of<K>[],
      resourceVersion: '',
      ...(end < items.length ? { continue: `known-${end}` } : {}),
    };
  }

  const store: ResourceStore = {
    get<K extends Kind>(kind: K, name: string, namespace?: string) {
      const informer = known.get(kind);
      const remembered = informer && (() => structuredClone(informer.get(name, namespace)) as Of<K> | undefined);
      return read(() => inner.get(kind, name, namespace), remembered);
    },
    list<K extends Kind>(kind: K, query: ListQuery = {}) {
      const informer = known.get(kind);
      // What a quorum says is asked for because a memory would not do; the page after one of ours is ours.
      const remembered = informer && !query.consistent ? () => recall<K>(informer, query) : undefined;
      if (remembered && query.continue?.startsWith('known-')) return Promise.resolve(remembered());
      return read(() => inner.list(kind, query), remembered);
    },
    watch: (kind, query) => inner.watch(kind, query),
    create: (kind, draft) => inner.create(kind, draft),
    update: (kind, object) => inner.update(kind, object),
    updateStatus: (kind, object) => inner.updateStatus(kind, object),
    delete: (kind, name, namespace, options) => inner.delete(kind, name, namespace, options),
    // Its maker's to close.
    close: async () => undefined,
  };
  return { store, staleSince: () => (away ? answered : undefined), stop: () => stopped.abort() };
}
