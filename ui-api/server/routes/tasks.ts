/** /v1/tasks: long work, its progress and its end. */
import { Type } from 'typebox';
import { CroftError } from '../../../appliance/errors.ts';
import type { TaskView } from '../../../appliance/ports.ts';
import type { Task as TaskRecord } from '../../../appliance/reconcile/tasks.ts';
import { Page, strict } from '../../schemas/common.ts';
import { Task } from '../../schemas/objects.ts';
import { EmptyBody } from '../../schemas/vm.ts';
import type { AppContext, Server } from '../context.ts';
import { projectTask, projectTaskShortly } from '../projections/task.ts';

const TaskParams = Type.Object({ id: Type.String({ minLength: 1, maxLength: 64 }) });
const longestWait = 600;

/** Seconds of `Prefer: wait=30` (RFC 7240); 0 without. */
export const preferredWait = (header: string | string[] | undefined): number =>
  Math.min(longestWait, Number(/(?:^|[,;\s])wait\s*=\s*(\d{1,6})/.exec(String(header ?? ''))?.[1] ?? 0));

/** The task once it has ended, or as it is after `seconds` or when `signal` aborts. */
async function settled(tasks: TaskView, id: string, seconds: number, signal: AbortSignal): Promise<TaskRecord | undefined> {
  const now = tasks.get(id);
  if (!now || now.state !== 'running' || seconds === 0) return now;
  await new Promise<void>((resolve) => {
    const end = (): void => {
      stop();
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, seconds * 1000);
    const stop = tasks.subscribe((task) => {
      if (task.id === id && task.state !== 'running') end();
    });
    signal.addEventListener('abort', end);
  });
  return tasks.get(id);
}

export function taskRoutes(app: Server, { tasks }: AppContext): void {
  app.get('/v1/tasks', {
    config: { permission: 'viewer' },
    schema: {
      summary: 'List tasks, newest first',
      querystring: Type.Object(
        {
          state: Type.Optional(Type.Enum(['running', 'succeeded', 'failed', 'cancelled'])),
          limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
          pageToken: Type.Optional(Type.String({ maxLength: 64 })),
        },
        strict,
      ),
      response: { 200: Page(Task) },
    },
    handler: async ({ query }) => ({
      items: tasks.list({ state: query.state, limit: query.limit ?? 100 }).map(projectTaskShortly),
    }),
  });

  app.get('/v1/tasks/:id', {
    config: { permission: 'viewer' },
    schema: { summary: 'Read a task; Prefer: wait=<seconds> waits for its end', params: TaskParams, response: { 200: Task } },
    handler: async ({ params, headers }, reply) => {
      const gone = new AbortController();
      reply.raw.once('close', () => gone.abort());
      const seconds = preferredWait(headers.prefer);
      const task = await settled(tasks, params.id, seconds, gone.signal);
      if (!task) throw new CroftError('not-found', `There is no task ${params.id}.`);
      if (seconds > 0) reply.header('preference-applied', `wait=${seconds}`);
      return projectTask(task);
    },
  });

  app.post('/v1/tasks/:id/cancel', {
    config: { permission: 'operator', transient: true },
    schema: { summary: 'Cancel a task', params: TaskParams, body: EmptyBody, response: { 202: Task } },
    handler: async ({ params }, reply) => {
      reply.code(202);
      return projectTask(await tasks.cancel(params.id));
    },
  });
}
