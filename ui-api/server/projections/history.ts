/** From the box's metrics history to what `/v1` shows of it. Pure. */
import { diskLatency, type History as Kept, seriesNames, type SeriesName } from '../../../appliance/metrics/series.ts';
import type { History, Sparklines } from '../../schemas/history.ts';

type Value = number | null;

const time = (ms: number): string => new Date(ms).toISOString();
/** Four significant digits: more is noise, and weighs on every chart. */
const short = (value: Value): Value => (value === null ? null : Number(value.toPrecision(4)));

export function projectHistory({ range, start, step, ...series }: Kept): History {
  const { diskBusy, ...values } = Object.fromEntries(seriesNames.map((name) => [name, series[name].map(short)])) as Record<
    SeriesName,
    Value[]
  >;
  const latency = diskLatency({ ...values, diskBusy }).map(short);
  return { kind: 'history', range, start: time(start), step: step / 1_000, ...values, diskLatency: latency };
}

/** Averages of `count` neighbours; what is unknown doesn't count. */
export function thin(values: readonly Value[], count: number): Value[] {
  const groups = Array.from({ length: Math.ceil(values.length / count) }, (_, at) => values.slice(at * count, (at + 1) * count));
  return groups.map((group) => {
    const known = group.filter((value) => value !== null);
    return known.length === 0 ? null : short(known.reduce((sum, value) => sum + value, 0) / known.length);
  });
}

const sum = (left: readonly Value[], right: readonly Value[]): Value[] =>
  left.map((value, at) => (value === null && right[at] === null ? null : (value ?? 0) + (right[at] ?? 0)));

/** Values that a line in a list has room for. */
const shown = 30;

/** @param kept the same range of each VM, by id; none: the stretch is unknown, and so is its time */
export function projectSparklines(kept: ReadonlyMap<string, Kept>, now: number): Sparklines {
  const [any] = kept.values();
  const count = any ? Math.ceil(any.cpu.length / shown) : 1;
  return {
    kind: 'sparklines',
    start: time(any?.start ?? now),
    step: ((any?.step ?? 0) * count) / 1_000,
    vms: Object.fromEntries(
      [...kept].map(([id, { cpu, memory, diskRead, diskWrite, netReceived, netTransmitted }]) => [
        id,
        {
          cpu: thin(cpu, count),
          memory: thin(memory, count),
          disk: thin(sum(diskRead, diskWrite), count),
          network: thin(sum(netReceived, netTransmitted), count),
        },
      ]),
    ),
  };
}
