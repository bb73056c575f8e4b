/**
 * Copies of closed volumes under way, by the id of their move. They live no longer than the service: a move whose copy
 * is not here begins it anew.
 */
import type { BlockdevGraph } from '../../../storage/driver.ts';
import { messageOf } from '../../errors.ts';
import type { Logger } from '../../host/logger.ts';
import type { CopyClosed } from './copy-closed.ts';
import type { Copier } from './plan-move.ts';

export type CopyWish = {
  moveId: string;
  /** `namespace/name` of the move. */
  key: string;
  source: BlockdevGraph;
  target: BlockdevGraph;
  owner: { uid: number; gid: number } | undefined;
  /** Told of at most once a second; 0 to 1. */
  report: (progress: number) => Promise<void>;
};

export type Copies = {
  stateOf(moveId: string): Copier | undefined;
  start(wish: CopyWish): void;
  /** Resolves when it has ended, and it is as if it had never begun. */
  cancel(moveId: string): Promise<void>;
  forget(moveId: string): void;
  stop(): Promise<void>;
};

type Entry = { state: Copier; controller: AbortController; ended: Promise<void> };

const reportInterval = 1_000;

/** `onEnd` is called with the move's key when its copy has ended. */
export function createCopies(
  copyClosed: CopyClosed,
  { onEnd, retire, logger }: { onEnd: (key: string) => void; retire: (moveId: string) => Promise<void>; logger: Logger },
): Copies {
  const entries = new Map<string, Entry>();

  async function carryOut({ moveId, key, report, ...copy }: CopyWish, entry: Entry): Promise<void> {
    let reported = 0;
    const progress = (done: number, total: number): void => {
      if (Date.now() - reported < reportInterval) return;
      reported = Date.now();
      void report(done / total);
    };
    try {
      await copyClosed({ ...copy, signal: entry.controller.signal, progress });
      entry.state = { state: 'done' };
    } catch (error) {
      if (!entry.controller.signal.aborted) logger.warn({ err: error, move: key }, 'a volume could not be copied');
      entry.state = { state: 'failed', error: messageOf(error) };
    }
    await retire(moveId).catch((error: unknown) => logger.warn({ err: error }, 'the user id of a copy stays taken'));
    if (!entry.controller.signal.aborted) onEnd(key);
  }

  const cancel = async (moveId: string): Promise<void> => {
    const entry = entries.get(moveId);
    entry?.controller.abort();
    await entry?.ended;
    entries.delete(moveId);
  };

  return {
    stateOf: (moveId) => entries.get(moveId)?.state,
    start(wish) {
      const entry: Entry = { state: { state: 'running' }, controller: new AbortController(), ended: Promise.resolve() };
      entries.set(wish.moveId, entry);
      entry.ended = carryOut(wish, entry);
    },
    cancel,
    forget: (moveId) => void entries.delete(moveId),
    async stop() {
      await Promise.all([...entries.keys()].map(cancel));
    },
  };
}
