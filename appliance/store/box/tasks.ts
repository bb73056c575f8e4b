/**
 * Tasks in box.db. What runs lives in memory and is written when it begins and ends; progress is written at
 * most once a second, for a reader after a crash. What is 'running' when the store opens was cut off by the
 * end of the service and is marked failed, unless its work takes it up again with `resume`.
 */
import { CroftError, isCroftError, messageOf } from '../../errors.ts';
import type { Logger } from '../../host/logger.ts';
import { newId } from '../../resources/identity.ts';
import type { Task, TaskHandle, Tasks, TaskState, TaskStep } from '../../reconcile/tasks.ts';
import type { Database } from '../database.ts';
import { createListeners } from './listeners.ts';

export type BoxTasks = Tasks & {
  /**
   * Takes up a task that the end of the service cut off, under its id and with its progress.
   * Only for tasks that `interrupted` lists. @throws CroftError `not-found`, `invalid-state`
   */
  resume<T>(id: string, work: (handle: TaskHandle) => Promise<T>): Promise<T>;
  /** Tasks cut off by the end of the service before, which can be resumed until it ends again. */
  interrupted(): Task[];
  /** Cancels all and waits for them, at most 5 s. */
  stop(): Promise<void>;
};

type Running = { task: Task; controller: AbortController; ended: Promise<unknown>; written: number; stopping: boolean };

const writeEvery = 1_000;
const stopWait = 5_000;
/** Tasks ended between two trimmings. */
const stride = 50;
const interruption = { code: 'unavailable', detail: 'The service was ended before this task was done. Start it again.' };

/** ETA in whole seconds from the pace so far; undefined while it would be a guess. Pure. */
export function etaOf(startedAt: number, startedFrom: number, progress: number, now: number): number | undefined {
  const done = progress - startedFrom;
  const spent = now - startedAt;
  if (done < 0.02 || progress >= 1 || spent < 1_000) return undefined;
  return Math.max(1, Math.round(((spent / done) * (1 - progress)) / 1_000));
}

/** Steps kept of a task: work that goes round in circles must not fill the disk. */
const keptSteps = 60;
const shapeOf = (text: string): string => text.replaceAll(/[\d.]+( ?[kKMGT]i?B)?/g, '#');

/** The log with one more step; one that only counts on takes the place of the one before. Pure. */
export function withStep(log: readonly TaskStep[] = [], step: TaskStep): TaskStep[] {
  const last = log.at(-1);
  if (last && shapeOf(last.text) === shapeOf(step.text)) return [...log.slice(0, -1), { at: last.at, text: step.text }];
  // The beginning says what it was about; of what is between, the newest.
  return log.length < keptSteps ? [...log, step] : [...log.slice(0, 5), ...log.slice(6), step];
}

const copy = (task: Task): Task => structuredClone(task);

