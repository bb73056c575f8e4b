/**
 * The table of every list: filter (`/`), sorting, selection, actions of a row, empty state. Cards below 992 px.
 *
 * It stays quick with a thousand rows: a hundred are drawn, a row is drawn again only when it changed itself, and what is
 * typed into the filter is drawn before the rows that it leaves.
 */
import { Button, SearchInput, Toolbar, ToolbarContent, ToolbarItem } from '@patternfly/react-core';
import SearchIcon from '@patternfly/react-icons/dist/esm/icons/search-icon';
import { Table, Tbody, Td, Th, Thead, Tr } from '@patternfly/react-table';
import { memo, useCallback, useDeferredValue, useMemo, useRef, useState, type ReactNode } from 'react';
import { useShortcuts } from '../hooks/use-shortcuts.ts';
import { text } from '../i18n/text.ts';
import { ActionMenu, type Action } from './action-menu.tsx';
import { Empty } from './empty.tsx';
import { byColumn, type Column, type Sort } from './table-sort.ts';

/** Rows drawn at once; more on demand, so that a thousand rows open as fast as ten. */
const pageSize = 100;

type Props<T> = {
  label: string;
  rows: readonly T[];
  columns: readonly Column<T>[];
  idOf: (row: T) => string;
  nameOf: (row: T) => string;
  /** True when the row fits the filter's text. Without it there is no filter. */
  matches?: (row: T, filter: string) => boolean;
  filterHelp?: string;
  actions?: (row: T) => readonly Action[];
  selection?: { ids: ReadonlySet<string>; change: (ids: ReadonlySet<string>) => void; actions: ReactNode };
  /** Right of the filter. */
  tools?: ReactNode;
  /** Shown instead of the table when there are no rows at all. */
  empty: ReactNode;
};

