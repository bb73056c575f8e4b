import { useQuery } from '@tanstack/react-query';
import { auditQuery, type AuditEntry } from '../api/queries.ts';
import { includesText } from '../format.ts';
import { text } from '../i18n/text.ts';
import { Age } from './age.tsx';
import { Empty } from './empty.tsx';
import { Loaded } from './loaded.tsx';
import { ResourceTable } from './resource-table.tsx';
import type { Column } from './table-sort.ts';

const columns: readonly Column<AuditEntry>[] = [
  { id: 'at', title: text.activity.when, sortValue: ({ seq }) => seq, cell: ({ at }) => <Age time={at} /> },
  { id: 'who', title: text.activity.who, sortValue: ({ who }) => who, cell: ({ who }) => <strong>{who}</strong> },
  { id: 'verb', title: text.activity.what, sortValue: ({ verb }) => verb, cell: ({ verb }) => verb },
  {
    id: 'target',
    title: text.activity.about,
    sortValue: ({ target }) => target,
    cell: ({ target }) => <span className="croft-break">{target}</span>,
  },
  { id: 'from', title: text.activity.from, cell: ({ from }) => <span className="croft-mono">{from}</span> },
  {
    id: 'result',
    title: text.activity.result,
    sortValue: ({ result }) => result,
    cell: ({ result }) => <span className={result === 'ok' ? '' : 'croft-bad'}>{result}</span>,
  },
];

export function AuditTable() {
  const query = useQuery(auditQuery);
  return (
    <Loaded query={query} what={text.activity.tabs.audit}>
      {(entries) => (
        <ResourceTable
          label={text.activity.tabs.audit}
          rows={entries}
          columns={columns}
          idOf={({ seq }) => String(seq)}
          nameOf={({ verb, target }) => `${verb} ${target}`}
          matches={({ who, verb, target, result }, filter) => includesText(filter, who, verb, target, result)}
          empty={<Empty title={text.activity.noAudit}>{text.activity.noAuditDetail}</Empty>}
        />
      )}
    </Loaded>
  );
}
