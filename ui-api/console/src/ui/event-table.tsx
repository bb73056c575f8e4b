import type { ApiEvent } from '../../../client/types.ts';
import { includesText } from '../format.ts';
import { text } from '../i18n/text.ts';
import { Age } from './age.tsx';
import { Empty } from './empty.tsx';
import { ResourceTable } from './resource-table.tsx';
import type { Column } from './table-sort.ts';

const columns: readonly Column<ApiEvent>[] = [
  { id: 'at', title: text.activity.when, width: 15, sortValue: ({ seq }) => seq, cell: ({ at }) => <Age time={at} /> },
  {
    id: 'about',
    title: text.activity.about,
    width: 20,
    sortValue: ({ about }) => about.name,
    cell: ({ about }) => (
      <>
        <strong>{about.name}</strong> <span className="croft-quiet">{about.kind}</span>
      </>
    ),
  },
  {
    id: 'reason',
    title: text.activity.what,
    width: 20,
    sortValue: ({ reason }) => reason,
    cell: ({ reason, type }) => <span className={type === 'Warning' ? 'croft-bad' : ''}>{reason}</span>,
  },
  { id: 'message', title: text.activity.message, cell: ({ message }) => message },
];

const matches = ({ about, reason, message }: ApiEvent, filter: string): boolean =>
  includesText(filter, about.name, about.kind, reason, message);

export function EventTable({ events }: { events: readonly ApiEvent[] }) {
  return (
    <ResourceTable
      label={text.activity.tabs.events}
      rows={events}
      columns={columns}
      idOf={({ seq }) => String(seq)}
      nameOf={({ message }) => message}
      matches={matches}
      empty={<Empty title={text.activity.noEvents}>{text.activity.noEventsDetail}</Empty>}
    />
  );
}
