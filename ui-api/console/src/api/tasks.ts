/** The list of tasks as the stream changes it. Pure. */
import type { Task } from '../../../client/types.ts';

/** The list with this task's newest state, newest tasks first. */
export function upsertTask(tasks: readonly Task[], task: Task): Task[] {
  const index = tasks.findIndex(({ id }) => id === task.id);
  if (index < 0) return [task, ...tasks];
  return tasks.with(index, task);
}
