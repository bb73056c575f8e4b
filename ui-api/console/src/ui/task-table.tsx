import { useQuery } from '@tanstack/react-query';
import type { Task } from '../../../client/types.ts';
import { tasksQuery } from '../api/queries.ts';
import { useRefusal } from '../hooks/use-role.ts';
import { includesText } from '../format.ts';
import { text } from '../i18n/text.ts';
import { Age } from './age.tsx';
import { Empty } from './empty.tsx';
import { Loaded } from './loaded.tsx';
import { ResourceTable } from './resource-table.tsx';
import { StateLabel } from './state-label.tsx';
import { cancelTask, verbWord } from './task-drawer.tsx';
import { TaskLog } from './task-log.tsx';
import { TaskProgress } from './task-progress.tsx';
import type { Column } from './table-sort.ts';

const columns: readonly Column<Task>[] = [
  {
    id: 'what',
    title: text.activity.what,
    sortValue: ({ verb }) => verb,
    cell: ({ verb, target }) => (
      <>
        {verbWord(verb)} <strong>{target.name}</strong>
      </>
    ),
  },
  {
    id: 'state',
    title: text.common.state,
    sortValue: ({ state }) => state,
    cell: ({ state }) => <StateLabel state={state === 'running' ? 'pending' : state} />,
  },
  { id: 'progress', title: text.activity.progress, width: 30, cell: (task) => <Progressing task={task} /> },
  { id: 'by', title: text.activity.who, cell: ({ by }) => by ?? '–' },
  {
    id: 'started',
    title: text.activity.when,
    sortValue: ({ startedAt }) => startedAt,
    cell: ({ startedAt }) => <Age time={startedAt} />,
  },
];

const Progressing = ({ task }: { task: Task }) => (
  <>
    <TaskProgress task={task} />
    <TaskLog task={task} />
  </>
);

export function TaskTable() {
  const query = useQuery(tasksQuery);
  const refusal = useRefusal()('operator');
  return (
    <Loaded query={query} what={text.activity.tabs.tasks}>
      {(tasks) => (
        <ResourceTable
          label={text.activity.tabs.tasks}
          rows={tasks}
          columns={columns}
          idOf={({ id }) => id}
          nameOf={({ verb, target }) => `${verb} ${target.name}`}
          matches={({ verb, target, state }, filter) => includesText(filter, verb, target.name, state)}
          actions={(task) => [
            {
              id: 'cancel',
              label: text.activity.cancel,
              refusal: refusal ?? (task.state === 'running' && task.cancellable ? undefined : text.activity.notCancellable),
              run: () => cancelTask(task),
            },
          ]}
          empty={<Empty title={text.activity.noTasks}>{text.activity.noTasksDetail}</Empty>}
        />
      )}
    </Loaded>
  );
}
