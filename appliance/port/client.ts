/**
 * The API's end of the port to the box (server.ts). Tasks and events are kept as a copy that the box keeps up to date:
 * lists answer at once, also while the box restarts; what only the box can do is then `unavailable`.
 */
import { request, type IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { catalogue, CroftError, type ErrorCode, messageOf } from '../errors.ts';
import type { Logger } from '../host/logger.ts';
import type { History } from '../metrics/series.ts';
import type {
  BoxPort,
  ClusterStatus,
  EventView,
  Explanation,
  ExportRecord,
  ImageUploads,
  RemoteTasks,
  UpdateStatus,
  UploadState,
  VmExports,
  VmUsage,
} from '../ports.ts';
import type { EventRecord } from '../reconcile/events.ts';
import type { Task } from '../reconcile/tasks.ts';
import { recordsKept } from './server.ts';

export type RemoteBox = {
  port: BoxPort;
  uploads: ImageUploads;
  exports: VmExports;
  tasks: RemoteTasks;
  events: EventView;
  /** Resolves when the copy is whole for the first time. */
  ready: Promise<void>;
  close(): void;
};

/** ms: the box's slowest answer is a screenshot. */
const deadline = 30_000;
/** ms between attempts to reach the box. */
const retryAfter = 1_000;

const away = (cause: unknown): CroftError =>
  new CroftError('unavailable', `The box’s service does not answer: ${messageOf(cause)}.`, { cause });

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

/** The error that the box answered with. */
function errorFrom(text: string): CroftError {
  try {
    const { code, detail, fix, errors } = JSON.parse(text) as { code: ErrorCode; detail: string; fix: string[]; errors: [] };
    return code in catalogue ? new CroftError(code, detail, { fix, errors }) : away(`it answered ${code}`);
  } catch (cause) {
    return away(cause);
  }
}

export function connectPort(path: string, logger: Logger): RemoteBox {
  const ended = new AbortController();
  const copy = createCopy();

  const ask = async <T>(name: string, body: unknown): Promise<T> => {
    const text = JSON.stringify(body);
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const sent = request({ socketPath: path, path: name, method: 'POST', headers, signal: ended.signal }, resolve);
      sent.setTimeout(deadline, () => sent.destroy(new Error(`silence for ${deadline / 1000} s`)));
      sent.once('error', (error) => reject(away(error)));
      sent.end(text);
    });
    const answer = await textOf(response).catch((error: unknown) => {
      throw away(error);
    });
    if (response.statusCode !== 200) throw errorFrom(answer);
    return JSON.parse(answer) as T;
  };

  /** Bytes until `bytes` ends; when it breaks off, what came is kept, as the box does by itself. */
  const append: ImageUploads['append'] = async (id, offset, bytes) => {
    const query = new URLSearchParams({ id, offset: String(offset) });
    const sent = request({ socketPath: path, path: `/upload?${query.toString()}`, method: 'POST', signal: ended.signal });
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      sent.once('response', resolve);
      sent.once('error', (error) => reject(away(error)));
    });
    // Refused early: the answer says why, and the rest of the bytes is not taken.
    const early = answered.then(
      () => 'answered' as const,
      () => 'answered' as const,
    );
    try {
      for await (const chunk of bytes) {
        if (sent.write(chunk)) continue;
        const drained = new Promise<'drained'>((resolve) => sent.once('drain', () => resolve('drained')));
        if ((await Promise.race([drained, early])) === 'answered') break;
      }
    } catch (error) {
      logger.debug({ err: error, image: id }, 'an upload broke off');
    }
    sent.end();
    const response = await answered;
    const answer = await textOf(response);
    if (response.statusCode !== 200) throw errorFrom(answer);
    return JSON.parse(answer) as UploadState;
  };

  const read: VmExports['read'] = async (id, start, end) => {
    const query = new URLSearchParams({ id, start: String(start), end: String(end) });
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const sent = request({ socketPath: path, path: `/export?${query.toString()}`, signal: ended.signal }, resolve);
      sent.once('error', (error) => reject(away(error)));
      sent.end();
    });
    if (response.statusCode !== 200) throw errorFrom(await textOf(response));
    return response;
  };

  const openConsole: BoxPort['openConsole'] = ({ name, namespace }, kind) =>
    new Promise<Duplex>((resolve, reject) => {
      const query = new URLSearchParams({ name, namespace, kind });
      const headers = { connection: 'Upgrade', upgrade: 'croft-console' };
      const sent = request({ socketPath: path, path: `/console?${query.toString()}`, headers });
      const timer = setTimeout(() => sent.destroy(new Error(`silence for ${deadline / 1000} s`)), deadline);
      sent.once('error', (error) => {
        clearTimeout(timer);
        reject(away(error));
      });
      sent.once('upgrade', (_response, socket, head) => {
        clearTimeout(timer);
        if (head.length > 0) socket.unshift(head);
        resolve(socket);
      });
      sent.once('response', (response) => {
        clearTimeout(timer);
        textOf(response).then(
          (text) => reject(errorFrom(text)),
          (error: unknown) => reject(away(error)),
        );
      });
      sent.end();
    });

  void follow(path, copy, ended.signal, logger);
  return {
    port: {
      act: async (vm, action) => void (await ask('/act', { vm, action })),
      openConsole,
      screenshot: async (vm) => Buffer.from((await ask<{ png: string }>('/screenshot', { vm })).png, 'base64'),
      explain: (vm) => ask<Explanation>('/explain', { vm }),
      stats: () => ask<VmUsage[]>('/stats', {}),
      history: (subject, range) => ask<History>('/history', { subject, range }),
      recentUse: () => ask('/recent-use', {}),
      nics: () => ask('/nics', {}),
      onSample: (listener) => subscribe(copy.sampleListeners, listener),
      capacity: () => ask('/capacity', {}),
      guestLists: (vm) => ask('/guest-lists', { vm }),
      cluster: {
        status: () => ask<ClusterStatus>('/cluster/status', {}),
        init: (wish, by) => ask<string>('/cluster/init', { request: wish, by }),
      },
      updates: {
        status: () => ask<UpdateStatus>('/update/status', {}),
        begin: (update, by) => ask<string>('/update/begin', { update, by }),
        abort: async () => void (await ask('/update/abort', {})),
        rollBack: async () => void (await ask('/update/roll-back', {})),
        restart: async () => void (await ask('/update/restart', {})),
      },
    },
    exports: {
      begin: (vm, wish) => ask<string>('/export/begin', { vm, wish }),
      get: async (id) => (await ask<ExportRecord | null>('/export/get', { id })) ?? undefined,
      list: () => ask<ExportRecord[]>('/export/list', {}),
      read,
      remove: async (id) => void (await ask('/export/remove', { id })),
    },
    uploads: {
      begin: (id, size) => ask<UploadState>('/upload/begin', { id, size }),
      state: async (id) => (await ask<UploadState | null>('/upload/state', { id })) ?? undefined,
      append,
      drop: async (id) => void (await ask('/upload/drop', { id })),
    },
    tasks: {
      get: (id) => copy.tasks.get(id),
      list: ({ state, limit = 100 } = {}) =>
        [...copy.tasks.values()]
          .filter((task) => state === undefined || task.state === state)
          .toSorted((a, b) => b.startedAt.localeCompare(a.startedAt) || b.id.localeCompare(a.id))
          .slice(0, limit),
      cancel: (id) => ask<Task>('/cancel', { id }),
      subscribe: (listener) => subscribe(copy.taskListeners, listener),
    },
    events: {
      list: ({ kind, name, project, limit = 100 } = {}) =>
        copy.events
          .filter(({ about }) => kind === undefined || about.kind === kind)
          .filter(({ about }) => name === undefined || about.name === name)
          .filter(({ about }) => project === undefined || (about.project ?? '') === project)
          .slice(-limit)
          .toReversed(),
      subscribe: (listener) => subscribe(copy.eventListeners, listener),
    },
    ready: copy.ready.promise,
    close: () => ended.abort(),
  };
}

