/**
 * A local copy of all objects of a kind, kept by list and watch (after client-go's informer): lists, then
 * watches from the list's version; a watch that ends goes on from its last version, one that is `expired`
 * lists again, and every other failure is tried again after a growing wait. The copy may lag behind the
 * store, never differ from it for good.
 *
 * Objects are shared by all readers, and frozen: `structuredClone` before changing one (editObject does).
 */
import { isCroftError, messageOf } from '../errors.ts';
import type { Logger } from '../host/logger.ts';
import type { Kind, Of } from '../resources/kind.ts';
import type { Resource } from '../resources/meta.ts';
import type { ResourceStore } from '../store/store.ts';
import { backoffDelay, delay, type Backoff } from './backoff.ts';

export type ChangeType = 'added' | 'changed' | 'removed';
/** `object` is the newest known state (for `removed`, the last); `before` the one known till now. */
export type ChangeListener<T extends Resource> = (type: ChangeType, object: T, before: T | undefined) => void;

export type Informer<K extends Kind = Kind> = {
  readonly kind: K;
  get(name: string, namespace?: string): Of<K> | undefined;
  list(namespace?: string): Of<K>[];
  /** Calls back at every change, and at once for each object known already; returns the way to stop. */
  onChange(listener: ChangeListener<Of<K>>): () => void;
  /** Resolves when the first list is in, or the informer was stopped. */
  synced(): Promise<void>;
  stop(): Promise<void>;
};

export type InformerOptions = {
  namespace?: string;
  labelSelector?: string;
  logger?: Logger;
  /** Default 100 ms to 30 s. */
  backoff?: Backoff;
};

const pageSize = 500;

/** `default/web-1`, or `web-1` for kinds of the box: the key reconcilers work by. */
export const keyOf = ({ metadata }: Pick<Resource, 'metadata'>): string =>
  metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`;

/** The key taken apart. */
export function fromKey(key: string): { name: string; namespace?: string } {
  const slash = key.indexOf('/');
  return slash < 0 ? { name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const part of Object.values(value)) deepFreeze(part);
  }
  return value;
}

/** Starts at once; stop it before the store is closed. */
export function startInformer<K extends Kind>(store: ResourceStore, kind: K, options: InformerOptions = {}): Informer<K> {
  const { namespace, labelSelector, logger, backoff = { base: 100, max: 30_000 } } = options;
  const scope = { ...(namespace === undefined ? {} : { namespace }), ...(labelSelector === undefined ? {} : { labelSelector }) };
  const objects = new Map<string, Of<K>>();
  const listeners = new Set<ChangeListener<Of<K>>>();
  const controller = new AbortController();
  const { signal } = controller;
  const first = Promise.withResolvers<void>();

  function call(listener: ChangeListener<Of<K>>, type: ChangeType, object: Of<K>, before: Of<K> | undefined): void {
    try {
      listener(type, object, before);
    } catch (error) {
      // One listener's defect must not cost the others their events.
      logger?.error({ err: error, kind: kind.kind }, 'a listener of an informer threw');
    }
  }

  function tell(type: ChangeType, object: Of<K>, before: Of<K> | undefined): void {
    for (const listener of listeners) call(listener, type, object, before);
  }

  function keep(object: Of<K>): void {
    const key = keyOf(object);
    const before = objects.get(key);
    // Watches repeat.
    if (before && before.metadata.resourceVersion === object.metadata.resourceVersion) return;
    objects.set(key, deepFreeze(object));
    // Another uid: it was deleted and made again while we did not look.
    if (before && before.metadata.uid !== object.metadata.uid) {
      tell('removed', before, before);
      tell('added', object, undefined);
    } else tell(before ? 'changed' : 'added', object, before);
  }

  function drop(key: string, last: Of<K>): void {
    const before = objects.get(key);
    if (!before) return;
    objects.delete(key);
    tell('removed', deepFreeze(last), before);
  }

  async function relist(): Promise<string> {
    const items: Of<K>[] = [];
    let page = await store.list(kind, { ...scope, limit: pageSize });
    const { resourceVersion } = page;
    items.push(...page.items);
    while (page.continue !== undefined && !signal.aborted) {
      page = await store.list(kind, { ...scope, limit: pageSize, continue: page.continue });
      items.push(...page.items);
    }
    if (signal.aborted) return resourceVersion;
    const present = new Set(items.map(keyOf));
    for (const [key, object] of objects) if (!present.has(key)) drop(key, object);
    for (const object of items) keep(object);
    return resourceVersion;
  }

  async function run(): Promise<void> {
    let version: string | undefined;
    let failures = 0;
    while (!signal.aborted) {
      try {
        if (version === undefined) {
          version = await relist();
          first.resolve();
        }
        let told = false;
        const began = Date.now();
        for await (const { type, object } of store.watch(kind, { ...scope, resourceVersion: version, signal })) {
          if (signal.aborted) break;
          version = object.metadata.resourceVersion ?? version;
          told = true;
          failures = 0;
          if (type === 'BOOKMARK') continue;
          if (type === 'DELETED') drop(keyOf(object), object);
          else keep(object);
        }
        // A server that ends watches at once must not be asked in a tight loop.
        if (Date.now() - began > backoff.max) failures = 0;
        else if (!told && !signal.aborted) await delay(backoffDelay(++failures, backoff), signal);
      } catch (error) {
        if (signal.aborted) return;
        if (isCroftError(error, 'expired')) version = undefined;
        else logger?.warn({ kind: kind.kind, reason: messageOf(error) }, 'watching was interrupted');
        // The first expiry lists again at once: it is the normal way to catch up.
        failures++;
        if (failures > 1 || version !== undefined) await delay(backoffDelay(failures, backoff), signal);
      }
    }
  }

  const running = run().finally(() => first.resolve());

  return {
    kind,
    get: (name, inNamespace) => objects.get(inNamespace === undefined ? name : `${inNamespace}/${name}`),
    list: (inNamespace) =>
      [...objects.values()].filter(({ metadata }) => inNamespace === undefined || metadata.namespace === inNamespace),
    onChange(listener) {
      for (const object of objects.values()) call(listener, 'added', object, undefined);
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    synced: () => first.promise,
    async stop() {
      controller.abort();
      await running;
    },
  };
}
