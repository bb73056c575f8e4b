/**
 * Objects in memory for the hot path of the SQLite store: parsed once, frozen, and handed to all readers until they
 * change. The store has its file alone and tells of each write before that write is answered, so a reader never sees
 * less than what was acknowledged.
 *
 * A kind is kept object by object as it is asked for, and whole from its first list on. What isn't there is remembered
 * too: most VMs that are asked for have no instance.
 */
import { idLabel } from '../resources/identity.ts';
import type { Kind, Of } from '../resources/kind.ts';
import type { Resource } from '../resources/meta.ts';
import { kindKey, type ObjectTable, type Place } from './object-table.ts';
import type { SharedReads } from './store.ts';

type Kept = {
  /** null: there is none. */
  objects: Map<string, Resource | null>;
  /** All there are, in order of namespace and name; undefined until listed, and after one came or went. */
  sorted: readonly Resource[] | undefined;
  /** Whether `objects` has all there are. */
  whole: boolean;
};

/** Names nobody has can be asked for without end; beyond this many the memory of one kind begins anew. */
const mostAnswers = 5_000;

export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const part of Object.values(value)) deepFreeze(part);
  }
  return value;
}

const keyOf = (namespace: string | undefined, name: string): string =>
  namespace === undefined || namespace === '' ? name : `${namespace}/${name}`;

export function createSharedReads(table: Pick<ObjectTable, 'get' | 'scan'>) {
  // By the kind itself: a reader's look-up builds no text for it. All kinds of one key share what is kept.
  const byKind = new WeakMap<Kind, Kept>();
  const byKey = new Map<string, Kept>();

  function keptOf(kind: Kind): Kept {
    let kept = byKind.get(kind);
    if (kept) return kept;
    const key = kindKey(kind);
    kept = byKey.get(key) ?? { objects: new Map(), sorted: undefined, whole: false };
    byKey.set(key, kept);
    byKind.set(kind, kept);
    return kept;
  }

  function load(kind: Kind, kept: Kept): readonly Resource[] {
    const { items } = table.scan(kind, {}, () => true);
    const before = kept.objects;
    kept.objects = new Map();
    for (const [index, item] of items.entries()) {
      const key = keyOf(item.metadata.namespace, item.metadata.name);
      const known = before.get(key);
      const same = known?.metadata.resourceVersion === item.metadata.resourceVersion ? known : undefined;
      const object = same ?? deepFreeze(item);
      items[index] = object;
      kept.objects.set(key, object);
    }
    kept.whole = true;
    kept.sorted = items;
    return items;
  }

  /** Once whole, the order is made anew from memory. */
  function sort(kept: Kept): readonly Resource[] {
    const present = [...kept.objects.values()].filter((object) => object !== null);
    const rank = ({ metadata }: Resource): string => `${metadata.namespace ?? ''}\0${metadata.name}`;
    kept.sorted = present
      .map((object) => ({ object, rank: rank(object) }))
      .sort((a, b) => (a.rank < b.rank ? -1 : 1))
      .map(({ object }) => object);
    return kept.sorted;
  }

  const all = (kind: Kind): readonly Resource[] => {
    const kept = keptOf(kind);
    return kept.sorted ?? (kept.whole ? sort(kept) : load(kind, kept));
  };

  const reads: SharedReads = {
    get<K extends Kind>(kind: K, name: string, namespace?: string) {
      const kept = keptOf(kind);
      const key = keyOf(namespace, name);
      let object = kept.objects.get(key);
      if (object === undefined && !kept.whole) {
        object = deepFreeze(table.get({ kind: kindKey(kind), namespace: namespace ?? '', name })) ?? null;
        if (kept.objects.size >= mostAnswers) kept.objects.clear();
        kept.objects.set(key, object);
      }
      return (object ?? undefined) as Of<K> | undefined;
    },
    list<K extends Kind>(kind: K, namespace?: string) {
      const items = all(kind);
      return (namespace === undefined ? items : items.filter(({ metadata }) => metadata.namespace === namespace)) as Of<K>[];
    },
    withId<K extends Kind>(kind: K, id: string, namespace?: string) {
      return all(kind).find(
        ({ metadata }) => metadata.labels?.[idLabel] === id && (namespace === undefined || metadata.namespace === namespace),
      ) as Of<K> | undefined;
    },
  };

  return {
    reads,
    /** After each write; `object` is the store's own and is frozen. Undefined: it is gone. */
    changed(place: Place, object: Resource | undefined): void {
      const kept = byKey.get(place.kind);
      if (!kept) return;
      const key = keyOf(place.namespace, place.name);
      const before = kept.objects.get(key);
      if (before === undefined && !kept.whole) return;
      if (object) kept.objects.set(key, deepFreeze(object));
      else if (kept.whole) kept.objects.delete(key);
      else kept.objects.set(key, null);
      if (!object || !before) kept.sorted = undefined;
      else if (kept.sorted) replace(kept, before, object);
    },
  };

  /** The same place, so the order stays: a list while guests report their status needn't sort each time. */
  function replace(kept: Kept, before: Resource, object: Resource): void {
    const index = kept.sorted?.indexOf(before) ?? -1;
    kept.sorted = index < 0 ? undefined : kept.sorted?.with(index, object);
  }
}
