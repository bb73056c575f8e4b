/**
 * Files on their way from this browser to the box.
 *
 * Theory of operation: one that is being sent belongs to the page as a whole, not to the dialog that began it: it goes
 * on while one looks at other things, and after a broken connection from where it ended (client/upload.ts). A few are
 * sent at once, the others wait for their turn: the browser has few connections to one box, and they share one cable.
 * Closing the page loses the files, as browsers give none back; the image then waits, and the same file, chosen again,
 * goes on. What was begun is remembered here by name, size, date and part, so that no other file is sent behind its
 * first half.
 */
import { useSyncExternalStore } from 'react';
import { sendUpload } from '../../../client/upload.ts';
import { isAbort } from '../../../client/problem.ts';
import type { Image } from '../../../client/types.ts';
import { client } from './client.ts';

/** `done` and `total` in bytes. */
export type Sending = { image: string; done: number; total: number; isWaiting: boolean };

/** What of a file is sent: a disk in an OVA is a part of it. */
export type Part = { offset: number; length: number };

type Hooks = { onFailure: (image: string, error: unknown) => void };
type Job = { image: string; bytes: Blob; stop: AbortController; hooks: Hooks };
type Mark = { name: string; size: number; lastModified: number; part?: Part };

const atOnce = 2;

let sendings: readonly Sending[] = [];
let waiting: readonly Job[] = [];
const running = new Map<string, Job>();
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

function markOf(image: string): Mark | undefined {
  try {
    return JSON.parse(localStorage.getItem(keptAs(image)) ?? 'null') ?? undefined;
  } catch {
    // Written by an older console, or by somebody else: as good as not known.
    return undefined;
  }
}

/** What this page sends now. */
export const useSendings = (): readonly Sending[] => useSyncExternalStore(subscribe, () => sendings);

/** True for an image whose bytes are not all there and that nobody sends from here. */
export const isWaiting = ({ name, source, state }: Image, now: readonly Sending[]): boolean =>
  'upload' in source && ['pending', 'fetching'].includes(state) && !now.some(({ image }) => image === name);

/** False for another file than the one that was begun; true also where that isn't known. */
export function isSameFile(image: string, { name, size, lastModified }: File): boolean {
  const mark = markOf(image);
  return mark === undefined || (mark.name === name && mark.size === size && mark.lastModified === lastModified);
}

/** Which part of the file an image is made of, where it is one. */
export const partOf = (image: string): Part | undefined => markOf(image)?.part;

/** Sends in the background; `image` is there and waits for its bytes. */
export function startSending(image: string, file: File, hooks: Hooks, part?: Part): void {
  const { name, size, lastModified } = file;
  localStorage.setItem(keptAs(image), JSON.stringify({ name, size, lastModified, part } satisfies Mark));
  const bytes = part ? file.slice(part.offset, part.offset + part.length) : file;
  if (running.size + waiting.length === 0) addEventListener('beforeunload', warn);
  waiting = [...waiting, { image, bytes, stop: new AbortController(), hooks }];
  set([...sendings.filter((each) => each.image !== image), { image, done: 0, total: bytes.size, isWaiting: true }]);
  sendNext();
}

function sendNext(): void {
  const [job, ...rest] = waiting;
  if (!job || running.size >= atOnce) return;
  waiting = rest;
  running.set(job.image, job);
  void send(job).finally(() => {
    running.delete(job.image);
    ended(job.image);
    sendNext();
  });
  sendNext();
}

async function send({ image, bytes, stop, hooks }: Job): Promise<void> {
  const progress = (done: number, total: number) =>
    set(sendings.map((each) => (each.image === image ? { image, done, total, isWaiting: false } : each)));
  progress(0, bytes.size);
  const read = async (offset: number, length: number) => new Uint8Array(await bytes.slice(offset, offset + length).arrayBuffer());
  try {
    await sendUpload(client, image, { size: bytes.size, read }, { progress, signal: stop.signal });
    localStorage.removeItem(keptAs(image));
  } catch (error) {
    // Stopped by the person who watches; the image waits.
    if (!isAbort(error)) hooks.onFailure(image, error);
  }
}

function ended(image: string): void {
  if (running.size + waiting.length === 0) removeEventListener('beforeunload', warn);
  set(sendings.filter((each) => each.image !== image));
}

/** The image stays and waits. */
export function stopSending(image: string): void {
  running.get(image)?.stop.abort();
  if (!waiting.some((job) => job.image === image)) return;
  waiting = waiting.filter((job) => job.image !== image);
  ended(image);
}

/** The browser asks before the page, and with it the files, are gone. */
const warn = (event: BeforeUnloadEvent): void => event.preventDefault();
