/**
 * Metrics history, theory of operation.
 *
 * Every 15 s the sampler (sampler.ts) reads the counters of each running guest and of the box, makes rates of two
 * readings, and puts them into the history (history.ts): per subject one ring for each range that people look at,
 * finer for the near past. A ring has a fixed number of slots, so the history is bounded by construction, needs no
 * clean-up and survives restarts. What is shown is what is stored: no interpolation, a gap stays a gap.
 */

/** What is kept of a VM or of the box; averages over a slot, null where nothing was known. */
export type Point = {
  /** CPUs in use: 1.5 is one and a half. */
  cpu: number | null;
  /** Bytes in use: by the guest's own account, else of its process. */
  memory: number | null;
  /** Bytes per second. */
  diskRead: number | null;
  diskWrite: number | null;
  /** Operations per second. */
  reads: number | null;
  writes: number | null;
  /** Seconds that reads and writes took, per second: more than 1 where they ran side by side. */
  diskBusy: number | null;
  /** Bytes per second, as the guest sees it. */
  netReceived: number | null;
  netTransmitted: number | null;
};

export const seriesNames = [
  'cpu',
  'memory',
  'diskRead',
  'diskWrite',
  'reads',
  'writes',
  'diskBusy',
  'netReceived',
  'netTransmitted',
] as const satisfies readonly (keyof Point)[];

export type SeriesName = (typeof seriesNames)[number];

/** ms between two samples. */
export const samplePeriod = 15_000;

const [second, minute, hour] = [1_000, 60_000, 3_600_000];

/** ms per slot and slots per ring; slots × step is the range's length. */
export const tiers = {
  hour: { index: 0, step: 15 * second, slots: 240 },
  day: { index: 1, step: 5 * minute, slots: 288 },
  week: { index: 2, step: 30 * minute, slots: 336 },
  month: { index: 3, step: 2 * hour, slots: 360 },
  /** The hour once more, as coarse as a line in a list can show it: a thousand of them are read at once. */
  line: { index: 4, step: 2 * minute, slots: 30 },
} as const;

export type Tier = keyof typeof tiers;
/** What charts show. */
export type Range = Exclude<Tier, 'line'>;

/** A stretch of history: value i of a series belongs to `start + i * step`; null where nothing was sampled. */
export type History<Of extends Tier = Range> = {
  range: Of;
  /** ms since the epoch. */
  start: number;
  /** ms. */
  step: number;
} & Record<SeriesName, (number | null)[]>;

/** Seconds that a read or write took on average; null while there was none. Pure. */
export const diskLatency = ({
  diskBusy,
  reads,
  writes,
}: Pick<History<Tier>, 'diskBusy' | 'reads' | 'writes'>): (number | null)[] =>
  diskBusy.map((busy, at) => {
    const operations = (reads[at] ?? 0) + (writes[at] ?? 0);
    return busy === null || operations === 0 ? null : busy / operations;
  });

/** Name of the box itself among the subjects; VMs go by their `croft.io/id`. */
export const nodeSubject = 'node';
