/** The two releases of an installed box: which runs, which starts next, an update under way, and the way back. */
import { Alert, Card, CardBody, CardTitle } from '@patternfly/react-core';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import type { Releases } from '../../../../client/types.ts';
import { client } from '../../api/client.ts';
import { queryClient, releasesQuery, tasksQuery } from '../../api/queries.ts';
import { UpdateBox } from '../../forms/update-box.tsx';
import { formatTime } from '../../format.ts';
import { useRefusal } from '../../hooks/use-role.ts';
import { text } from '../../i18n/text.ts';
import { ActionButton } from '../../ui/action-button.tsx';
import { useConfirm } from '../../ui/confirm.tsx';
import { Empty } from '../../ui/empty.tsx';
import { Loaded } from '../../ui/loaded.tsx';
import { ResourceTable } from '../../ui/resource-table.tsx';
import { StateLabel } from '../../ui/state-label.tsx';
import type { Column } from '../../ui/table-sort.ts';
import { TaskProgress } from '../../ui/task-progress.tsx';
import { notify } from '../../ui/toasts.tsx';

type Slot = Releases['slots'][number];

const columns: readonly Column<Slot>[] = [
  { id: 'slot', title: text.updates.slot, cell: ({ slot }) => <strong>{slot}</strong> },
  { id: 'state', title: text.common.state, cell: ({ state }) => <StateLabel state={state} /> },
  { id: 'version', title: text.updates.version, cell: ({ version }) => version ?? '–' },
  { id: 'built', title: text.updates.built, cell: ({ builtAt }) => (builtAt === undefined ? '–' : formatTime(builtAt)) },
];

const changed = (): void => void queryClient.invalidateQueries({ queryKey: releasesQuery.queryKey });

export function UpdatesTab() {
  const query = useQuery(releasesQuery);
  return (
    <Loaded query={query} what={text.updates.title}>
      {(releases) =>
        releases.refusal === undefined ? (
          <Slots releases={releases} />
        ) : (
          <Empty title={text.updates.none}>{releases.refusal}</Empty>
        )
      }
    </Loaded>
  );
}

function Slots({ releases: { slots, confirmed, taskId } }: { releases: Releases }) {
  const [isUpdating, setUpdating] = useState(false);
  const { ask, question } = useConfirm();
  const refusal = useRefusal()('admin');
  const { data: tasks = [] } = useQuery(tasksQuery);
  const task = tasks.find(({ id }) => id === taskId);
  const state = task?.state;
  // Its end changes what the slots hold.
  useEffect(() => {
    if (state !== undefined && state !== 'running') changed();
  }, [state]);
  const has = (wanted: string): boolean => slots.some((slot) => slot.state === wanted);
  const isBusy = taskId !== undefined;
  const send = (method: 'POST' | 'DELETE', path: string) => async () => {
    await client.request(method, path, method === 'POST' ? { body: {} } : {});
    changed();
  };
  const takeBack = () =>
    ask({
      title: text.updates.abortTitle,
      body: text.updates.abortBody,
      submit: text.updates.abort,
      run: send('DELETE', '/v1/node/update'),
    });
  const goBack = () =>
    ask({
      title: text.updates.backTitle,
      body: text.updates.backBody,
      submit: text.updates.back,
      run: send('POST', '/v1/node/rollback'),
    });
  const restart = () =>
    ask({
      title: text.updates.restartTitle,
      body: text.updates.restartBody,
      submit: text.updates.restart,
      run: async () => {
        await send('POST', '/v1/node/restart')();
        notify({ variant: 'success', title: text.updates.restarting });
      },
    });
  return (
    <div className="croft-stack">
      {!confirmed && <Alert variant="info" isInline title={text.updates.unconfirmed} />}
      <Card isCompact className="croft-card">
        <CardTitle component="h2">{text.updates.title}</CardTitle>
        <CardBody className="croft-stack">
          <p>{text.updates.how}</p>
          <ResourceTable
            label={text.updates.title}
            rows={slots}
            columns={columns}
            idOf={({ slot }) => slot}
            nameOf={({ slot }) => slot}
            empty={<Empty title={text.updates.empty} level="h3" />}
          />
          {task && <TaskProgress task={task} />}
        </CardBody>
      </Card>
      <div className="croft-actions">
        {!isBusy && confirmed && (
          <ActionButton variant="primary" refusal={refusal} onClick={() => setUpdating(true)}>
            {text.updates.update}
          </ActionButton>
        )}
        {(isBusy || has('next')) && (
          <ActionButton variant="secondary" refusal={refusal} onClick={takeBack}>
            {text.updates.abort}
          </ActionButton>
        )}
        {!isBusy && has('ready') && (
          <ActionButton variant="secondary" refusal={refusal} onClick={goBack}>
            {text.updates.back}
          </ActionButton>
        )}
        {!isBusy && (
          <ActionButton variant="secondary" refusal={refusal} onClick={restart}>
            {text.updates.restart}
          </ActionButton>
        )}
      </div>
      {isUpdating && (
        <UpdateBox
          onDone={() => {
            notify({ variant: 'success', title: text.updates.begun });
            changed();
          }}
          onClose={() => setUpdating(false)}
        />
      )}
      {question}
    </div>
  );
}
