import DatabaseIcon from '@patternfly/react-icons/dist/esm/icons/database-icon';
import { useQuery } from '@tanstack/react-query';
import type { Pool } from '../../../../client/types.ts';
import { poolsQuery } from '../../api/queries.ts';
import { formatBytes } from '../../format.ts';
import { text } from '../../i18n/text.ts';
import { Empty } from '../../ui/empty.tsx';
import { Loaded } from '../../ui/loaded.tsx';
import { Meter } from '../../ui/meter.tsx';
import { ResourceTable } from '../../ui/resource-table.tsx';
import { StateReason } from '../../ui/state-label.tsx';
import type { Column } from '../../ui/table-sort.ts';
import { PoolHealth } from './pool-health.tsx';

const columns: readonly Column<Pool>[] = [
  { id: 'name', title: text.settings.pool, sortValue: ({ name }) => name, cell: ({ name }) => <strong>{name}</strong> },
  {
    id: 'state',
    title: text.common.state,
    cell: ({ state, reason }) => <StateReason state={state} reason={state === 'ready' ? undefined : reason} />,
  },
  { id: 'driver', title: text.settings.driver, cell: ({ driver }) => driver },
  {
    id: 'path',
    title: text.settings.poolPath,
    cell: ({ path }) => <span className="croft-mono croft-break">{path ?? '–'}</span>,
  },
  {
    id: 'used',
    title: text.settings.used,
    width: 30,
    sortValue: ({ used }) => used,
    cell: ({ name, used = 0, capacity = 0 }) => (
      <>
        {text.common.of(formatBytes(used), formatBytes(capacity))}
        <Meter
          label={`${text.settings.used}: ${name}`}
          used={used}
          all={capacity}
          caption={text.common.of(formatBytes(used), formatBytes(capacity))}
        />
      </>
    ),
  },
];

export function PoolsTab() {
  const query = useQuery(poolsQuery);
  return (
    <Loaded query={query} what={text.settings.tabs.pools}>
      {(pools) => (
        <div className="croft-stack">
          <ResourceTable
            label={text.settings.tabs.pools}
            rows={pools}
            columns={columns}
            idOf={({ name }) => name}
            nameOf={({ name }) => name}
            empty={
              <Empty title={text.settings.noPools} icon={DatabaseIcon}>
                {text.settings.noPoolsDetail}
              </Empty>
            }
          />
          {pools.map((pool) => (
            <PoolHealth key={pool.name} pool={pool} />
          ))}
        </div>
      )}
    </Loaded>
  );
}
