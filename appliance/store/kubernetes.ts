/**
 * The Kubernetes store: ResourceStore over a kube-apiserver. Our kinds are custom resources (crds.ts, put there by
 * kubernetes-setup.ts), Secrets and claims are Kubernetes' own.
 *
 * Versions, uids, pages, watches, finalizers and garbage collection are the API server's. Validation is done here
 * first, with the same words as on a solo box, because a CRD's schema prunes unknown fields silently and cannot see
 * labels. A write without a resourceVersion reads first and repeats on conflict: custom resources take no blind writes.
 *
 * Nothing is cached: informers (reconcile/informer.ts) are the cache, and keep what they know while the API is away.
 */
import { CroftError, isCroftError } from '../errors.ts';
import { persistentVolumeClaim } from '../resources/data-volume.ts';
import { describe, type Kind, type Of } from '../resources/kind.ts';
import type { Resource } from '../resources/meta.ts';
import { createKubeClient, type KubeClient, type KubeRequest } from './kubernetes-client.ts';
import { bindClaim, releaseClaim } from './kubernetes-claims.ts';
import { errorOfStatus, type KubeStatus } from './kubernetes-errors.ts';
import { fromWire, pathOfKind, toWire, type WireObject } from './kubernetes-objects.ts';
import { parseFieldSelector, parseLabelSelector } from './selectors.ts';
import type { DeleteOptions, Draft, ListQuery, ListResult, ResourceStore, WatchEvent, WatchQuery } from './store.ts';
import { checkPreconditions, created, plain, statusUpdated, updated } from './transitions.ts';
import { validateObject, validateScope, validateSize, validateStatus } from './validate.ts';

export type KubernetesStoreOptions = {
  /** File of the cluster and the credentials. */
  kubeconfig: string;
};

