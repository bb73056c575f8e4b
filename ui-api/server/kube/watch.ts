/**
 * A watch as kube-apiserver streams it: one JSON object a line, at the client's pace. With `sendInitialEvents` the
 * present objects come first and a bookmark marks their end (KEP-3157); bookmarks then tell how far the stream is; a
 * version that is too old ends it with an ERROR event, upon which clients list again.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Kind } from '../../../appliance/resources/kind.ts';
import type { Resource } from '../../../appliance/resources/meta.ts';
import type { ResourceStore, WatchEvent } from '../../../appliance/store/store.ts';
import type { AppContext } from '../context.ts';
import { objectStatus, type About } from './status.ts';
import { shaped, type Shape } from './table.ts';

/** ms of silence after which a bookmark comes; kube-apiserver's minute. */
const bookmarkAfter = 60_000;
/** s until a watch without `timeoutSeconds` ends; clients then go on from their last version. */
const longest = 1800;
/** ms between two looks whether the one who watches still may. */
const askAgain = 15_000;
const initialEnd = 'k8s.io/initial-events-end';

export type WatchWish = {
  kind: Kind;
  namespace: string | undefined;
  labelSelector: string | undefined;
  resourceVersion: string | undefined;
  sendInitialEvents: boolean | undefined;
  bookmarks: boolean;
  timeoutSeconds: number | undefined;
  shape: Shape;
  /** Whether the client is to see the object at all. */
  accepts: (object: Resource) => boolean;
  about: About;
};

/** Watches that are open, to be ended with the service. */
export type OpenWatches = Set<AbortController>;

export async function streamWatch(
  request: FastifyRequest,
  reply: FastifyReply,
  wish: WatchWish,
  { authenticator }: Pick<AppContext, 'authenticator'>,
  open: OpenWatches,
): Promise<void> {
  const { raw } = reply;
  const ended = new AbortController();
  const end = (): void => ended.abort();
  reply.hijack();
  for (const [key, value] of Object.entries(reply.getHeaders())) if (value !== undefined) raw.setHeader(key, value);
  raw.writeHead(200, { 'content-type': 'application/json' });
  raw.flushHeaders();
  raw.once('close', end);
  open.add(ended);
  const timer = setTimeout(end, Math.min(wish.timeoutSeconds ?? longest, longest) * 1000);
  const recheck = setInterval(() => {
    // Who was signed out or removed meanwhile sees no more.
    Promise.resolve(authenticator(request.raw)).then((principal) => principal ?? end(), end);
  }, askAgain);
  const write = async (event: object): Promise<void> => {
    if (ended.signal.aborted || raw.write(`${JSON.stringify(event)}\n`)) return;
    await new Promise<void>((resolve) => {
      raw.once('drain', resolve);
      ended.signal.addEventListener('abort', () => resolve(), { once: true });
    });
  };
  try {
    let headers = true;
    for await (const { type, object } of events(request.store, wish, ended.signal)) {
      const body = type === 'BOOKMARK' ? bookmark(wish, object) : shaped(wish.kind, object, wish.shape, headers);
      if (type !== 'BOOKMARK') headers = false;
      await write({ type, object: body });
    }
  } catch (error) {
    const status = objectStatus(error, wish.about);
    if (status.code >= 500) request.log.error({ err: error, traceId: request.id }, 'a watch failed');
    await write({ type: 'ERROR', object: status });
  } finally {
    clearTimeout(timer);
    clearInterval(recheck);
    open.delete(ended);
    raw.end();
  }
}

async function* events(store: ResourceStore, wish: WatchWish, signal: AbortSignal): AsyncGenerator<WatchEvent> {
  const { kind, namespace, labelSelector, accepts, sendInitialEvents } = wish;
  const anyVersion = wish.resourceVersion === undefined || wish.resourceVersion === '' || wish.resourceVersion === '0';
  let from = anyVersion ? undefined : wish.resourceVersion;
  if (sendInitialEvents !== undefined && (sendInitialEvents || from === undefined)) {
    const { items, resourceVersion } = await store.list(kind, { namespace, labelSelector, consistent: true });
    if (sendInitialEvents) {
      for (const object of items) if (accepts(object)) yield { type: 'ADDED', object };
      const metadata = { name: '', resourceVersion, annotations: { [initialEnd]: 'true' } };
      yield { type: 'BOOKMARK', object: { apiVersion: kind.apiVersion, kind: kind.kind, metadata, spec: {} } };
    }
    from = resourceVersion;
  }
  const query = { namespace, labelSelector, resourceVersion: from, signal, bookmarkAfter };
  for await (const event of store.watch(kind, query)) {
    if (event.type === 'BOOKMARK' ? wish.bookmarks : accepts(event.object)) yield event;
  }
}

/** Of the shape the events have, or a client that reads Tables fails on it. */
function bookmark({ shape }: WatchWish, { apiVersion, kind, metadata: { name: _name, ...metadata } }: Resource) {
  if (shape.as === 'table') return { kind: 'Table', apiVersion: 'meta.k8s.io/v1', metadata, columnDefinitions: [], rows: [] };
  return shape.as === 'metadata'
    ? { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata }
    : { kind, apiVersion, metadata };
}
