import HddIcon from '@patternfly/react-icons/dist/esm/icons/hdd-icon';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { Vm } from '../../../../client/types.ts';
import { client } from '../../api/client.ts';
import { explainQuery } from '../../api/queries.ts';
import { AttachDisk } from '../../forms/attach-disk.tsx';
import { GrowVolume } from '../../forms/grow-volume.tsx';
import { formatBytes } from '../../format.ts';
import { useRefusal } from '../../hooks/use-role.ts';
import { text } from '../../i18n/text.ts';
import { ActionButton } from '../../ui/action-button.tsx';
import { type Confirmation, useConfirm } from '../../ui/confirm.tsx';
import { Empty } from '../../ui/empty.tsx';
import { ResourceTable } from '../../ui/resource-table.tsx';
import type { Column } from '../../ui/table-sort.ts';

type Disk = Vm['disks'][number];

const columns: readonly Column<Disk>[] = [
  { id: 'disk', title: text.disks.disk, cell: ({ name }) => <strong>{name}</strong> },
  { id: 'device', title: text.disks.device, cell: ({ device }) => <span className="croft-mono">{device ?? '–'}</span> },
  { id: 'size', title: text.disks.size, cell: ({ size }) => formatBytes(size) },
  { id: 'pool', title: text.disks.pool, cell: ({ pool }) => pool ?? '–' },
  { id: 'bus', title: text.disks.bus, cell: ({ bus }) => bus },
  { id: 'volume', title: text.disks.volume, cell: ({ volume }) => volume ?? '–' },
];

export function DisksTab({ vm }: { vm: Vm }) {
  const [isAdding, setAdding] = useState(false);
  const [growing, setGrowing] = useState<Disk>();
  const { ask, question } = useConfirm();
  const refusal = useRefusal()('operator');
  const add = (
    <ActionButton variant="secondary" refusal={refusal} onClick={() => setAdding(true)}>
      {text.disks.add}
    </ActionButton>
  );
  const detach = (disk: Disk): Confirmation => ({
    title: text.disks.detachTitle(disk.name),
    body: text.disks.detachBody,
    submit: text.disks.detach,
    run: () =>
      client.request('DELETE', `/v1/vms/${encodeURIComponent(vm.name)}/disks/${encodeURIComponent(disk.name)}`, {
        query: { project: vm.project },
      }),
  });
  const { data: explained } = useQuery(explainQuery(vm.name, vm.project));
  return (
    <>
      {explained?.disks && <p className="croft-quiet">{explained.disks}</p>}
      <ResourceTable
        label={text.disks.title}
        rows={vm.disks}
        columns={columns}
        idOf={({ name }) => name}
        nameOf={({ name }) => name}
        tools={add}
        actions={(disk) => [
          {
            id: 'grow',
            label: text.disks.grow,
            refusal: refusal ?? (disk.volume ? undefined : text.common.none),
            run: () => setGrowing(disk),
          },
          { id: 'detach', label: text.disks.detach, refusal, isDanger: true, run: () => ask(detach(disk)) },
        ]}
        empty={
          <Empty title={text.disks.empty} icon={HddIcon} actions={add}>
            {text.disks.emptyDetail}
          </Empty>
        }
      />
      {isAdding && <AttachDisk vm={vm} onClose={() => setAdding(false)} />}
      {growing?.volume && (
        <GrowVolume
          volume={{ name: growing.volume, project: vm.project, size: growing.size }}
          onClose={() => setGrowing(undefined)}
        />
      )}
      {question}
    </>
  );
}
