/**
 * `croft cluster init`: from a box alone to a box on its own Kubernetes, guests running on. In two sagas, with a restart
 * of the service's parts between them, because nobody may write while resources move.
 *
 *   prepare  while everything serves: k3s put in place, started, our kinds put in. Undone when a step fails.
 *   move     before anything serves: resources copied out of SQLite, then `cluster.json` written. That one rename is
 *            the commit: until then the box is as it was, and the copies are taken away again when a step fails.
 *
 * Which of them is due stands in the box's journal, so a crash at any point goes on where it was. SQLite's file is
 * left as it was at the move. Pure of I/O itself: what the steps do is handed in (init-parts.ts).
 */
import type { Journal, Saga } from '../reconcile/saga.ts';
import type { InitRequest } from '../ports.ts';
import type { K3sWish } from './membership.ts';

export type InitContext = { request: InitRequest; wish: K3sWish };

/** Each may be repeated, whole or after being cut off. */
export type PrepareParts = {
  install(request: InitRequest): Promise<void>;
  uninstall(): Promise<void>;
  start(wish: K3sWish): Promise<void>;
  /** Ends k3s and removes what it made. */
  reset(wish: K3sWish): Promise<void>;
  installKinds(): Promise<void>;
};

export const prepareSaga = (parts: PrepareParts): Saga<InitContext> => ({
  name: 'cluster-prepare',
  steps: [
    { name: 'install', action: ({ request }) => parts.install(request), undo: () => parts.uninstall() },
    { name: 'start', action: ({ wish }) => parts.start(wish), undo: ({ wish }) => parts.reset(wish) },
    { name: 'kinds', action: () => parts.installKinds() },
  ],
});

export type MoveParts = {
  /** k3s may have been ended with the machine. */
  start(wish: K3sWish): Promise<void>;
  copy(): Promise<void>;
  discard(): Promise<void>;
  commit(wish: K3sWish): Promise<void>;
  revoke(): Promise<void>;
};

export const moveSaga = (parts: MoveParts): Saga<{ wish: K3sWish }> => ({
  name: 'cluster-move',
  steps: [
    { name: 'start', action: ({ wish }) => parts.start(wish) },
    { name: 'copy', action: () => parts.copy(), undo: () => parts.discard() },
    { name: 'commit', action: ({ wish }) => parts.commit(wish), undo: () => parts.revoke() },
  ],
});

/** The one run of each saga that a box has. */
export const runId = 'box';

/** What is due, and by which task it is told. */
export type PendingInit = { phase: 'prepare' | 'move'; task: string; context: InitContext };
/** Why the last try ended without a move. */
export type FailedInit = { at: string; code: string; detail: string };

const pendingKey = 'cluster/init';
const failedKey = 'cluster/init-failed';

const read = <T>(journal: Journal, key: string): T | undefined => {
  const text = journal.get(key);
  return text === undefined ? undefined : (JSON.parse(text) as T);
};

export const pendingInit = (journal: Journal): PendingInit | undefined => read(journal, pendingKey);
export const failedInit = (journal: Journal): FailedInit | undefined => read(journal, failedKey);

export function notePending(journal: Journal, pending: PendingInit): void {
  journal.put(pendingKey, JSON.stringify(pending));
  journal.delete(failedKey);
}

/** It is over. @param failure why without a move */
export function noteEnd(journal: Journal, failure?: FailedInit): void {
  if (failure) journal.put(failedKey, JSON.stringify(failure));
  journal.delete(pendingKey);
}
