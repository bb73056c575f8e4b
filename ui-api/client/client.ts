/**
 * The one typed client of `/v1`, shared by the CLI and the browser's console.
 *
 * Theory of operation: `request` does one exchange over a pluggable transport and turns every error answer into an
 * `ApiProblem`; the collections (`client.vms` …) are thin names over it. POSTs carry an Idempotency-Key, so that a
 * repeated one makes nothing twice. PATCH, PUT and DELETE carry If-Match: the version that was read, or `*` when the
 * caller means "whatever it is now". This file runs in browsers: it imports nothing of Node.
 */
import { ApiProblem, type Problem } from './problem.ts';
import { parseServerEvents, type ServerEvent } from './server-events.ts';
import { fetchTransport, type HttpAnswer, type Transport } from './transport.ts';
import type * as api from './types.ts';

export type Query = Record<string, string | number | boolean | undefined>;

export type RequestOptions = {
  query?: Query;
  /** Sent as JSON, unless it is bytes. */
  body?: unknown;
  /** For bytes: their content type. */
  contentType?: string;
  ifMatch?: string;
  headers?: Record<string, string>;
  signal?: AbortSignal;
};

export type Answer<T> = { status: number; body: T; etag?: string; location?: string; headers: Record<string, string> };

/** One kind of object under `/v1`. Methods throw ApiProblem and Unreachable. */
export type Collection<T, Create = Record<string, unknown>> = {
  readonly path: string;
  /** All pages. */
  list(query?: Query, signal?: AbortSignal): Promise<T[]>;
  get(name: string, query?: Query, signal?: AbortSignal): Promise<T>;
  create(body: Create, query?: Query): Promise<Answer<T>>;
  /** RFC 7396 merge patch. */
  patch(name: string, patch: Record<string, unknown>, query?: Query, ifMatch?: string): Promise<Answer<T>>;
  remove(name: string, query?: Query, ifMatch?: string): Promise<Answer<unknown>>;
  /** `POST …/{name}/{action}`. */
  act(name: string, action: string, body?: unknown, query?: Query): Promise<Answer<unknown>>;
};

export type Client = {
  /** One exchange. @throws ApiProblem, Unreachable */
  request<T = unknown>(method: string, path: string, options?: RequestOptions): Promise<Answer<T>>;
  /** The bytes of an answer as they come. @throws ApiProblem, Unreachable when the connection breaks */
  download(path: string, options?: Pick<RequestOptions, 'headers' | 'signal'>): AsyncGenerator<Uint8Array>;
  /** Events as they happen, until the signal aborts or the connection ends. @throws ApiProblem, Unreachable */
  events(query?: Query & { lastEventId?: string }, signal?: AbortSignal): AsyncGenerator<ServerEvent>;
  collection<T, Create = Record<string, unknown>>(path: string): Collection<T, Create>;
  readonly vms: Collection<api.Vm, api.VmCreate>;
  readonly images: Collection<api.Image, api.ImageCreate>;
  readonly imageCatalogue: Collection<api.CatalogueImage>;
  readonly volumes: Collection<api.Volume, api.VolumeCreate>;
  readonly networks: Collection<api.Network, api.NetworkCreate>;
  readonly uplinks: Collection<api.Uplink, api.UplinkCreate>;
  /** Network devices of the box. */
  readonly nics: Collection<api.Nic>;
  readonly pools: Collection<api.Pool, api.PoolCreate>;
  readonly disks: Collection<api.Disk, api.DiskAdd>;
  readonly users: Collection<api.User, api.UserCreate>;
  readonly tokens: Collection<api.Token, api.TokenCreate>;
  readonly tasks: Collection<api.Task>;
  readonly instancetypes: Collection<api.InstanceType, api.InstanceTypeCreate>;
  readonly preferences: Collection<api.Preference>;
  /** Snapshots of one VM. */
  snapshots(vm: string): Collection<api.Snapshot, { name: string }>;
};

export type ClientOptions = {
  baseUrl?: string;
  transport?: Transport;
  token?: string;
  /** Sent with every request. */
  headers?: Record<string, string>;
  /** Told when an answer is what was known at that time (RFC 3339), because the box's store doesn't answer. */
  onStale?: (since: string) => void;
};

/** Bodies as bytes, streamed uploads among them. */
const isBytes = (body: unknown): body is Uint8Array | AsyncIterable<Uint8Array> =>
  body instanceof Uint8Array || (typeof body === 'object' && body !== null && Symbol.asyncIterator in body);

export const pathSegment = (name: string): string => encodeURIComponent(name);

/** `path` with `query` added; undefined values are left out. */
export function withQuery(path: string, query: Query = {}): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  if (given.length === 0) return path;
  const search = new URLSearchParams(given.map(([key, value]) => [key, String(value)]));
  return `${path}${path.includes('?') ? '&' : '?'}${search}`;
}

