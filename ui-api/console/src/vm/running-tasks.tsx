/** What is being done to a VM now: the tasks of the drawer, at the machine they are about. */
import { Alert, Button } from '@patternfly/react-core';
import { useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import type { Task, Vm } from '../../../client/types.ts';
import { tasksQuery } from '../api/queries.ts';
import { useRefusal } from '../hooks/use-role.ts';
import { text } from '../i18n/text.ts';
import { cancelTask, verbWord } from '../ui/task-drawer.tsx';
import { TaskProgress } from '../ui/task-progress.tsx';
import { vmKey } from './state.ts';

/** Running tasks by the VM's key. */
export function useVmTasks(): ReadonlyMap<string, Task> {
  const { data: tasks } = useQuery(tasksQuery);
  return useMemo(
    () =>
      new Map(
        (tasks ?? [])
          .filter(({ state, target }) => state === 'running' && target.kind === 'VirtualMachine')
          .map((task) => [vmKey({ name: task.target.name, project: task.target.project ?? 'default' }), task]),
      ),
    [tasks],
  );
}

/** `Migrating 64 %: sending memory`. */
export const taskWords = ({ verb, progress, step }: Task): string =>
  text.activity.running(verbWord(verb), Math.round(progress * 100), step ?? '');

export function RunningTask({ vm }: { vm: Vm }) {
  const task = useVmTasks().get(vmKey(vm));
  const refusal = useRefusal()('operator');
  if (!task) return null;
  return (
    <Alert
      variant="info"
      isInline
      title={text.activity.taskLabel(verbWord(task.verb), task.target.name)}
      className="croft-why"
      actionLinks={
        task.cancellable && (
          <Button variant="link" isInline isDisabled={refusal !== undefined} onClick={() => cancelTask(task)}>
            {text.activity.cancel}
          </Button>
        )
      }
    >
      <TaskProgress task={task} />
    </Alert>
  );
}
