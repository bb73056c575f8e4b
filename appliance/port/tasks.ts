/** The API's own tasks and the box's as one list. */
import { isCroftError } from '../errors.ts';
import type { RemoteTasks, TaskView } from '../ports.ts';
import type { Tasks } from '../reconcile/tasks.ts';

/** What the API begins runs here (`own`); reading, cancelling and changes cover both. */
export const combineTasks = (own: Tasks, remote: RemoteTasks): TaskView => ({
  run: (about, work) => own.run(about, work),
  get: (id) => own.get(id) ?? remote.get(id),
  list: ({ state, limit = 100 } = {}) =>
    [own, remote]
      .flatMap((tasks) => tasks.list({ ...(state === undefined ? {} : { state }), limit }))
      .toSorted((a, b) => b.startedAt.localeCompare(a.startedAt) || b.id.localeCompare(a.id))
      .slice(0, limit),
  cancel: (id) => {
    try {
      return own.cancel(id);
    } catch (error) {
      if (!isCroftError(error, 'not-found')) throw error;
      return remote.cancel(id);
    }
  },
  subscribe: (listener) => {
    const stops = [own.subscribe(listener), remote.subscribe(listener)];
    return () => {
      for (const stop of stops) stop();
    };
  },
});
