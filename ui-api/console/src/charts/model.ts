/** Which charts there are and what they say in words. Pure. */
import type { History } from '../../../client/types.ts';
import { formatAge, formatBytes } from '../format.ts';
import { text } from '../i18n/text.ts';

type Values = readonly (number | null)[];
type SeriesKey =
  | 'cpu'
  | 'memory'
  | 'diskRead'
  | 'diskWrite'
  | 'reads'
  | 'writes'
  | 'diskLatency'
  | 'netReceived'
  | 'netTransmitted';

export type ChartSeries = { label: string; key: SeriesKey };
export type Chart = { id: string; title: string; series: readonly ChartSeries[]; format: (value: number) => string };

const bytesPerSecond = (value: number): string => text.charts.perSecond(formatBytes(Math.round(value)));
const perSecond = (value: number): string => text.charts.perSecond(value < 10 ? value.toFixed(1) : String(Math.round(value)));
const duration = (seconds: number): string =>
  seconds < 1e-3 ? `${Math.round(seconds * 1e6)} µs` : `${(seconds * 1e3).toFixed(1)} ms`;

export const charts: readonly Chart[] = [
  {
    id: 'cpu',
    title: text.charts.cpu,
    series: [{ label: text.charts.used, key: 'cpu' }],
    format: (value) => text.charts.cores(value.toFixed(2)),
  },
  {
    id: 'memory',
    title: text.charts.memory,
    series: [{ label: text.charts.used, key: 'memory' }],
    format: (value) => formatBytes(Math.round(value)),
  },
  {
    id: 'disk',
    title: text.charts.disk,
    series: [
      { label: text.charts.read, key: 'diskRead' },
      { label: text.charts.written, key: 'diskWrite' },
    ],
    format: bytesPerSecond,
  },
  {
    id: 'operations',
    title: text.charts.operations,
    series: [
      { label: text.charts.read, key: 'reads' },
      { label: text.charts.written, key: 'writes' },
    ],
    format: perSecond,
  },
  { id: 'latency', title: text.charts.latency, series: [{ label: text.charts.wait, key: 'diskLatency' }], format: duration },
  {
    id: 'network',
    title: text.charts.network,
    series: [
      { label: text.charts.received, key: 'netReceived' },
      { label: text.charts.transmitted, key: 'netTransmitted' },
    ],
    format: bytesPerSecond,
  },
];

/** s since the epoch of each value, for the plot's axis. */
export const timesOf = ({ start, step, cpu }: History): number[] =>
  cpu.map((_, index) => Date.parse(start) / 1_000 + index * step);

export const latest = (values: Values): number | undefined => values.findLast((value) => value !== null) ?? undefined;

export function mostOf(values: Values): { value: number; index: number } | undefined {
  let most: { value: number; index: number } | undefined;
  for (const [index, value] of values.entries()) {
    if (value !== null && value > (most?.value ?? Number.NEGATIVE_INFINITY)) most = { value, index };
  }
  return most;
}

/** What a chart shows, in a sentence or two: for those who don't see it, and for those in a hurry. */
export function summaryOf({ series, format }: Chart, history: History): string {
  const known = series.filter(({ key }) => latest(history[key]) !== undefined);
  if (known.length === 0) return text.charts.none;
  const named = known.map(({ key, label }) => {
    const value = format(latest(history[key]) as number);
    return known.length > 1 ? `${value} ${label}` : value;
  });
  const most = known
    .flatMap(({ key }) => mostOf(history[key]) ?? [])
    .reduce((left, right) => (right.value > left.value ? right : left));
  const when = formatAge(new Date(Date.parse(history.start) + most.index * history.step * 1_000).toISOString());
  return `${text.charts.now(named.join(', '))} ${text.charts.most(format(most.value), when)}`;
}

/** Rows of a chart's table, newest first: times with a value, at most `limit` of them, evenly spread. */
export function rowsOf({ series }: Chart, history: History, limit = 30): { time: string; values: (number | null)[] }[] {
  const times = timesOf(history);
  const known = times.flatMap((time, index) => {
    const values = series.map(({ key }) => history[key][index] ?? null);
    return values.some((value) => value !== null) ? [{ time: new Date(time * 1_000).toISOString(), values }] : [];
  });
  const every = Math.max(1, Math.ceil(known.length / limit));
  return known.toReversed().filter((_, index) => index % every === 0);
}
