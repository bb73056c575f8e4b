/** Tasks: long work with true progress, one record for drawer, CLI and API. Box-local; implementation in box-store. */
export type TaskState = 'running' | 'succeeded' | 'failed' | 'cancelled';

export type Task = {
  id: string;
  /** What is done, in a verb: `image.build`, `vm.import`. */
  verb: string;
  /** What it is done to: `{kind, name, project}`. */
  target: { kind: string; name: string; project?: string };
  state: TaskState;
  /** 0 to 1; never goes back. */
  progress: number;
  /** The present step in words. */
  step?: string;
  etaSeconds?: number;
  cancellable: boolean;
  error?: { code: string; detail: string };
  startedAt: string;
  endedAt?: string;
  by?: string;
  /** The steps it went through, oldest first; bounded. */
  log?: TaskStep[];
};

/** A step and when it began. */
export type TaskStep = { at: string; text: string };

/** What a running piece of work may say about itself. */
export type TaskHandle = {
  readonly id: string;
  /** Aborts when the task is cancelled or the service stops. */
  readonly signal: AbortSignal;
  /** `fraction` 0 to 1, `step` in words. */
  progress(fraction: number, step?: string): void;
};

export interface Tasks {
  /** Runs `work` as a task. Its failure is recorded and thrown on. */
  run<T>(
    /** `id`: a fresh one where something else has to name the task before it begins. */
    about: Pick<Task, 'verb' | 'target'> & { id?: string; by?: string; cancellable?: boolean },
    work: (handle: TaskHandle) => Promise<T>,
  ): Promise<T>;
  get(id: string): Task | undefined;
  list(query?: { state?: TaskState; limit?: number }): Task[];
  /** @throws CroftError `not-found`, `invalid-state` */
  cancel(id: string): Task;
  /** Calls back at every change; returns the way to stop. */
  subscribe(listener: (task: Task) => void): () => void;
}
