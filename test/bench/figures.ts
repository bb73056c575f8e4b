/** Numbers of a run: medians, spread, ratios, and how docs/benchmarks.md shows them. */

export type Figure = {
  name: string;
  /** Each round's value and what it is compared with, in `unit`; measured in turn, so that both met the same machine. */
  ours: number[];
  against?: number[];
  againstName?: string;
  unit: string;
  /** What issue or design ask for, in words. */
  goal: string;
  /** How it was measured, and what it leaves out. */
  how: string;
};

export const quantile = (values: readonly number[], q: number): number => {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
};

export const median = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  if (sorted.length === 0) return Number.NaN;
  return sorted.length % 2 === 1
    ? (sorted[Math.floor(middle)] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
};

const number = (value: number): string => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));

/** `1.25 s (1.19 – 1.40)` */
const withSpread = (values: readonly number[], unit: string): string =>
  values.length === 1
    ? `${number(values[0] as number)} ${unit}`
    : `${number(median(values))} ${unit} (${number(Math.min(...values))} – ${number(Math.max(...values))})`;

const ratio = ({ ours, against }: Figure): string => (against ? `${number(median(ours) / median(against))}×` : '–');

/** The page. `machine` is one paragraph in neutral words. */
export const benchmarksPage = (figures: readonly Figure[], machine: string, date: string): string =>
  [
    '# Benchmarks',
    '',
    'Written by `npm run bench` from one run; medians, with the smallest and largest round in parentheses. What is compared was',
    'measured in turn. Ratios carry over to other machines better than seconds do.',
    '',
    `*${date}. ${machine}*`,
    '',
    '| Figure | Croft | Against | Ratio | Goal |',
    '| --- | --- | --- | --- | --- |',
    ...figures.map((figure) => {
      const against = figure.against ? `${withSpread(figure.against, figure.unit)}, ${figure.againstName ?? ''}` : '–';
      return `| ${figure.name} | ${withSpread(figure.ours, figure.unit)} | ${against} | ${ratio(figure)} | ${figure.goal} |`;
    }),
    '',
    '## How',
    '',
    ...figures.map((figure) => `- **${figure.name}**: ${figure.how}`),
    '',
    'Not measured yet: anything with KVM or the kernel datapath; disks from inside a guest.',
    '',
  ].join('\n');
