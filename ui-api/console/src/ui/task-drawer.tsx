/** Tasks beside any page. The list is the API's, so it survives a reload and is the same in the CLI. */
import {
  NotificationDrawer,
  NotificationDrawerBody,
  NotificationDrawerHeader,
  NotificationDrawerList,
  NotificationDrawerListItem,
  NotificationDrawerListItemBody,
  NotificationDrawerListItemHeader,
} from '@patternfly/react-core';
import { useQuery } from '@tanstack/react-query';
import { Link } from 'react-router';
import type { Task } from '../../../client/types.ts';
import { client } from '../api/client.ts';
import { tasksQuery } from '../api/queries.ts';
import { useRefusal } from '../hooks/use-role.ts';
import { text } from '../i18n/text.ts';
import { ActionButton } from './action-button.tsx';
import { Age } from './age.tsx';
import { Empty } from './empty.tsx';
import { SendingList } from './sending-list.tsx';
import { TaskLog } from './task-log.tsx';
import { TaskProgress } from './task-progress.tsx';
import { notifyProblem } from './toasts.tsx';

const words: Record<string, string> = text.verbs;
export const verbWord = (verb: string): string => words[verb] ?? verb;

const variants = { running: 'info', succeeded: 'success', failed: 'danger', cancelled: 'warning' } as const;
const shownInDrawer = 30;

export const cancelTask = (task: Task): void => {
  client.tasks.act(task.id, 'cancel').catch((error: unknown) => notifyProblem(text.activity.cancel, error));
};

export function TaskDrawer({ onClose }: { onClose: () => void }) {
  const { data: tasks = [] } = useQuery(tasksQuery);
  const running = tasks.filter(({ state }) => state === 'running');
  const ended = tasks.filter(({ state }) => state !== 'running');
  return (
    <NotificationDrawer>
      <NotificationDrawerHeader
        title={text.drawer.title}
        customText=" "
        onClose={onClose}
        closeButtonAriaLabel={text.drawer.close}
      >
        <Link to="/activity">{text.drawer.all}</Link>
      </NotificationDrawerHeader>
      <NotificationDrawerBody>
        <SendingList />
        {tasks.length === 0 ? (
          <Empty title={text.drawer.empty}>{text.drawer.emptyDetail}</Empty>
        ) : (
          <NotificationDrawerList aria-label={text.drawer.title}>
            {[...running, ...ended].slice(0, shownInDrawer).map((task) => (
              <TaskItem key={task.id} task={task} />
            ))}
          </NotificationDrawerList>
        )}
      </NotificationDrawerBody>
    </NotificationDrawer>
  );
}

function TaskItem({ task }: { task: Task }) {
  const refusal = useRefusal()('operator');
  const variant = variants[task.state as keyof typeof variants] ?? 'info';
  return (
    <NotificationDrawerListItem variant={variant} isRead={task.state !== 'running'} isHoverable={false} tabIndex={-1}>
      <NotificationDrawerListItemHeader
        variant={variant}
        title={text.activity.taskLabel(verbWord(task.verb), task.target.name)}
        headingLevel="h3"
      />
      <NotificationDrawerListItemBody timestamp={<Age time={task.endedAt ?? task.startedAt} />}>
        <TaskProgress task={task} />
        <TaskLog task={task} />
        {task.state === 'running' && task.cancellable && (
          <ActionButton variant="link" isInline refusal={refusal} onClick={() => cancelTask(task)}>
            {text.activity.cancel}
          </ActionButton>
        )}
      </NotificationDrawerListItemBody>
    </NotificationDrawerListItem>
  );
}
