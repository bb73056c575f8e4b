/**
 * Waiting for work to end: one progress line, a deadline, and Ctrl-C that stops the waiting only. The API does the
 * waiting (`?waitFor=`) in slices of a few seconds, so that the line lives, an ended connection costs little, and a
 * restart of the service (guests live through it) is bridged.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiProblem, isAbort, Unreachable } from '../client/problem.ts';
import type { Task, Vm } from '../client/types.ts';
import { CliError, exitCodes, usageError } from './exit.ts';
import { defaultTimeout } from './options.ts';
import type { Session } from './session.ts';

/** Seconds one request may wait at the API. */
const slice = 5;
/** ms for which the API may be away during a wait: a restart of the service fits in. */
const patience = 20_000;
/** ms between looks when the API answers at once. */
const pause = 250;

export type Wait<T> = {
  /** "VM t1", for messages. */
  what: string;
  /** "running", for messages. */
  goal: string;
  /** The object as it is now; may take up to `seconds` in the API. Undefined: it does not exist. */
  look(seconds: number): Promise<T | undefined>;
  reached(object: T | undefined): boolean;
  /** Its state in a few words. */
  describe(object: T | undefined): string;
  /** Why it will never get there. */
  hopeless?(object: T | undefined): string | undefined;
  /** The command that waits again. */
  resume: string;
  /** ms for which the API may be away; default 20 s. */
  patience?: number;
};

/** Waits and returns the object. @throws CliError 1 when hopeless, 6 on timeout, 130 on Ctrl-C; ApiProblem, Unreachable */
export async function waitUntil<T>(session: Session, wait: Wait<T>): Promise<T | undefined> {
  const started = Date.now();
  const deadline = started + (session.options.timeout ?? defaultTimeout);
  let lastAnswer = started;
  let doubts = 0;
  let state = 'waiting';
  try {
    for (;;) {
      session.io.signal.throwIfAborted();
      const left = deadline - Date.now();
      const begun = Date.now();
      try {
        const object = await wait.look(Math.max(1, Math.min(slice, Math.ceil(left / 1000))));
        lastAnswer = Date.now();
        state = wait.describe(object);
        if (wait.reached(object)) {
          session.progress.done(`${wait.what} is ${wait.goal} (${((Date.now() - started) / 1000).toFixed(1)} s).`);
          return object;
        }
        // A failed state may be passing (memory coming free just now): it counts when seen twice.
        const reason = wait.hopeless?.(object);
        doubts = reason === undefined ? 0 : doubts + 1;
        if (reason !== undefined && doubts > 1) throw new CliError(exitCodes.failed, `${wait.what}: ${reason}`);
      } catch (error) {
        if (!(error instanceof Unreachable) || Date.now() - lastAnswer > (wait.patience ?? patience)) throw error;
        state = 'the API does not answer; trying again';
      }
      if (Date.now() >= deadline) {
        const seconds = Math.round((Date.now() - started) / 1000);
        throw new CliError(exitCodes.timeout, `${wait.what} is not ${wait.goal} after ${seconds} s: ${state}.`, [
          `The work goes on. To wait again: ${wait.resume}`,
        ]);
      }
      session.progress.update(`${wait.what}: ${state} … ${Math.round((Date.now() - started) / 1000)} s`);
      if (Date.now() - begun < pause) await sleep(Math.min(pause, Math.max(1, deadline - Date.now())), undefined, session.io);
    }
  } catch (error) {
    session.progress.clear();
    if (!isAbort(error)) throw error;
    throw new CliError(exitCodes.interrupted, `Stopped waiting for ${wait.what}; the work goes on.`, [
      `To wait again: ${wait.resume}`,
    ]);
  }
}

/** `undefined` instead of a 404. */
export async function orMissing<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof ApiProblem && error.status === 404) return undefined;
    throw error;
  }
}

const vmStates = [
  'stopped',
  'provisioning',
  'starting',
  'running',
  'paused',
  'stopping',
  'terminating',
  'crash-loop-back-off',
  'migrating',
  'unknown',
  'error-unschedulable',
  'data-volume-error',
];

type VmGoal = { waitFor: string; goal: string; reached(vm: Vm): boolean };

