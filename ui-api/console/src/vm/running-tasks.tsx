/** What is being done to a VM now: the tasks of the drawer, at the machine they are about. */
import { Alert, Button } from '@patternfly/react-core';
import { useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import type { Task, Vm } from '../../../client/types.ts';
import { tasksQuery } from '../api/queries.ts';
import { useRefusal } from '../hooks/use-role.ts';
import { text } from '../i18n/text.ts';
import { SendingList } from '../ui/sending-list.tsx';
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

/** Images that an import makes for the disks of a VM (appliance/ovf/plan.ts). */
const isDiskOf = (vm: Vm) => (image: string) => image.startsWith(`${vm.name}-`) && image.endsWith('-import');

export function RunningTask({ vm }: { vm: Vm }) {
  const task = useVmTasks().get(vmKey(vm));
  const refusal = useRefusal()('operator');
  return (
    <>
      <SendingList of={isDiskOf(vm)} />
      {task && (
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
      )}
    </>
  );
}