type WireList = { items: WireObject[]; metadata: { resourceVersion?: string; continue?: string } };
type WireEvent = { type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR'; object: WireObject & KubeStatus };

/** Times a write without a version is repeated when another came between its read and its write. */
const blindAttempts = 8;
/** Seconds after which the API server ends a watch; the watcher goes on from its last version. */
const watchSeconds = 240;

/** @throws CroftError `invalid-input` when the file is no kubeconfig; reaching the API is left to the first call */
export function openKubernetesStore(options: KubernetesStoreOptions): ResourceStore {
  const client = createKubeClient(options.kubeconfig);
  const closing = new AbortController();

  const send = <T>(request: KubeRequest): Promise<T> => {
    if (closing.signal.aborted) throw new CroftError('unavailable', 'The store is closed.');
    return client.send<T>(request);
  };

  async function read(kind: Kind, name: string, namespace: string | undefined): Promise<WireObject | undefined> {
    try {
      return await send<WireObject>({
        path: pathOfKind(kind, namespace, name),
        about: `${kind.kind} ${namespace ? `${namespace}/` : ''}${name}`,
      });
    } catch (error) {
      if (isCroftError(error, 'not-found')) return undefined;
      throw error;
    }
  }

  /** One compare-and-swap of one half; `next` decides what is written, from what is there. */
  async function write(kind: Kind, object: Resource, half: 'spec' | 'status'): Promise<Resource> {
    const given = { ...plain(object), apiVersion: kind.apiVersion, kind: kind.kind };
    const { name, namespace, resourceVersion } = given.metadata;
    const about = describe(given);
    const next = half === 'spec' ? updated : statusUpdated;
    for (let attempt = 1; ; attempt++) {
      const stored = await read(kind, name, namespace);
      if (!stored) throw new CroftError('not-found', `There is no ${about}.`);
      const before = fromWire(kind, stored);
      checkPreconditions(before, given.metadata);
      const after = next(before, given);
      // The halves that a caller may decide; the rest of the metadata is the API server's.
      const body = toWire(
        kind,
        { ...after, metadata: { ...writable(after, given), resourceVersion: before.metadata.resourceVersion } } as Resource,
        stored,
      );
      if (kind === (persistentVolumeClaim as Kind)) await withVolume(client, half, stored, body);
      try {
        const path = pathOfKind(kind, namespace, name, half === 'status' ? 'status' : undefined);
        return fromWire(kind, await send<WireObject>({ method: 'PUT', path, body, about }));
      } catch (error) {
        if (!isCroftError(error, 'conflict') || resourceVersion !== undefined || attempt === blindAttempts) throw error;
      }
    }
  }

  return {
    async get<K extends Kind>(kind: K, name: string, namespace?: string) {
      validateScope(kind, namespace);
      const found = await read(kind, name, namespace);
      return found && (fromWire(kind, found) as Of<K>);
    },

    async list<K extends Kind>(kind: K, query: ListQuery = {}): Promise<ListResult<Of<K>>> {
      parseLabelSelector(query.labelSelector);
      parseFieldSelector(query.fieldSelector);
      if (query.limit !== undefined && !(Number.isSafeInteger(query.limit) && query.limit > 0)) {
        throw new CroftError('invalid-input', `limit: ${query.limit} must be a whole number above 0.`);
      }
      const { namespace, labelSelector, fieldSelector, limit } = query;
      // Without a resourceVersion the API server answers what a quorum says.
      const list = await send<WireList>({
        path: pathOfKind(kind, namespace),
        query: { labelSelector, fieldSelector, limit, continue: query.continue },
        about: `list of ${kind.plural}`,
      });
      return {
        items: list.items.map((item) => fromWire(kind, item) as Of<K>),
        resourceVersion: list.metadata.resourceVersion ?? '',
        ...(list.metadata.continue ? { continue: list.metadata.continue } : {}),
      };
    },

    async *watch<K extends Kind>(kind: K, query: WatchQuery = {}): AsyncGenerator<WatchEvent<Of<K>>> {
      parseLabelSelector(query.labelSelector);
      const signal = query.signal ? AbortSignal.any([query.signal, closing.signal]) : closing.signal;
      const { labelSelector, resourceVersion } = query;
      const about = `watch of ${kind.plural}`;
      const events = client.lines<WireEvent>(
        {
          path: pathOfKind(kind, query.namespace),
          query: { watch: true, allowWatchBookmarks: true, timeoutSeconds: watchSeconds, labelSelector, resourceVersion },
          about,
        },
        signal,
      );
      for await (const { type, object } of events) {
        if (type === 'ERROR') throw errorOfStatus(object.code ?? 500, object, about);
        yield { type, object: fromWire(kind, object) as Of<K> };
      }
    },

    async create<K extends Kind>(kind: K, draft: Draft<K>): Promise<Of<K>> {
      const given = plain(draft) as unknown as Resource;
      validateObject(kind, given);
      const object = created(kind, given);
      const { uid: _u, generation: _g, creationTimestamp: _c, ...metadata } = object.metadata;
      const body = toWire(kind, { ...object, metadata });
      validateSize(kind, metadata.name, JSON.stringify(body));
      const path = pathOfKind(kind, metadata.namespace);
      return fromWire(kind, await send<WireObject>({ method: 'POST', path, body, about: describe(object) })) as Of<K>;
    },

    async update<K extends Kind>(kind: K, object: Of<K>): Promise<Of<K>> {
      validateObject(kind, plain(object));
      return (await write(kind, object, 'spec')) as Of<K>;
    },

    async updateStatus<K extends Kind>(kind: K, object: Of<K>): Promise<Of<K>> {
      validateScope(kind, object.metadata.namespace);
      validateStatus(kind, plain(object));
      return (await write(kind, object, 'status')) as Of<K>;
    },

    async delete<K extends Kind>(kind: K, name: string, namespace?: string, options: DeleteOptions = {}) {
      validateScope(kind, namespace);
      const about = `${kind.kind} ${namespace ? `${namespace}/` : ''}${name}`;
      const { graceSeconds, ...named } = options;
      for (let attempt = 1; ; attempt++) {
        const stored = await read(kind, name, namespace);
        if (!stored) return undefined;
        const before = fromWire(kind, stored);
        checkPreconditions(before, options);
        const body = {
          apiVersion: 'v1',
          kind: 'DeleteOptions',
          propagationPolicy: 'Background',
          preconditions: { uid: before.metadata.uid, ...named },
          ...(graceSeconds === undefined ? {} : { gracePeriodSeconds: graceSeconds }),
        };
        try {
          const path = pathOfKind(kind, namespace, name);
          const answer = await send<WireObject>({ method: 'DELETE', path, body, about });
          // An object that waits for its finalizers is answered as it is; one that is gone by a Status.
          return (answer.kind === 'Status' ? before : fromWire(kind, answer)) as Of<K>;
        } catch (error) {
          if (isCroftError(error, 'not-found')) return undefined;
          // Another object of the name took its place meanwhile: that one is meant too, unless one was named.
          if (!isCroftError(error, 'conflict') || Object.keys(named).length > 0 || attempt === blindAttempts) throw error;
        }
      }
    },

    async close() {
      closing.abort();
      client.close();
    },
  };
}

/** Emptied labels, annotations, finalizers and owners must be said: a PUT without them may keep the old. */
const writable = ({ metadata }: Resource, given: Resource): Resource['metadata'] => ({
  ...metadata,
  finalizers: metadata.finalizers ?? [],
  ownerReferences: metadata.ownerReferences ?? [],
  ...(given.metadata.uid === undefined ? {} : { uid: given.metadata.uid }),
});

/** A claim is bound by Kubernetes to a PersistentVolume; ours is made and removed with what the box reports. */
async function withVolume(client: KubeClient, half: 'spec' | 'status', stored: WireObject, body: WireObject): Promise<void> {
  if (half === 'status') return bindClaim(client, stored, body);
  if (body.metadata.finalizers?.some((finalizer) => finalizer.startsWith('croft.io/'))) return;
  if (stored.metadata.deletionTimestamp !== undefined) await releaseClaim(client, stored);
}
