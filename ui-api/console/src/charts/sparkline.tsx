/** A line of the last hour, as small as a word; said in words to those who don't see it. */
import { text } from '../i18n/text.ts';
import { latest, mostOf } from './model.ts';

type Props = {
  /** What is measured, e.g. `Processor`. */
  chart: string;
  /** Whose it is. */
  name: string;
  values: readonly (number | null)[] | undefined;
  format: (value: number) => string;
  /** The value at the top of the line; absent: the largest. */
  ceiling?: number;
};

const [width, height] = [64, 18];

/** Where the value number `index` of `count` is, in the picture's units. */
function pointOf(value: number, index: number, count: number, ceiling: number): [x: number, y: number] {
  const x = 2 + (index * (width - 4)) / Math.max(1, count - 1);
  return [x, height - 2 - Math.min(1, value / ceiling) * (height - 4)];
}

/** The line through the values; a gap begins a new stroke. Pure. */
export function strokeOf(values: readonly (number | null)[], ceiling: number): string {
  let isDown = false;
  return values
    .flatMap((value, index) => {
      if (value === null) {
        isDown = false;
        return [];
      }
      const [x, y] = pointOf(value, index, values.length, ceiling);
      const command = isDown ? 'L' : 'M';
      isDown = true;
      // The shortest of strokes, so that a value between two gaps is seen as a dot.
      const dot = command === 'M' ? 'h.1' : '';
      return [`${command}${x.toFixed(1)} ${y.toFixed(1)}${dot}`];
    })
    .join('');
}

export function Sparkline({ chart, name, values, format, ceiling }: Props) {
  const most = values && mostOf(values);
  const now = values && latest(values);
  if (!values || !most || now === undefined) return <span className="croft-quiet">–</span>;
  const top = Math.max(ceiling ?? most.value, Number.MIN_VALUE);
  const last = values.findLastIndex((value) => value !== null);
  const [x, y] = pointOf(now, last, values.length, top);
  return (
    <svg
      className="croft-sparkline"
      viewBox={`0 0 ${width} ${height}`}
      width={width}
      height={height}
      role="img"
      aria-label={text.charts.sparkline(chart, name, format(now), format(most.value))}
    >
      {/* The hour itself, so that a box's first minutes read as the beginning of a line. */}
      <path className="croft-sparkline-hour" d={`M0 ${height - 0.5}H${width}`} />
      <path d={strokeOf(values, top)} />
      <circle cx={x} cy={y} r="2" />
    </svg>
  );
}
