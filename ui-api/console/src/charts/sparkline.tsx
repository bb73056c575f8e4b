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

/** The line's points; a gap begins a new stroke. Pure. */
export function strokeOf(values: readonly (number | null)[], ceiling: number): string {
  const stepX = width / Math.max(1, values.length - 1);
  let isDown = false;
  return values
    .flatMap((value, index) => {
      if (value === null) {
        isDown = false;
        return [];
      }
      const y = height - 1 - Math.min(1, value / ceiling) * (height - 2);
      const command = isDown ? 'L' : 'M';
      isDown = true;
      // The shortest of strokes, so that a value between two gaps is seen as a dot.
      const dot = command === 'M' ? 'h.1' : '';
      return [`${command}${(index * stepX).toFixed(1)} ${y.toFixed(1)}${dot}`];
    })
    .join('');
}

export function Sparkline({ chart, name, values, format, ceiling }: Props) {
  const most = values && mostOf(values);
  const now = values && latest(values);
  if (!values || !most || now === undefined) return <span className="croft-quiet">–</span>;
  return (
    <svg
      className="croft-sparkline"
      viewBox={`0 0 ${width} ${height}`}
      width={width}
      height={height}
      role="img"
      aria-label={text.charts.sparkline(chart, name, format(now), format(most.value))}
    >
      <path d={strokeOf(values, Math.max(ceiling ?? most.value, Number.MIN_VALUE))} />
    </svg>
  );
}