type Copy = {
  tasks: Map<string, Task>;
  /** Oldest first. */
  events: EventRecord[];
  taskListeners: Set<(task: Task) => void>;
  eventListeners: Set<(event: EventRecord) => void>;
  sampleListeners: Set<(at: number) => void>;
  /** The first list is no news; what comes behind it is. */
  whole: boolean;
  ready: PromiseWithResolvers<void>;
};

const createCopy = (): Copy => ({
  tasks: new Map(),
  events: [],
  taskListeners: new Set(),
  eventListeners: new Set(),
  sampleListeners: new Set(),
  whole: false,
  ready: Promise.withResolvers(),
});

function subscribe<T>(listeners: Set<(record: T) => void>, listener: (record: T) => void): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** Keeps the copy up to date until `signal` aborts, over as many connections as it takes. */
async function follow(path: string, copy: Copy, signal: AbortSignal, logger: Logger): Promise<void> {
  let told = false;
  while (!signal.aborted) {
    try {
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        request({ socketPath: path, path: '/records', signal }, resolve).once('error', reject).end();
      });
      if (response.statusCode !== 200) throw errorFrom(await textOf(response));
      told = false;
      for await (const line of createInterface({ input: response })) take(copy, JSON.parse(line) as Line);
    } catch (error) {
      if (signal.aborted) return;
      if (!told) logger.warn({ err: error }, 'the box’s service does not answer; trying again');
      told = true;
    }
    await delay(retryAfter, undefined, { signal }).catch(() => undefined); // Aborted: the loop ends.
  }
}

type Line = { task?: Task; event?: EventRecord; sample?: number; current?: true };

function take(copy: Copy, { task, event, sample, current }: Line): void {
  if (sample !== undefined) for (const listener of copy.sampleListeners) listener(sample);
  if (task) takeTask(copy, task);
  if (event && event.seq > (copy.events.at(-1)?.seq ?? 0)) {
    copy.events.push(event);
    if (copy.events.length > 2 * recordsKept) copy.events.splice(0, recordsKept);
    if (copy.whole) for (const listener of copy.eventListeners) listener(event);
  }
  if (current) {
    copy.whole = true;
    copy.ready.resolve();
  }
}

function takeTask(copy: Copy, task: Task): void {
  // After a new connection the whole list comes again: what is known is no news.
  const known = copy.tasks.get(task.id);
  if (known && JSON.stringify(known) === JSON.stringify(task)) return;
  copy.tasks.set(task.id, task);
  if (copy.tasks.size > 2 * recordsKept) {
    const ended = [...copy.tasks.values()].filter(({ state }) => state !== 'running');
    for (const { id } of ended.slice(0, recordsKept)) copy.tasks.delete(id);
  }
  if (copy.whole) for (const listener of copy.taskListeners) listener(task);
}
