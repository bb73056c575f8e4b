/** Snapshots of one VM: take, put back, make a new VM of, delete. */
import CameraIcon from '@patternfly/react-icons/dist/esm/icons/camera-icon';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { Snapshot, Vm } from '../../../../client/types.ts';
import { client } from '../../api/client.ts';
import { snapshotsQuery } from '../../api/queries.ts';
import { CloneVm } from '../../forms/clone-vm.tsx';
import { TakeSnapshot } from '../../forms/take-snapshot.tsx';
import { formatBytes } from '../../format.ts';
import { useRefusal } from '../../hooks/use-role.ts';
import { text } from '../../i18n/text.ts';
import { ActionButton } from '../../ui/action-button.tsx';
import { Age } from '../../ui/age.tsx';
import { Confirm, type Confirmation } from '../../ui/confirm.tsx';
import { Empty } from '../../ui/empty.tsx';
import { Loaded } from '../../ui/loaded.tsx';
import { ResourceTable } from '../../ui/resource-table.tsx';
import { StateReason } from '../../ui/state-label.tsx';
import type { Column } from '../../ui/table-sort.ts';
import { can } from '../state.ts';

const columns: readonly Column<Snapshot>[] = [
  { id: 'name', title: text.common.name, sortValue: ({ name }) => name, cell: ({ name }) => <strong>{name}</strong> },
  {
    id: 'state',
    title: text.common.state,
    sortValue: ({ state }) => state,
    cell: ({ state, reason }) => <StateReason state={state} reason={state === 'ready' ? undefined : reason} />,
  },
  {
    id: 'consistency',
    title: text.snapshots.consistency,
    cell: ({ consistency }) => (consistency ? text.snapshots.consistencies[consistency] : '–'),
  },
  { id: 'size', title: text.snapshots.size, sortValue: ({ size }) => size ?? 0, cell: ({ size }) => formatBytes(size) },
  {
    id: 'age',
    title: text.common.created,
    sortValue: ({ createdAt }) => createdAt,
    cell: ({ createdAt }) => <Age time={createdAt} />,
  },
];

type Asked = { take: true } | { clone: Snapshot } | { confirm: Confirmation };

export function SnapshotsTab({ vm }: { vm: Vm }) {
  const query = useQuery(snapshotsQuery(vm.name, vm.project));
  const [asked, setAsked] = useState<Asked>();
  const refusal = useRefusal()('operator');
  const noDisks = vm.disks.length === 0 ? text.snapshots.noDisks : undefined;
  const close = (): void => setAsked(undefined);
  const take = (
    <ActionButton variant="primary" refusal={refusal ?? noDisks} onClick={() => setAsked({ take: true })}>
      {text.snapshots.take}
    </ActionButton>
  );
  const path = (snapshot: Snapshot, action = ''): string =>
    `/v1/vms/${encodeURIComponent(vm.name)}/snapshots/${encodeURIComponent(snapshot.name)}${action}`;
  const notReady = (snapshot: Snapshot) => (snapshot.state === 'ready' ? undefined : text.snapshots.notReady);
  const restore = (snapshot: Snapshot): Confirmation => ({
    title: text.snapshots.restoreTitle(vm.name, snapshot.name),
    body: (
      <>
        <p>{text.snapshots.restoreBody}</p>
        {can('stop', vm) && <p>{text.snapshots.restoreRunning}</p>}
      </>
    ),
    submit: text.snapshots.restore,
    run: () => client.request('POST', path(snapshot, '/restore'), { query: { project: vm.project }, body: {} }),
  });
  const remove = (snapshot: Snapshot): Confirmation => ({
    title: text.snapshots.deleteTitle(snapshot.name),
    body: text.snapshots.deleteBody,
    submit: text.common.delete,
    run: () => client.request('DELETE', path(snapshot), { query: { project: vm.project }, ifMatch: '*' }),
  });
  return (
    <>
      <Loaded query={query} what={text.vm.tabs.snapshots}>
        {(snapshots) => (
          <ResourceTable
            label={text.vm.tabs.snapshots}
            rows={snapshots}
            columns={columns}
            idOf={({ id, name }) => id ?? name}
            nameOf={({ name }) => name}
            tools={take}
            actions={(snapshot) => [
              {
                id: 'restore',
                label: text.snapshots.restore,
                refusal: refusal ?? notReady(snapshot),
                run: () => setAsked({ confirm: restore(snapshot) }),
              },
              {
                id: 'clone',
                label: text.snapshots.clone,
                refusal: refusal ?? notReady(snapshot),
                run: () => setAsked({ clone: snapshot }),
              },
              {
                id: 'delete',
                label: text.common.delete,
                refusal,
                isDanger: true,
                run: () => setAsked({ confirm: remove(snapshot) }),
              },
            ]}
            empty={
              <Empty title={text.snapshots.empty} icon={CameraIcon} actions={take}>
                {text.snapshots.emptyDetail}
              </Empty>
            }
          />
        )}
      </Loaded>
      {asked && 'take' in asked && <TakeSnapshot vm={vm} taken={query.data ?? []} onClose={close} />}
      {asked && 'clone' in asked && <CloneVm vm={vm} snapshot={asked.clone} onClose={close} />}
      {asked && 'confirm' in asked && <Confirm ask={asked.confirm} onClose={close} />}
    </>
  );
}