export function ResourceTable<T>(props: Props<T>) {
  const { label, idOf, nameOf, matches, actions, selection, tools, empty } = props;
  // A burst of changes, or new lines in every row, may take a moment; keys and clicks go first.
  const rows = useDeferredValue(props.rows);
  const columns = useDeferredValue(props.columns);
  const [filter, setFilter] = useState('');
  const [sort, setSort] = useState<Sort>();
  const [limit, setLimit] = useState(pageSize);
  const search = useRef<HTMLInputElement>(null);
  useShortcuts(useMemo(() => ({ '/': () => search.current?.focus() }), []));

  const wanted = useDeferredValue(filter);
  const shown = useMemo(() => {
    const kept = matches && wanted !== '' ? rows.filter((row) => matches(row, wanted)) : rows;
    return sort ? kept.toSorted(byColumn(columns, sort)) : kept;
  }, [rows, columns, wanted, matches, sort]);

  // Rows keep what they were given: their handlers look at the newest of it when they are used.
  const latest = useRef(props);
  latest.current = props;
  const actionsOf = useCallback((row: T) => latest.current.actions?.(row) ?? [], []);
  const toggle = useCallback((id: string, on: boolean) => {
    const { selection: now } = latest.current;
    const ids = new Set(now?.ids);
    if (on) ids.add(id);
    else ids.delete(id);
    now?.change(ids);
  }, []);

  if (rows.length === 0) return <>{empty}</>;
  const sortOf = (column: Column<T>, index: number) =>
    column.sortValue
      ? {
          columnIndex: index,
          sortBy: sort ? { index: sort.index, direction: sort.direction } : {},
          onSort: (_event: unknown, by: number, direction: 'asc' | 'desc') => setSort({ index: by, direction }),
        }
      : undefined;
  const allSelected = selection !== undefined && shown.length > 0 && shown.every((row) => selection.ids.has(idOf(row)));

  return (
    <div className="croft-table">
      {(matches || tools) && (
        <Toolbar inset={{ default: 'insetNone' }} hasNoPadding>
          <ToolbarContent alignItems="center">
            {matches && (
              <ToolbarItem className="croft-filter">
                <SearchInput
                  ref={search}
                  aria-label={text.common.filterHint}
                  placeholder={text.common.filterHint}
                  title={props.filterHelp}
                  value={filter}
                  onChange={(_event, value) => setFilter(value)}
                  onClear={() => setFilter('')}
                  resultsCount={filter === '' ? undefined : text.common.rows(shown.length, rows.length)}
                />
              </ToolbarItem>
            )}
            {selection && selection.ids.size > 0 && (
              <ToolbarItem>
                <span className="croft-selected">{text.common.selected(selection.ids.size)}</span>
                {selection.actions}
              </ToolbarItem>
            )}
            {tools && <ToolbarItem align={{ default: 'alignEnd' }}>{tools}</ToolbarItem>}
          </ToolbarContent>
        </Toolbar>
      )}
      {shown.length === 0 ? (
        <Empty
          title={text.common.noMatch}
          icon={SearchIcon}
          actions={
            <Button variant="link" onClick={() => setFilter('')}>
              {text.common.clearFilter}
            </Button>
          }
        >
          {text.common.noMatchDetail(filter)}
        </Empty>
      ) : (
        <Table role="table" aria-label={label} variant="compact" gridBreakPoint="grid-lg" className="croft-grid">
          <Thead>
            <Tr>
              {selection && (
                <Th
                  select={{
                    isSelected: allSelected,
                    onSelect: (_event, on) => selection.change(on ? new Set(shown.map(idOf)) : new Set()),
                  }}
                  aria-label={text.common.select(label)}
                />
              )}
              {columns.map((column, index) => (
                <Th
                  key={column.id}
                  modifier="nowrap"
                  sort={sortOf(column, index)}
                  {...(column.isMinor ? { className: 'croft-minor' } : {})}
                  {...(column.width ? { width: column.width } : {})}
                >
                  {column.title}
                </Th>
              ))}
              {actions && <Th screenReaderText={text.common.actions} />}
            </Tr>
          </Thead>
          <Tbody>
            {shown.slice(0, limit).map((row, rowIndex) => (
              <Row
                key={idOf(row)}
                row={row}
                rowIndex={rowIndex}
                id={idOf(row)}
                name={nameOf(row)}
                columns={columns}
                isSelected={selection?.ids.has(idOf(row))}
                toggle={toggle}
                actionsOf={actions && actionsOf}
              />
            ))}
          </Tbody>
        </Table>
      )}
      {shown.length > limit && (
        <Button variant="link" onClick={() => setLimit(limit + pageSize * 2)}>
          {text.common.showMore(Math.min(shown.length - limit, pageSize * 2))}
        </Button>
      )}
    </div>
  );
}

type RowProps<T> = {
  row: T;
  rowIndex: number;
  id: string;
  name: string;
  columns: readonly Column<T>[];
  /** Undefined: rows are not selected here. */
  isSelected: boolean | undefined;
  toggle: (id: string, on: boolean) => void;
  actionsOf: ((row: T) => readonly Action[]) | undefined;
};

const Row = memo(function Row<T>({ row, rowIndex, id, name, columns, isSelected, toggle, actionsOf }: RowProps<T>) {
  return (
    <Tr>
      {isSelected !== undefined && (
        <Td select={{ rowIndex, isSelected, onSelect: (_event, on) => toggle(id, on) }} aria-label={text.common.select(name)} />
      )}
      {columns.map((column) => (
        <Td key={column.id} dataLabel={column.title} {...(column.isMinor ? { className: 'croft-minor' } : {})}>
          {column.cell(row)}
        </Td>
      ))}
      {actionsOf && (
        <Td isActionCell>
          <ActionMenu label={text.common.actionsFor(name)} actions={() => actionsOf(row)} />
        </Td>
      )}
    </Tr>
  );
}) as <T>(props: RowProps<T>) => ReactNode;
