/**
 * Keeps what is on the screen live.
 *
 * Theory of operation: one EventSource on /v1/events for the page. A resource's change says only what changed, so
 * its queries are read again, bundled: a burst of a thousand changes is a few reads. Tasks and events come whole and
 * are put into the cache. The browser reconnects by itself and resumes by the last id; the server answers `reset`
 * where it can't, and after any broken connection everything is read again: a gap never shows old data as new.
 */
import type { QueryClient, QueryKey } from '@tanstack/react-query';
import type { ApiEvent, Task } from '../../../client/types.ts';
import { upsertTask } from './tasks.ts';

export type LiveState = { connected: boolean /** ms since epoch of the last word from the server */; heardAt: number };

/** Queries that an event makes stale. A VM's change shows in its disks' volumes and in the box's free memory too. */
const staleBy: Record<string, readonly QueryKey[]> = {
  vm: [['vms'], ['volumes'], ['node']],
  image: [['images']],
  network: [['networks']],
  uplink: [['uplinks'], ['networks']],
  snapshot: [['snapshots']],
  volume: [['volumes'], ['pools']],
  pool: [['pools']],
  user: [['users']],
  node: [['node']],
  history: [['history']],
};

const bundleFor = 80;
/** Reading a thousand machines takes the box a while: twice as long it is left in peace, so that a burst can end. */
const restFor = 2;
const longestRest = 3_000;
const keptEvents = 500;

let state: LiveState = { connected: true, heardAt: Date.now() };
const listeners = new Set<() => void>();
const setState = (next: LiveState): void => {
  state = next;
  for (const listener of listeners) listener();
};

export const liveState = {
  get: (): LiveState => state,
  subscribe: (listener: () => void) => {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  },
};

/** Called with each event of the box, for notices. */
export type LiveHooks = { onTaskEnd: (task: Task) => void; onSignedOut: () => void };

/** Starts the stream; returns the way to end it. */
export function startLive(queries: QueryClient, hooks: LiveHooks): () => void {
  const stale = new Map<string, QueryKey>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let reading = false;
  let readAgainAt = 0;
  let broken = false;
  let retry: ReturnType<typeof setTimeout> | undefined;
  let source: EventSource | undefined;

  async function flush(): Promise<void> {
    timer = undefined;
    reading = true;
    const begun = performance.now();
    const keys = [...stale.values()];
    stale.clear();
    try {
      await Promise.all(keys.map((queryKey) => queries.invalidateQueries({ queryKey })));
    } finally {
      reading = false;
      const took = performance.now() - begun;
      readAgainAt = performance.now() + Math.min(longestRest, restFor * took);
      if (stale.size > 0) readLater();
    }
  }

  function readLater(): void {
    timer ??= setTimeout(() => void flush(), Math.max(bundleFor, readAgainAt - performance.now()));
  }

  function heard(): void {
    if (!state.connected) setState({ connected: true, heardAt: Date.now() });
    else state.heardAt = Date.now();
  }

  function markStale(keys: readonly QueryKey[]): void {
    for (const key of keys) stale.set(JSON.stringify(key), key);
    if (!reading) readLater();
  }

  function onTask(task: Task): void {
    queries.setQueryData<Task[]>(['tasks'], (tasks) => tasks && upsertTask(tasks, task));
    if (task.state !== 'running') hooks.onTaskEnd(task);
  }

  function onEvent(event: ApiEvent): void {
    for (const [key, events] of queries.getQueriesData<ApiEvent[]>({ queryKey: ['events'] })) {
      const about = (key[1] ?? {}) as { kind?: string; name?: string; project?: string };
      const matches =
        (about.name === undefined || about.name === event.about.name) &&
        (about.kind === undefined || about.kind === event.about.kind) &&
        (about.project === undefined || about.project === event.about.project);
      if (events && matches && events[0]?.seq !== event.seq) queries.setQueryData(key, [event, ...events].slice(0, keptEvents));
    }
  }

  function connect(): void {
    const stream = new EventSource('/v1/events');
    source = stream;
    stream.addEventListener('open', () => {
      heard();
      if (broken) void queries.invalidateQueries();
      broken = false;
    });
    stream.addEventListener('reset', () => void queries.invalidateQueries());
    for (const [event, keys] of Object.entries(staleBy)) {
      stream.addEventListener(event, () => {
        heard();
        markStale(keys);
      });
    }
    stream.addEventListener('task', ({ data }) => (heard(), onTask(JSON.parse(String(data)) as Task)));
    stream.addEventListener('event', ({ data }) => (heard(), onEvent(JSON.parse(String(data)) as ApiEvent)));
    stream.addEventListener('error', () => {
      if (!broken) setState({ connected: false, heardAt: state.heardAt });
      broken = true;
      // Closed for good: the answer was no stream, as from a service that starts, or we are signed out.
      if (stream.readyState === EventSource.CLOSED) {
        void isSignedOut().then((out) => (out ? hooks.onSignedOut() : (retry = setTimeout(connect, 2000))));
      }
    });
  }

  connect();
  return () => {
    clearTimeout(timer);
    clearTimeout(retry);
    source?.close();
  };
}

async function isSignedOut(): Promise<boolean> {
  try {
    return (await fetch('/v1/session')).status === 401;
  } catch {
    // No answer at all: the service is away, which says nothing about our session.
    return false;
  }
}
