import HddIcon from '@patternfly/react-icons/dist/esm/icons/hdd-icon';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { Link } from 'react-router';
import type { Volume } from '../../../client/types.ts';
import { client } from '../api/client.ts';
import { volumesQuery } from '../api/queries.ts';
import { CreateVolume } from '../forms/create-volume.tsx';
import { GrowVolume } from '../forms/grow-volume.tsx';
import { formatBytes } from '../format.ts';
import { useRefusal } from '../hooks/use-role.ts';
import { text } from '../i18n/text.ts';
import { ActionButton } from '../ui/action-button.tsx';
import { Age } from '../ui/age.tsx';
import { Confirm, type Confirmation } from '../ui/confirm.tsx';
import { Empty } from '../ui/empty.tsx';
import { Loaded } from '../ui/loaded.tsx';
import { PageFrame } from '../ui/page-frame.tsx';
import { ResourceTable } from '../ui/resource-table.tsx';
import { StateReason } from '../ui/state-label.tsx';
import type { Column } from '../ui/table-sort.ts';
import { vmPath } from '../vm/state.ts';

const columns: readonly Column<Volume>[] = [
  { id: 'name', title: text.common.name, sortValue: ({ name }) => name, cell: ({ name }) => <strong>{name}</strong> },
  {
    id: 'state',
    title: text.common.state,
    sortValue: ({ state }) => state,
    cell: ({ state, reason }) => <StateReason state={state} reason={reason} />,
  },
  { id: 'size', title: text.volumes.size, sortValue: ({ size }) => size, cell: ({ size }) => formatBytes(size) },
  { id: 'pool', title: text.volumes.pool, sortValue: ({ pool }) => pool, cell: ({ pool }) => pool },
  { id: 'image', title: text.volumes.image, sortValue: ({ image }) => image, cell: ({ image }) => image ?? text.volumes.blank },
  {
    id: 'vm',
    title: text.volumes.vm,
    // Unattached first: they are what one looks for.
    sortValue: ({ vm }) => vm ?? '',
    cell: ({ vm, project }) => (vm ? <Link to={vmPath({ name: vm, project }, 'disks')}>{vm}</Link> : text.volumes.unattached),
  },
  {
    id: 'created',
    title: text.common.created,
    sortValue: ({ createdAt }) => createdAt,
    cell: ({ createdAt }) => <Age time={createdAt} />,
  },
];

export function VolumesPage() {
  const query = useQuery(volumesQuery);
  const [isCreating, setCreating] = useState(false);
  const [growing, setGrowing] = useState<Volume>();
  const [ask, setAsk] = useState<Confirmation>();
  const refusal = useRefusal()('operator');
  const add = (
    <ActionButton variant="primary" refusal={refusal} onClick={() => setCreating(true)}>
      {text.volumes.add}
    </ActionButton>
  );
  const remove = ({ name, project, size }: Volume): Confirmation => ({
    title: text.volumes.deleteTitle(name),
    body: text.volumes.deleteBody(formatBytes(size)),
    submit: text.common.delete,
    run: () => client.volumes.remove(name, { project }),
  });
  return (
    <PageFrame title={text.volumes.title} actions={add}>
      <Loaded query={query} what={text.volumes.title}>
        {(volumes) => (
          <ResourceTable
            label={text.volumes.title}
            rows={volumes}
            columns={columns}
            idOf={({ name, project }) => `${project}/${name}`}
            nameOf={({ name }) => name}
            matches={({ name, vm, image, pool }, filter) =>
              `${name} ${vm} ${image} ${pool}`.toLowerCase().includes(filter.toLowerCase())
            }
            actions={(volume) => [
              { id: 'grow', label: text.volumes.grow, refusal, run: () => setGrowing(volume) },
              {
                id: 'delete',
                label: text.common.delete,
                refusal: refusal ?? (volume.vm ? text.volumes.attached(volume.vm) : undefined),
                isDanger: true,
                run: () => setAsk(remove(volume)),
              },
            ]}
            empty={
              <Empty title={text.volumes.empty} icon={HddIcon} actions={add}>
                {text.volumes.emptyDetail}
              </Empty>
            }
          />
        )}
      </Loaded>
      {isCreating && <CreateVolume onClose={() => setCreating(false)} />}
      {growing && <GrowVolume volume={growing} onClose={() => setGrowing(undefined)} />}
      {ask && <Confirm ask={ask} onClose={() => setAsk(undefined)} />}
    </PageFrame>
  );
}
