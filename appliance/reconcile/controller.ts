/**
 * A controller: informers say which keys may need work, a queue runs `reconcile` for each, one run per key
 * at a time. Reconcile takes a key, never a change: it reads what is wished and what is, and brings the one
 * to the other, so missed events, restarts and repeats need no code of their own. A slow resync runs every
 * key again for what no event tells.
 */
import { isCroftError, messageOf } from '../errors.ts';
import type { Logger } from '../host/logger.ts';
import type { Kind, Of } from '../resources/kind.ts';
import type { Resource } from '../resources/meta.ts';
import type { Backoff } from './backoff.ts';
import { keyOf, type Informer } from './informer.ts';
import { createWorkQueue, type RunResult } from './queue.ts';

/** Work that one box does for all: closed, keys are passed over; when it opens, all are run. */
export type Gate = { open(): boolean; onOpen(listener: () => void): () => void };

/** An informer, and which keys a change of one of its objects concerns. Made by `watching`. */
export type Watching = {
  synced(): Promise<void>;
  subscribe(enqueue: (key: string) => void): () => void;
  /** The keys of all its objects. */
  all(): string[];
};

/** Keys of an object; default its own. Called for the object before and after a change. */
export function watching<K extends Kind>(
  informer: Informer<K>,
  keys: (object: Of<K>) => string[] = (object) => [keyOf(object as Resource)],
): Watching {
  return {
    synced: () => informer.synced(),
    subscribe: (enqueue) =>
      informer.onChange((_type, object, before) => {
        for (const key of new Set([...keys(object), ...(before ? keys(before) : [])])) enqueue(key);
      }),
    all: () => informer.list().flatMap(keys),
  };
}

export type ControllerOptions = {
  name: string;
  watches: Watching[];
  /** Brings one key from what is to what is wished. May throw: it comes again after a growing wait. */
  reconcile: (key: string) => Promise<RunResult>;
  /** ms between runs of all keys; default 10 min, 0 never. */
  resync?: number;
  /** Keys at the same time. Default 4. */
  concurrency?: number;
  backoff?: Backoff;
  logger?: Logger;
  /** Default: always open. */
  gate?: Gate | undefined;
};

export type Controller = {
  enqueue(key: string): void;
  /** Runs a key after `ms`. */
  enqueueAfter(key: string, ms: number): void;
  /** Resolves when the informers are synced and no key runs or is ready to (waits for retries do not count). */
  idle(): Promise<void>;
  /** Starts no more runs; resolves when those under way have ended. The informers are their maker's to stop. */
  stop(): Promise<void>;
};

/** Runs that may find a part of the box not ready before that is logged. */
const quietFailures = 5;

/** Starts work once all informers are synced: a reconciler never sees half of the world. */
export function startController(options: ControllerOptions): Controller {
  const { name, watches, reconcile, resync = 600_000, concurrency, backoff, logger, gate } = options;
  const queue = createWorkQueue({
    // A key may be enqueued by hand before the informers are synced.
    work: async (key) => {
      await started;
      return stopped || gate?.open() === false ? undefined : reconcile(key);
    },
    ...(concurrency === undefined ? {} : { concurrency }),
    ...(backoff === undefined ? {} : { backoff }),
    onError(key, error, failures, retryIn) {
      const details = { controller: name, key, failures, retryIn: Math.round(retryIn) };
      // Someone else wrote first: the way of optimistic concurrency, not a failure to report.
      if (isCroftError(error, 'conflict')) logger?.debug(details, 'conflict; running again');
      // Parts wait for each other at every start; what stays away is worth a line.
      else if (isCroftError(error, 'unavailable') && failures <= quietFailures) logger?.debug(details, messageOf(error));
      else logger?.warn({ ...details, err: error }, `reconcile failed: ${messageOf(error)}`);
    },
  });
  const stops: (() => void)[] = [];
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  async function start(): Promise<void> {
    await Promise.all(watches.map((one) => one.synced()));
    if (stopped) return;
    for (const one of watches) stops.push(one.subscribe((key) => queue.add(key)));
    const addAll = () => {
      for (const one of watches) for (const key of one.all()) queue.add(key);
    };
    if (gate) stops.push(gate.onOpen(addAll));
    if (resync > 0) timer = setInterval(addAll, resync);
  }
  const started = start();

  return {
    enqueue: (key) => queue.add(key),
    enqueueAfter: (key, ms) => queue.addAfter(key, ms),
    async idle() {
      await started;
      await queue.idle();
    },
    async stop() {
      stopped = true;
      clearInterval(timer);
      for (const stop of stops) stop();
      await queue.stop();
    },
  };
}
