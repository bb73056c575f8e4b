/**
 * Sagas: work of several steps that isn't idempotent as a whole and must end done or undone, also across
 * crashes. Only for that; all else is a reconciler.
 *
 * Before each step the cursor is in the journal, with the context that steps hand on to each other. After a
 * crash `resume` repeats the step the cursor names, so every action and undo must stand being done again,
 * whole or after being cut off half-way. A failed action is undone with all before it, backwards, its own
 * undo first. A failed undo keeps the record: `resume` tries it again.
 */
import { CroftError, isCroftError, messageOf, type ErrorCode } from '../errors.ts';

export type SagaStep<C> = {
  name: string;
  /** May change the context: what it adds is in the journal before the next step begins. */
  action: (context: C, signal: AbortSignal) => Promise<void>;
  /** Takes back what action did, wholly or in part or not at all. Absent: nothing to take back. */
  undo?: (context: C) => Promise<void>;
};

/** `C` is plain JSON. Steps of a released saga keep order and names: records of an older one may be resumed. */
export type Saga<C extends object> = { name: string; steps: readonly SagaStep<C>[] };

/** A durable map; box.db has one. What `put` returned from survives a crash. */
export type Journal = {
  get(key: string): string | undefined;
  put(key: string, value: string): void;
  delete(key: string): void;
  /** Keys and values whose key begins so, in order of key. */
  list(prefix: string): { key: string; value: string }[];
};

export type SagaRecord = {
  saga: string;
  id: string;
  context: object;
  direction: 'forward' | 'back';
  /** The step that is next to do, or next to undo. */
  cursor: number;
  /** Its name, by which a changed saga is told. */
  step: string;
  /** Why it goes back. */
  error?: { code: ErrorCode; detail: string };
};

const prefix = 'saga/';
const keyFor = (saga: string, id: string): string => `${prefix}${saga}/${id}`;

export type SagaRunner = {
  /**
   * Runs a saga to its end. `id` names this run; a run of that id that a crash cut off is gone on with.
   * `signal` is a person's cancel: the run is then undone. A service that stops just ends: `resume` goes on.
   * @returns the context when all steps are done.
   * @throws what the failed action threw, once all is undone; `invalid-state` when an undo failed too.
   */
  run<C extends object>(saga: Saga<C>, id: string, context: C, signal?: AbortSignal): Promise<C>;
  /** Brings all cut-off runs of these sagas to their end. @returns how each ended. */
  resume(
    sagas: readonly Saga<never>[],
  ): Promise<{ saga: string; id: string; outcome: 'done' | 'undone' | 'stuck'; error?: unknown }[]>;
  /** Runs not at their end. */
  pending(): SagaRecord[];
};

class UndoFailed extends CroftError {
  constructor(saga: string, step: string, cause: unknown) {
    super('invalid-state', `${saga}: step ${step} could not be undone: ${messageOf(cause)}`, {
      cause,
      fix: ['It is tried again when the service starts next; see the log for the cause.'],
    });
  }
}

/** @throws CroftError `invalid-state` when the saga's steps changed since the record was written. */
function checked<C extends object>(saga: Saga<C>, record: SagaRecord): SagaRecord {
  if ((saga.steps[record.cursor]?.name ?? '') === record.step) return record;
  throw new CroftError(
    'invalid-state',
    `${saga.name} ${record.id} was cut off at step ${record.step}, which this version does not have at that place.`,
    { fix: ['Start the version that began it, and let it end there.'] },
  );
}

export function createSagaRunner(journal: Journal): SagaRunner {
  const parse = (value: string): SagaRecord => JSON.parse(value) as SagaRecord;

  function save<C extends object>(record: SagaRecord, saga: Saga<C>, cursor: number): void {
    record.cursor = cursor;
    record.step = saga.steps[cursor]?.name ?? '';
    journal.put(keyFor(record.saga, record.id), JSON.stringify(record));
  }

  /** @throws what the action threw; the record then goes back. */
  async function forward<C extends object>(saga: Saga<C>, record: SagaRecord, signal: AbortSignal): Promise<void> {
    for (let cursor = record.cursor; cursor < saga.steps.length; cursor++) {
      if (cursor !== record.cursor) save(record, saga, cursor);
      try {
        signal.throwIfAborted();
        await saga.steps[cursor]?.action(record.context as C, signal);
      } catch (error) {
        record.direction = 'back';
        record.error = { code: isCroftError(error) ? error.code : 'internal', detail: messageOf(error) };
        save(record, saga, cursor);
        throw new ActionFailed(error);
      }
    }
  }

  async function back<C extends object>(saga: Saga<C>, record: SagaRecord): Promise<void> {
    for (let cursor = record.cursor; cursor >= 0; cursor--) {
      if (cursor !== record.cursor) save(record, saga, cursor);
      const step = saga.steps[cursor];
      try {
        await step?.undo?.(record.context as C);
      } catch (error) {
        throw new UndoFailed(saga.name, step?.name ?? '', error);
      }
    }
  }

  async function finish<C extends object>(saga: Saga<C>, record: SagaRecord, signal: AbortSignal): Promise<C> {
    let failure: ActionFailed | undefined;
    if (record.direction === 'forward') {
      try {
        await forward(saga, record, signal);
      } catch (error) {
        // What isn't an action's failure is the journal's: without it nothing may go on, in no direction.
        if (!(error instanceof ActionFailed)) throw error;
        failure = error;
      }
    }
    if (record.direction === 'back') await back(saga, record);
    journal.delete(keyFor(saga.name, record.id));
    if (failure) throw failure.error;
    if (record.direction === 'back') throw storedError(record);
    return record.context as C;
  }

  return {
    async run(saga, id, context, signal = new AbortController().signal) {
      const found = journal.get(keyFor(saga.name, id));
      const record: SagaRecord = found
        ? checked(saga, parse(found))
        : { saga: saga.name, id, context: structuredClone(context), direction: 'forward', cursor: 0, step: '' };
      if (!found) save(record, saga, 0);
      return finish(saga, record, signal);
    },
    async resume(sagas) {
      const outcomes: Awaited<ReturnType<SagaRunner['resume']>> = [];
      for (const { value } of journal.list(prefix)) {
        const record = parse(value);
        const saga = sagas.find(({ name }) => name === record.saga) as Saga<object> | undefined;
        if (!saga) continue;
        const about = { saga: record.saga, id: record.id };
        try {
          await finish(saga, checked(saga, record), new AbortController().signal);
          outcomes.push({ ...about, outcome: 'done' });
        } catch (error) {
          const undone = journal.get(keyFor(record.saga, record.id)) === undefined;
          outcomes.push({ ...about, outcome: undone ? 'undone' : 'stuck', error });
        }
      }
      return outcomes;
    },
    pending: () => journal.list(prefix).map(({ value }) => parse(value)),
  };
}

/** Tells an action's failure from the journal's. */
class ActionFailed extends Error {
  readonly error: unknown;
  constructor(error: unknown) {
    super(messageOf(error));
    this.error = error;
  }
}

const storedError = ({ saga, error }: SagaRecord): Error =>
  new CroftError(error?.code ?? 'internal', error?.detail ?? `${saga} was undone.`);

/** A journal in memory, for tests and for work that a crash may forget. */
export function memoryJournal(): Journal {
  const values = new Map<string, string>();
  return {
    get: (key) => values.get(key),
    put: (key, value) => void values.set(key, value),
    delete: (key) => void values.delete(key),
    list: (start) =>
      [...values]
        .filter(([key]) => key.startsWith(start))
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, value]) => ({ key, value })),
  };
}
