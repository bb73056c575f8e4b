/**
 * Files on their way from this browser to the box.
 *
 * Theory of operation: one that is being sent belongs to the page as a whole, not to the dialog that began it: it goes
 * on while one looks at other things, and after a broken connection from where it ended (client/upload.ts). Closing the
 * page loses the file, as browsers give none back; the image then waits, and the same file, chosen again, goes on. What
 * was begun is remembered here by name, size and date, so that no other file is sent behind its first half.
 */
import { useSyncExternalStore } from 'react';
import { sendUpload } from '../../../client/upload.ts';
import { isAbort } from '../../../client/problem.ts';
import type { Image } from '../../../client/types.ts';
import { client } from './client.ts';

/** `done` and `total` in bytes. */
export type Sending = { image: string; done: number; total: number };

type Hooks = { onFailure: (image: string, error: unknown) => void };

let sendings: readonly Sending[] = [];
const stops = new Map<string, AbortController>();
const listeners = new Set<() => void>();

function set(next: readonly Sending[]): void {
  sendings = next;
  for (const listener of listeners) listener();
}
const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => void listeners.delete(listener);
};

const keptAs = (image: string): string => `croft.upload.${image}`;
const markOf = ({ name, size, lastModified }: File): string => `${name} ${size} ${lastModified}`;

/** What this page sends now. */
export const useSendings = (): readonly Sending[] => useSyncExternalStore(subscribe, () => sendings);

/** True for an image whose bytes are not all there and that nobody sends from here. */
export const isWaiting = ({ name, source, state }: Image, now: readonly Sending[]): boolean =>
  'upload' in source && ['pending', 'fetching'].includes(state) && !now.some(({ image }) => image === name);

/** False for another file than the one that was begun; true also where that isn't known. */
export function isSameFile(image: string, file: File): boolean {
  const mark = localStorage.getItem(keptAs(image));
  return mark === null || mark === markOf(file);
}

/** Sends in the background; `image` is there and waits for its bytes. */
export function startSending(image: string, file: File, { onFailure }: Hooks): void {
  const stop = new AbortController();
  stops.set(image, stop);
  localStorage.setItem(keptAs(image), markOf(file));
  const progress = (done: number, total: number) =>
    set([...sendings.filter((each) => each.image !== image), { image, done, total }]);
  progress(0, file.size);
  if (stops.size === 1) addEventListener('beforeunload', warn);
  const read = async (offset: number, length: number) => new Uint8Array(await file.slice(offset, offset + length).arrayBuffer());
  sendUpload(client, image, { size: file.size, read }, { progress, signal: stop.signal })
    .then(() => localStorage.removeItem(keptAs(image)))
    .catch((error: unknown) => {
      // Stopped by the person who watches; the image waits.
      if (!isAbort(error)) onFailure(image, error);
    })
    .finally(() => {
      stops.delete(image);
      if (stops.size === 0) removeEventListener('beforeunload', warn);
      set(sendings.filter((each) => each.image !== image));
    });
}

/** The image stays and waits. */
export const stopSending = (image: string): void => stops.get(image)?.abort();

/** The browser asks before the page, and with it the file, is gone. */
const warn = (event: BeforeUnloadEvent): void => event.preventDefault();
