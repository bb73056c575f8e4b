import CompactDiscIcon from '@patternfly/react-icons/dist/esm/icons/compact-disc-icon';
import { useQuery } from '@tanstack/react-query';
import { useState, type DragEvent } from 'react';
import { useNavigate } from 'react-router';
import type { Image } from '../../../client/types.ts';
import { client } from '../api/client.ts';
import { imagesQuery, vmsQuery } from '../api/queries.ts';
import { isWaiting, stopSending, useSendings, type Sending } from '../api/uploads.ts';
import { AddImage } from '../forms/add-image.tsx';
import { ContinueUpload } from '../forms/continue-upload.tsx';
import { formatBytes, includesText } from '../format.ts';
import { useRefusal } from '../hooks/use-role.ts';
import { text } from '../i18n/text.ts';
import { ActionButton } from '../ui/action-button.tsx';
import type { Action } from '../ui/action-menu.tsx';
import { Age } from '../ui/age.tsx';
import { useConfirm } from '../ui/confirm.tsx';
import { Empty } from '../ui/empty.tsx';
import { takeFiles } from '../ui/file-field.tsx';
import { Loaded } from '../ui/loaded.tsx';
import { PageFrame } from '../ui/page-frame.tsx';
import { ResourceTable } from '../ui/resource-table.tsx';
import { StateReason } from '../ui/state-label.tsx';
import type { Column } from '../ui/table-sort.ts';

type Source = { build?: string; catalogue?: string; url?: string; file?: string; upload?: object };

function sourceText(image: Image): string {
  const { build, catalogue, url, file, upload } = image.source as Source;
  if (build) return text.images.built(build);
  if (catalogue) return text.images.known(catalogue);
  return upload ? text.images.uploaded : (url ?? file ?? '–');
}

export function ImagesPage() {
  const query = useQuery(imagesQuery);
  const { data: vms = [] } = useQuery(vmsQuery);
  const sendings = useSendings();
  const [adding, setAdding] = useState<{ files?: readonly File[] }>();
  const [continuing, setContinuing] = useState<string>();
  const { ask, question } = useConfirm();
  const refusal = useRefusal()('operator');
  const navigate = useNavigate();
  const usersOf = (image: Image) => vms.filter((vm) => vm.image === image.name).length;

  const columns: readonly Column<Image>[] = [
    { id: 'name', title: text.common.name, sortValue: ({ name }) => name, cell: ({ name }) => <strong>{name}</strong> },
    {
      id: 'state',
      title: text.common.state,
      sortValue: ({ state }) => state,
      cell: (image) => <ImageState image={image} sendings={sendings} />,
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
    <ActionButton variant="primary" refusal={refusal} onClick={() => setAdding({})}>
      {text.images.add}
    </ActionButton>
  );
  const uploadActions = (image: Image): Action[] => [
    ...(isWaiting(image, sendings)
      ? [{ id: 'continue', label: text.images.continueAction, refusal, run: () => setContinuing(image.name) }]
      : []),
    ...(sendings.some((each) => each.image === image.name)
      ? [{ id: 'stop', label: text.images.stopSending, run: () => stopSending(image.name) }]
      : []),
  ];
  const drop = (event: DragEvent) => takeFiles(event, (files) => refusal ?? setAdding({ files }));
  return (
    <PageFrame title={text.images.title} actions={add}>
      <div className="croft-drop-page" onDragOver={(event) => event.preventDefault()} onDrop={drop}>
        <Loaded query={query} what={text.images.title}>
          {(images) => (
            <ResourceTable
              label={text.images.title}
              rows={images}
              columns={columns}
              idOf={({ name }) => name}
              nameOf={({ name }) => name}
              matches={(image, filter) => includesText(filter, image.name, image.state, sourceText(image))}
              actions={(image) => [
                ...uploadActions(image),
                {
                  id: 'create',
                  label: text.images.createVm,
                  refusal,
                  run: () => void navigate(`/vms/new?image=${encodeURIComponent(image.name)}`),
                },
                {
                  id: 'delete',
                  label: text.common.delete,
                  refusal,
                  isDanger: true,
                  run: () =>
                    ask({
                      title: text.images.deleteTitle(image.name),
                      body: text.images.deleteBody,
                      submit: text.common.delete,
                      run: () => (stopSending(image.name), client.images.remove(image.name)),
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
        {refusal === undefined && <p className="croft-quiet croft-small">{text.images.drop}</p>}
      </div>
      {adding && (
        <AddImage
          taken={(query.data ?? []).map(({ name }) => name)}
          dropped={adding.files ?? []}
          onClose={() => setAdding(undefined)}
        />
      )}
      {continuing && <ContinueUpload image={continuing} onClose={() => setContinuing(undefined)} />}
      {question}
    </PageFrame>
  );
}

function ImageState({ image, sendings }: { image: Image; sendings: readonly Sending[] }) {
  const sending = sendings.find((each) => each.image === image.name);
  if (sending) {
    const { done, total } = sending;
    if (sending.isWaiting) return <StateReason state="pending" reason={text.images.sendingWaits} />;
    return (
      <StateReason state="sending" progress={done / total} reason={text.images.sending(formatBytes(done), formatBytes(total))} />
    );
  }
  const reason = isWaiting(image, sendings) ? text.images.waiting : image.reason;
  return <StateReason state={image.state} progress={image.progress} reason={reason} />;
}
