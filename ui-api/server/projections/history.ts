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

const sum = (left: readonly Value[], right: readonly Value[]): Value[] =>
  left.map((value, at) => (value === null && right[at] === null ? null : (value ?? 0) + (right[at] ?? 0)));

const shorten = (values: readonly Value[]): Value[] => values.map(short);

/** @param kept the last hour of each VM in few values, by id; none: the stretch is unknown, and so is its time */
export function projectSparklines(kept: ReadonlyMap<string, Kept<'line'>>, now: number): Sparklines {
  const [any] = kept.values();
  return {
    kind: 'sparklines',
    start: time(any?.start ?? now),
    step: (any?.step ?? 0) / 1_000,
    vms: Object.fromEntries(
      [...kept].map(([id, { cpu, memory, diskRead, diskWrite, netReceived, netTransmitted }]) => [
        id,
        {
          cpu: shorten(cpu),
          memory: shorten(memory),
          disk: shorten(sum(diskRead, diskWrite)),
          network: shorten(sum(netReceived, netTransmitted)),
        },
      ]),
    ),
  };
}