export function createClient(options: ClientOptions = {}): Client {
  const transport = options.transport ?? fetchTransport(options.baseUrl);
  const always: Record<string, string> = {
    ...(options.token ? { authorization: `Bearer ${options.token}` } : {}),
    ...options.headers,
  };

  async function request<T>(method: string, path: string, given: RequestOptions = {}): Promise<Answer<T>> {
    const target = withQuery(path, given.query);
    const answer = await transport({
      method,
      path: target,
      headers: { accept: 'application/json', ...always, ...bodyHeaders(method, given), ...given.headers },
      body: given.body === undefined ? undefined : isBytes(given.body) ? given.body : JSON.stringify(given.body),
      signal: given.signal,
    });
    const body = await readBody(answer);
    if (answer.status >= 400) throw new ApiProblem(answer.status, problemOf(body), method, target);
    const { etag, location, 'x-croft-stale-since': stale } = answer.headers;
    if (stale) options.onStale?.(stale);
    return { status: answer.status, body: body as T, etag, location, headers: answer.headers };
  }

  async function* download(path: string, { headers, signal }: Pick<RequestOptions, 'headers' | 'signal'> = {}) {
    const answer = await transport({ method: 'GET', path, headers: { ...always, ...headers }, signal });
    if (answer.status >= 400) throw new ApiProblem(answer.status, problemOf(await readBody(answer)), 'GET', path);
    yield* answer.chunks;
  }

  async function* events(query: Query & { lastEventId?: string } = {}, signal?: AbortSignal): AsyncGenerator<ServerEvent> {
    const { lastEventId, ...rest } = query;
    const path = withQuery('/v1/events', rest);
    const resume: Record<string, string> = lastEventId ? { 'last-event-id': lastEventId } : {};
    const headers = { accept: 'text/event-stream', ...always, ...resume };
    const answer = await transport({ method: 'GET', path, headers, signal });
    if (answer.status >= 400) throw new ApiProblem(answer.status, problemOf(await readBody(answer)), 'GET', path);
    yield* parseServerEvents(answer.chunks);
  }

  function collection<T, Create = Record<string, unknown>>(path: string): Collection<T, Create> {
    const one = (name: string) => `${path}/${pathSegment(name)}`;
    return {
      path,
      list: async (query = {}, signal) => {
        const items: T[] = [];
        let pageToken: string | undefined;
        do {
          const { body } = await request<api.Page<T>>('GET', path, { query: { ...query, pageToken }, signal });
          items.push(...body.items);
          pageToken = body.nextPageToken || undefined;
        } while (pageToken !== undefined);
        return items;
      },
      get: async (name, query, signal) => (await request<T>('GET', one(name), { query, signal })).body,
      create: (body, query) => request<T>('POST', path, { body, query }),
      patch: (name, patch, query, ifMatch = '*') => request<T>('PATCH', one(name), { body: patch, query, ifMatch }),
      remove: (name, query, ifMatch = '*') => request('DELETE', one(name), { query, ifMatch }),
      act: (name, action, body, query) => request('POST', `${one(name)}/${action}`, { body: body ?? {}, query }),
    };
  }

  return {
    request,
    download,
    events,
    collection,
    vms: collection('/v1/vms'),
    images: collection('/v1/images'),
    imageCatalogue: collection('/v1/image-catalogue'),
    volumes: collection('/v1/volumes'),
    networks: collection('/v1/networks'),
    uplinks: collection('/v1/uplinks'),
    nics: collection('/v1/node/nics'),
    pools: collection('/v1/pools'),
    disks: collection('/v1/disks'),
    users: collection('/v1/users'),
    tokens: collection('/v1/tokens'),
    tasks: collection('/v1/tasks'),
    instancetypes: collection('/v1/instancetypes'),
    preferences: collection('/v1/preferences'),
    snapshots: (vm) => collection(`/v1/vms/${pathSegment(vm)}/snapshots`),
  };
}

function bodyHeaders(method: string, given: RequestOptions): Record<string, string> {
  const headers: Record<string, string> = {};
  if (given.body !== undefined) {
    const json = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
    headers['content-type'] = given.contentType ?? (isBytes(given.body) ? 'application/octet-stream' : json);
  }
  if (given.ifMatch !== undefined) headers['if-match'] = given.ifMatch;
  if (method === 'POST') headers['idempotency-key'] = crypto.randomUUID();
  return headers;
}

/** JSON as its value, other text as a string, nothing as undefined. */
async function readBody(answer: HttpAnswer): Promise<unknown> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of answer.chunks) text += decoder.decode(chunk, { stream: true });
  text += decoder.decode();
  if (text === '') return undefined;
  if (!/[/+]json/.test(answer.headers['content-type'] ?? '')) return text;
  return JSON.parse(text);
}

const problemOf = (body: unknown): Problem =>
  typeof body === 'object' && body !== null ? (body as Problem) : { detail: typeof body === 'string' ? body.trim() : undefined };
