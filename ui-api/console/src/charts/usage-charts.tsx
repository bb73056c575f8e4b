/** Charts of what a VM or the box has used, for a time that can be chosen; each in words and as a table too. */
import { Card, CardBody, CardTitle, ExpandableSection, Skeleton, ToggleGroup, ToggleGroupItem } from '@patternfly/react-core';
import { Table, Tbody, Td, Th, Thead, Tr } from '@patternfly/react-table';
import { useQuery } from '@tanstack/react-query';
import { lazy, Suspense, useState } from 'react';
import type { History } from '../../../client/types.ts';
import { historyQuery, type HistoryOf } from '../api/queries.ts';
import { formatTime } from '../format.ts';
import { text } from '../i18n/text.ts';
import { Loaded } from '../ui/loaded.tsx';
import { type Chart, charts, rowsOf, summaryOf, timesOf } from './model.ts';

const Plot = lazy(async () => ({ default: (await import('./plot.tsx')).Plot }));

type Range = History['range'];
const ranges = ['hour', 'day', 'week', 'month'] as const satisfies readonly Range[];

export function UsageCharts({ of }: { of: HistoryOf }) {
  const [range, setRange] = useState<Range>('hour');
  const query = useQuery(historyQuery(of, range));
  return (
    <Card isCompact className="croft-card croft-usage">
      <CardTitle component="h2">
        <span className="croft-title-row">
          {text.charts.title}
          <ToggleGroup isCompact aria-label={text.charts.range}>
            {ranges.map((each) => (
              <ToggleGroupItem
                key={each}
                text={text.charts.ranges[each]}
                isSelected={each === range}
                onChange={() => setRange(each)}
              />
            ))}
          </ToggleGroup>
        </span>
      </CardTitle>
      <CardBody>
        <Loaded query={query} what={text.charts.title}>
          {(history) => (
            <div className="croft-charts">
              {charts.map((chart) => (
                <OneChart key={chart.id} chart={chart} history={history} />
              ))}
            </div>
          )}
        </Loaded>
      </CardBody>
    </Card>
  );
}

function OneChart({ chart, history }: { chart: Chart; history: History }) {
  const summary = summaryOf(chart, history);
  const isEmpty = summary === text.charts.none;
  return (
    <section aria-label={chart.title}>
      <h3 className="croft-chart-title">{chart.title}</h3>
      {!isEmpty && (
        <Suspense fallback={<Skeleton height="150px" screenreaderText={text.charts.loading} />}>
          <Plot
            times={timesOf(history)}
            lines={chart.series.map(({ key, label }) => ({ label, values: history[key] }))}
            format={chart.format}
          />
        </Suspense>
      )}
      {chart.series.length > 1 && !isEmpty && <Legend chart={chart} />}
      <p className="croft-quiet croft-small">{summary}</p>
      {!isEmpty && <ChartTable chart={chart} history={history} />}
    </section>
  );
}

const Legend = ({ chart }: { chart: Chart }) => (
  <p className="croft-legend croft-small">
    {chart.series.map(({ key, label }) => (
      <span key={key} className="croft-legend-entry">
        {label}
      </span>
    ))}
  </p>
);

function ChartTable({ chart, history }: { chart: Chart; history: History }) {
  const [open, setOpen] = useState(false);
  return (
    <ExpandableSection
      toggleText={text.charts.table}
      toggleAriaLabel={text.charts.tableOf(chart.title)}
      isExpanded={open}
      onToggle={(_event, isOpen) => setOpen(isOpen)}
      className="croft-small"
    >
      {open && (
        <Table aria-label={text.charts.tableOf(chart.title)} variant="compact" borders={false}>
          <Thead>
            <Tr>
              <Th>{text.charts.time}</Th>
              {chart.series.map(({ key, label }) => (
                <Th key={key}>{label}</Th>
              ))}
            </Tr>
          </Thead>
          <Tbody>
            {rowsOf(chart, history).map(({ time, values }) => (
              <Tr key={time}>
                <Td>{formatTime(time)}</Td>
                {values.map((value, index) => (
                  <Td key={chart.series[index]?.key}>{value === null ? '–' : chart.format(value)}</Td>
                ))}
              </Tr>
            ))}
          </Tbody>
        </Table>
      )}
    </ExpandableSection>
  );
}
