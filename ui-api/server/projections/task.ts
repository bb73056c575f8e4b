/** A task as `/v1` shows it. Pure. */
import type { Task } from '../../../appliance/reconcile/tasks.ts';

export const projectTask = (task: Task) => ({ kind: 'task' as const, ...task });

/** In lists and streams: without its log, which is asked for where it is read. */
export const projectTaskShortly = ({ log: _log, ...task }: Task) => projectTask(task);