/** What `croft vm wait` accepts: `ip`, `agent`, `state=X`, or a state by its name. @throws CliError usage */
export function parseVmGoal(text: string): VmGoal {
  if (text === 'ip') return { waitFor: 'ip', goal: 'addressed', reached: (vm) => (vm.addresses?.length ?? 0) > 0 };
  if (text === 'agent') {
    const connected = (vm: Vm) =>
      vm.conditions?.some(({ type, status }) => type === 'AgentConnected' && status === 'True') ?? false;
    return { waitFor: 'agent', goal: 'connected by its guest agent', reached: connected };
  }
  const state = text.replace(/^state=/, '');
  if (!vmStates.includes(state)) {
    throw usageError(
      `${JSON.stringify(text)} cannot be waited for.`,
      `Use ip, agent, deleted, or a state: ${vmStates.join(', ')}.`,
    );
  }
  return { waitFor: state === 'running' ? 'running' : `state=${state}`, goal: state, reached: (vm) => vm.state === state };
}

const failedStates = ['error-unschedulable', 'data-volume-error', 'crash-loop-back-off'];

export type VmWaitOptions = { /** Give up when the VM cannot get there by itself. */ failEarly?: boolean };

export async function waitForVm(session: Session, name: string, goal: VmGoal, options: VmWaitOptions = {}): Promise<Vm> {
  const { waitFor } = goal;
  const vm = await waitUntil<Vm>(session, {
    what: `VM ${name}`,
    goal: goal.goal,
    look: (timeoutSeconds) =>
      session.client.vms
        .get(name, { ...session.project, waitFor, timeoutSeconds }, session.io.signal)
        .catch(lookAgain(session, name)),
    reached: (object) => object !== undefined && goal.reached(object),
    describe: (object) => [object?.state ?? 'missing', object?.reason].filter(Boolean).join(': '),
    hopeless: (object) =>
      options.failEarly && object && failedStates.includes(object.state)
        ? `${object.state}${object.reason ? `: ${object.reason}` : ''}. See: croft vm explain ${name}`
        : undefined,
    resume: `croft vm wait ${name} ${waitFor}`,
  });
  return vm as Vm;
}

/** The API may end its own wait with an error (408, 504): the present state is asked for then. */
const lookAgain = (session: Session, name: string) => (error: unknown) => {
  if (error instanceof ApiProblem && (error.status === 408 || error.status === 504)) {
    return session.client.vms.get(name, session.project, session.io.signal);
  }
  throw error;
};

/** Waits until `look` finds nothing. */
export const waitUntilGone = (session: Session, what: string, look: () => Promise<object | undefined>, resume: string) =>
  waitUntil<object>(session, {
    what,
    goal: 'deleted',
    look,
    reached: (object) => object === undefined,
    describe: (object) => (object && 'state' in object ? String(object.state) : 'deleting'),
    resume,
  });

/** Waits for a task. @throws CliError 1 with the task's own error */
export async function waitForTask(session: Session, id: string): Promise<Task> {
  const what = `Task ${id}`;
  const task = await waitUntil<Task>(session, {
    what,
    goal: 'ended',
    look: async (seconds) => {
      const headers = { prefer: `wait=${seconds}` };
      return (
        await session.client.request<Task>('GET', `/v1/tasks/${encodeURIComponent(id)}`, { headers, signal: session.io.signal })
      ).body;
    },
    reached: (object) => object !== undefined && object.state !== 'running',
    describe: (object) => `${object?.step ?? object?.verb ?? ''} ${Math.round((object?.progress ?? 0) * 100)} %`.trim(),
    resume: `croft task watch ${id}`,
  });
  if (task?.state !== 'succeeded') {
    throw new CliError(exitCodes.failed, `${what} ${task?.state}: ${task?.error?.detail ?? 'no reason was given'}`);
  }
  return task;
}

/** The task an answer speaks of: by its body, or by its Location. */
export function taskIdOf(answer: { body?: unknown; location?: string }): string | undefined {
  const fromLocation = /\/v1\/tasks\/([^/?]+)/.exec(answer.location ?? '')?.[1];
  const body = answer.body as { kind?: string; id?: string; taskId?: string } | undefined;
  return fromLocation ?? body?.taskId ?? (body?.kind === 'Task' ? body.id : undefined);
}
