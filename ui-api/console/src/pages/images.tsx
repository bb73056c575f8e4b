import CompactDiscIcon from '@patternfly/react-icons/dist/esm/icons/compact-disc-icon';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useNavigate } from 'react-router';
import type { Image } from '../../../client/types.ts';
import { client } from '../api/client.ts';
import { imagesQuery, vmsQuery } from '../api/queries.ts';
import { AddImage } from '../forms/add-image.tsx';
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
import { StateLabel } from '../ui/state-label.tsx';
import type { Column } from '../ui/table-sort.ts';

type Source = { build?: string; url?: string; file?: string };

function sourceText(image: Image): string {
  const { build, url, file } = image.source as Source;
  return build ? text.images.built(build) : (url ?? file ?? '–');
}

export function ImagesPage() {
  const query = useQuery(imagesQuery);
  const { data: vms = [] } = useQuery(vmsQuery);
  const [isAdding, setAdding] = useState(false);
  const [ask, setAsk] = useState<Confirmation>();
  const refusal = useRefusal()('operator');
  const navigate = useNavigate();
  const usersOf = (image: Image) => vms.filter((vm) => vm.image === image.name).length;

  const columns: readonly Column<Image>[] = [
    { id: 'name', title: text.common.name, sortValue: ({ name }) => name, cell: ({ name }) => <strong>{name}</strong> },
    {
      id: 'state',
      title: text.common.state,
      sortValue: ({ state }) => state,
      cell: ({ state, progress, reason }) => (
        <>
          <StateLabel state={state} progress={progress} />
          {reason && <div className="croft-reason">{reason}</div>}
        </>
      ),
    },
    { id: 'size', title: text.images.size, sortValue: ({ size }) => size, cell: ({ size }) => formatBytes(size) },
    { id: 'used', title: text.images.used, sortValue: ({ used }) => used, cell: ({ used }) => formatBytes(used) },
    { id: 'source', title: text.images.source, cell: (image) => <span className="croft-break">{sourceText(image)}</span> },
    { id: 'usedBy', title: text.images.usedBy, sortValue: usersOf, cell: (image) => text.images.vmsUsing(usersOf(image)) },
    {
      id: 'created',
      title: text.common.created,
      sortValue: ({ createdAt }) => createdAt,
      cell: ({ createdAt }) => <Age time={createdAt} />,
    },
  ];
  const add = (
    <ActionButton variant="primary" refusal={refusal} onClick={() => setAdding(true)}>
      {text.images.add}
    </ActionButton>
  );
  return (
    <PageFrame title={text.images.title} actions={add}>
      <Loaded query={query} what={text.images.title}>
        {(images) => (
          <ResourceTable
            label={text.images.title}
            rows={images}
            columns={columns}
            idOf={({ name }) => name}
            nameOf={({ name }) => name}
            matches={(image, filter) =>
              `${image.name} ${image.state} ${sourceText(image)}`.toLowerCase().includes(filter.toLowerCase())
            }
            actions={({ name }) => [
              {
                id: 'create',
                label: text.images.createVm,
                refusal,
                run: () => void navigate(`/vms/new?image=${encodeURIComponent(name)}`),
              },
              {
                id: 'delete',
                label: text.common.delete,
                refusal,
                isDanger: true,
                run: () =>
                  setAsk({
                    title: text.images.deleteTitle(name),
                    body: text.images.deleteBody,
                    submit: text.common.delete,
                    run: () => client.images.remove(name),
                  }),
              },
            ]}
            empty={
              <Empty title={text.images.empty} icon={CompactDiscIcon} actions={add}>
                {text.images.emptyDetail}
              </Empty>
            }
          />
        )}
      </Loaded>
      {isAdding && <AddImage taken={(query.data ?? []).map(({ name }) => name)} onClose={() => setAdding(false)} />}
      {ask && <Confirm ask={ask} onClose={() => setAsk(undefined)} />}
    </PageFrame>
  );
}
