/** `--watch`: what there is, then each object again whenever it changed. Events say when to look; a slow look covers lost ones. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isAbort } from '../client/problem.ts';
import type { Session } from './session.ts';

/** ms between looks without an event. */
const slowLook = 5000;
/** ms in which events are gathered before a look. */
const gather = 100;

type Named = { name?: string; id?: string };

/** Runs until Ctrl-C. `show` gets the new and changed objects; `first` is true for the opening list. */
export async function watch<T>(
  session: Session,
  fetch: () => Promise<T[]>,
  show: (changed: T[], first: boolean) => void,
): Promise<void> {
  const ended = new AbortController();
  const signal = AbortSignal.any([session.io.signal, ended.signal]);
  const known = new Map<string, string>();
  let wake: () => void = () => {};
  const listening = listen(session, signal, () => wake());
  try {
    for (let first = true; !signal.aborted; first = false) {
      const woken = new Promise<void>((resolve) => {
        wake = resolve;
      });
      const changed = changedSince(known, await fetch());
      if (changed.length > 0 || first) show(changed, first);
      await Promise.race([woken, nap(slowLook, signal)]);
      await nap(gather, signal);
    }
  } finally {
    ended.abort();
    await listening;
  }
  session.io.signal.throwIfAborted();
}

function changedSince<T>(known: Map<string, string>, items: T[]): T[] {
  return items.filter((item) => {
    const { id, name } = item as Named;
    const key = id ?? name ?? '';
    const text = JSON.stringify(item);
    const differs = known.get(key) !== text;
    known.set(key, text);
    return differs;
  });
}

async function listen({ client }: Session, signal: AbortSignal, wake: () => void): Promise<void> {
  while (!signal.aborted) {
    try {
      for await (const _ of client.events({}, signal)) wake();
    } catch (error) {
      if (isAbort(error)) return;
      // The stream cannot be had now: the slow look goes on meanwhile.
    }
    await nap(1000, signal);
  }
}

/** Sleeps `ms`, less when aborted; never throws. */
const nap = (ms: number, signal: AbortSignal): Promise<void> => sleep(ms, undefined, { signal, ref: true }).catch(() => {});
