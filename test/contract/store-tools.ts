/** What the store's suites share: expecting a refusal, and collecting a watch. */
import { expect } from 'vitest';
import { isCroftError, type ErrorCode } from '../../appliance/errors.ts';
import type { Resource } from '../../appliance/resources/meta.ts';
import type { ResourceStore, WatchEvent } from '../../appliance/store/store.ts';

export type OpenedStore = {
  store: ResourceStore;
  /** Closes and opens anew on the same data. */
  reopen?: () => Promise<ResourceStore>;
  /** A project that may be written to; default: any name will do. */
  newNamespace?: () => Promise<string>;
  close: () => Promise<void>;
};

/** Expects a CroftError of this code; returns it. */
export async function refusal(code: ErrorCode, work: Promise<unknown>): Promise<Error> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!isCroftError(error, code)) expect.fail(`expected ${code}, got ${String(error)}`);
  return error;
}

/** Collects a watch's events until stopped. */
export function collect<T extends Resource>(watch: (signal: AbortSignal) => AsyncIterable<WatchEvent<T>>) {
  const controller = new AbortController();
  const events: WatchEvent<T>[] = [];
  const ended = (async () => {
    for await (const event of watch(controller.signal)) if (event.type !== 'BOOKMARK') events.push(event);
  })();
  return {
    events,
    /** `ADDED a`, in order. */
    told: () => events.map(({ type, object }) => `${type} ${object.metadata.name}`),
    stop: async () => {
      controller.abort();
      await ended;
    },
    ended,
  };
}
