/**
 * The store's contract: what kube-apiserver can keep, and no more, for the SQLite store and the
 * Kubernetes store alike (docs/architecture.md, *The store's contract*).
 *
 * - Compare-and-swap on one object; no transactions across objects.
 * - `uid` and `resourceVersion` are opaque.
 * - A watch may repeat, lag, or end with `expired`: the watcher lists again.
 * - Deletion is two-phase: an object with finalizers gets a deletionTimestamp and goes when the last
 *   finalizer is removed. Owned objects go after their owner (background garbage collection).
 * - `update` writes spec and metadata, `updateStatus` writes status; each ignores the other half.
 *   `generation` counts changes of spec.
 */
import type { Kind, Of } from '../resources/kind.ts';
import type { ObjectMeta, Resource } from '../resources/meta.ts';

export type WatchEventType = 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
export type WatchEvent<T extends Resource = Resource> = { type: WatchEventType; object: T };

export type ListQuery = {
  namespace?: string;
  /** Kubernetes' selector text: `app=web,tier!=db,croft.io/id in (a,b),!gone`. */
  labelSelector?: string;
  /** `metadata.name=x` and `metadata.namespace=y`, with `=`, `==` or `!=`. */
  fieldSelector?: string;
  /** Page size; the answer's `continue` gives the next page. */
  limit?: number;
  continue?: string;
  /** Not from a cache: what a quorum says now. */
  consistent?: boolean;
};

export type ListResult<T extends Resource> = { items: T[]; resourceVersion: string; continue?: string };

export type WatchQuery = {
  namespace?: string;
  labelSelector?: string;
  /** Events after this version; absent: first ADDED for all there are. */
  resourceVersion?: string;
  signal?: AbortSignal;
  /** ms without an event after which a BOOKMARK tells how far the watcher is. Default: only where the server sends them anyway. */
  bookmarkAfter?: number;
};

/** What `create` takes: metadata at least with a name (and namespace for namespaced kinds). */
export type Draft<K extends Kind> = Omit<Of<K>, 'apiVersion' | 'kind' | 'metadata'> & {
  metadata: Pick<ObjectMeta, 'name'> & Partial<ObjectMeta>;
};

export type DeleteOptions = {
  uid?: string;
  resourceVersion?: string;
  /** Seconds that pods get to end; means nothing to other kinds. */
  graceSeconds?: number;
};

/**
 * Reads for the hot path: the same frozen object for all readers until it changes, so that what was made of an object
 * can be kept by its identity. As current as `get` with `consistent`; no selectors, no pages.
 */
export interface SharedReads {
  get<K extends Kind>(kind: K, name: string, namespace?: string): Of<K> | undefined;
  /** In order of namespace and name; of all namespaces when none is given. */
  list<K extends Kind>(kind: K, namespace?: string): readonly Of<K>[];
  /** The object with this `croft.io/id`. */
  withId<K extends Kind>(kind: K, id: string, namespace?: string): Of<K> | undefined;
}

export interface ResourceStore {
  /** Only of a store that sees every write itself; others are asked with `get` and `list`. */
  readonly shared?: SharedReads;
  /** @returns undefined when there is none. */
  get<K extends Kind>(kind: K, name: string, namespace?: string): Promise<Of<K> | undefined>;
  list<K extends Kind>(kind: K, query?: ListQuery): Promise<ListResult<Of<K>>>;
  /** Ends when `signal` aborts. @throws CroftError `expired` when the version is too old. */
  watch<K extends Kind>(kind: K, query?: WatchQuery): AsyncIterable<WatchEvent<Of<K>>>;
  /** Validates against the kind's schema. @throws CroftError `invalid-input`, `already-exists`. */
  create<K extends Kind>(kind: K, draft: Draft<K>): Promise<Of<K>>;
  /** Writes metadata and spec if `metadata.resourceVersion` is current (absent: unconditionally). @throws `conflict`, `not-found`, `invalid-input` */
  update<K extends Kind>(kind: K, object: Of<K>): Promise<Of<K>>;
  /** Writes status only, with the same check. @throws `conflict`, `not-found` */
  updateStatus<K extends Kind>(kind: K, object: Of<K>): Promise<Of<K>>;
  /** @returns the object as it was or as it now waits for its finalizers; undefined when there is none. @throws `conflict` */
  delete<K extends Kind>(kind: K, name: string, namespace?: string, options?: DeleteOptions): Promise<Of<K> | undefined>;
  close(): Promise<void>;
}

/** Whatever the store has for reading one object without changing it: shared where it can. */
export const readsOf = (store: ResourceStore): Pick<SharedReads, 'get'> | Pick<ResourceStore, 'get'> => store.shared ?? store;