export function createTasks(
  database: Database,
  { now, logger, keep, keepFor }: { now: () => number; logger: Logger | undefined; keep: number; keepFor: number },
): BoxTasks {
  const running = new Map<string, Running>();
  const listeners = createListeners<Task>(logger);
  const cutOff = new Map<string, Task>();
  let endings = 0;
  let stopped = false;

  /** The record tells of the work; that it cannot be written (full disk) must not make the work fail. */
  function save(task: Task, durable: boolean): void {
    try {
      write(task, durable);
    } catch (error) {
      logger?.error({ err: error, task }, 'a task could not be stored');
    }
  }

  function write(task: Task, durable: boolean): void {
    // Work that outlasted our patience at stop.
    if (stopped) return;
    database.write(
      () => {
        const started = Date.parse(task.startedAt);
        database.run('INSERT OR REPLACE INTO tasks VALUES (?, ?, ?, ?)', task.id, task.state, started, JSON.stringify(task));
      },
      { durable },
    );
  }

  function trim(): void {
    database.write(() => {
      database.run(`DELETE FROM tasks WHERE state <> 'running' AND started < ?`, now() - keepFor);
      database.run(
        `DELETE FROM tasks WHERE state <> 'running' AND id NOT IN (SELECT id FROM tasks ORDER BY started DESC, id DESC LIMIT ?)`,
        keep,
      );
    });
  }

  function failInterrupted(): void {
    for (const { json } of database.all<{ json: string }>(`SELECT json FROM tasks WHERE state = 'running'`)) {
      const task = JSON.parse(json) as Task;
      cutOff.set(task.id, copy(task));
      delete task.etaSeconds;
      save({ ...task, state: 'failed', cancellable: false, error: interruption, endedAt: new Date(now()).toISOString() }, true);
    }
  }
  failInterrupted();
  trim();

  function settle(entry: Running, state: TaskState, error?: Task['error']): void {
    const { task } = entry;
    running.delete(task.id);
    delete task.etaSeconds;
    Object.assign(task, { state, cancellable: false, endedAt: new Date(now()).toISOString() });
    if (error) task.error = error;
    if (state === 'succeeded') task.progress = 1;
    save(task, true);
    listeners.call(copy(task));
    if (++endings % stride === 0 && !stopped) trim();
  }

  function handleOf(entry: Running): TaskHandle {
    const { task, controller } = entry;
    const [startedAt, startedFrom] = [now(), task.progress];
    return {
      id: task.id,
      signal: controller.signal,
      progress(fraction, step) {
        if (task.state !== 'running') return;
        // NaN comes of a size that is not known yet: it says nothing.
        if (Number.isFinite(fraction)) task.progress = Math.max(task.progress, Math.min(1, fraction));
        if (step !== undefined) {
          task.step = step;
          task.log = withStep(task.log, { at: new Date(now()).toISOString(), text: step });
        }
        const eta = etaOf(startedAt, startedFrom, task.progress, now());
        if (eta === undefined) delete task.etaSeconds;
        else task.etaSeconds = eta;
        if (now() - entry.written >= writeEvery) {
          entry.written = now();
          save(task, false);
        }
        listeners.call(copy(task));
      },
    };
  }

  async function carryOut<T>(task: Task, work: (handle: TaskHandle) => Promise<T>): Promise<T> {
    const settled = Promise.withResolvers<void>();
    const entry: Running = { task, controller: new AbortController(), ended: settled.promise, written: now(), stopping: false };
    running.set(task.id, entry);
    try {
      save(task, true);
      listeners.call(copy(task));
      const result = await work(handleOf(entry));
      settle(entry, 'succeeded');
      return result;
    } catch (error) {
      const failure = { code: isCroftError(error) ? error.code : 'internal', detail: messageOf(error) };
      if (entry.stopping) settle(entry, 'failed', interruption);
      else if (entry.controller.signal.aborted) settle(entry, 'cancelled');
      else settle(entry, 'failed', failure);
      throw error;
    } finally {
      running.delete(task.id);
      settled.resolve();
    }
  }

  function find(id: string): Task | undefined {
    const live = running.get(id)?.task;
    if (live) return copy(live);
    const row = database.get<{ json: string }>('SELECT json FROM tasks WHERE id = ?', id);
    return row && (JSON.parse(row.json) as Task);
  }

  function mustFind(id: string): Task {
    const task = find(id);
    if (!task) throw new CroftError('not-found', `There is no task ${id}.`);
    return task;
  }

  return {
    run({ id = newId(now()), verb, target, by, cancellable = false }, work) {
      const startedAt = new Date(now()).toISOString();
      const about = { verb, target: { ...target }, cancellable, ...(by === undefined ? {} : { by }) };
      return carryOut({ id, ...about, state: 'running', progress: 0, startedAt }, work);
    },
    async resume(id, work) {
      const before = cutOff.get(id);
      if (!before) {
        const { state } = mustFind(id);
        throw new CroftError('invalid-state', `Task ${id} is ${state} and was not cut off, so it cannot be taken up again.`);
      }
      cutOff.delete(id);
      return carryOut(before, work);
    },
    interrupted: () => [...cutOff.values()].map(copy),
    get: find,
    list({ state, limit = 100 } = {}) {
      const rows = database.all<{ id: string; json: string }>(
        'SELECT id, json FROM tasks WHERE state = coalesce(?, state) ORDER BY started DESC, id DESC LIMIT ?',
        state ?? null,
        limit,
      );
      return rows.map(({ id, json }) => copy(running.get(id)?.task ?? (JSON.parse(json) as Task)));
    },
    cancel(id) {
      const task = mustFind(id);
      if (task.state !== 'running') throw new CroftError('invalid-state', `Task ${id} has ended already: it is ${task.state}.`);
      if (!task.cancellable)
        throw new CroftError('invalid-state', `Task ${id} (${task.verb}) cannot be cancelled; it has to end by itself.`);
      running.get(id)?.controller.abort(new CroftError('invalid-state', `Task ${id} was cancelled.`));
      return mustFind(id);
    },
    subscribe: (listener) => listeners.add(listener),
    async stop() {
      for (const entry of running.values()) {
        entry.stopping = true;
        entry.controller.abort(new CroftError('unavailable', 'The service is stopping.'));
      }
      const all = Promise.all([...running.values()].map(({ ended }) => ended));
      let timer: NodeJS.Timeout | undefined;
      const patience = new Promise((resolve) => {
        timer = setTimeout(resolve, stopWait);
      });
      await Promise.race([all, patience]);
      clearTimeout(timer);
      stopped = true;
    },
  };
}
