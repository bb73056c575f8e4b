/** One plot on a canvas, by uPlot; loaded when the first chart is shown. What it says in words stands beside it. */
import 'uplot/dist/uPlot.min.css';
import { useEffect, useRef } from 'react';
import UPlot from 'uplot';
import { useTheme } from '../hooks/use-theme.ts';

export type PlotProps = {
  /** Seconds since the epoch. */
  times: readonly number[];
  lines: readonly { label: string; values: readonly (number | null)[] }[];
  format: (value: number) => string;
};

const height = 150;
/** Room for the longest label of the value axis, px. */
const axisWidth = 84;
const lineColours = ['--croft-accent', '--croft-chart-second'];

/** So few values make no line worth the name: then each is a point. */
const fewPoints = 3;
const known = (values: readonly (number | null)[]): number => values.filter((value) => value !== null).length;

const token = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export function Plot({ times, lines, format }: PlotProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<UPlot | undefined>(undefined);
  const theme = useTheme();
  const isSparse = lines.some(({ values }) => known(values) < fewPoints);
  const data = [times, ...lines.map(({ values }) => values)] as unknown as UPlot.AlignedData;
  const latest = useRef(data);
  latest.current = data;

  useEffect(() => {
    const target = place.current;
    if (!target) return undefined;
    const axis = {
      stroke: token('--pf-t--global--text--color--subtle'),
      grid: { stroke: token('--pf-t--global--border--color--subtle'), width: 1 },
      ticks: { show: false },
      font: '11px system-ui, sans-serif',
    };
    const made = new UPlot(
      {
        width: Math.max(200, target.clientWidth),
        height,
        legend: { show: false },
        cursor: { show: false },
        scales: { y: { range: (_plot, _min, max) => [0, max > 0 ? max * 1.1 : 1] } },
        axes: [
          { ...axis, gap: 10 },
          { ...axis, size: axisWidth, values: (_plot, ticks) => ticks.map(format) },
        ],
        series: [
          {},
          ...lines.map(({ label, values }, index) => ({
            label,
            stroke: token(lineColours[index] ?? '--croft-accent'),
            width: 1.5,
            // A second line is told apart without its colour too.
            ...(index > 0 ? { dash: [6, 3] } : {}),
            points: { show: known(values) < fewPoints, size: 5 },
          })),
        ],
      },
      latest.current,
      target,
    );
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: Math.max(200, target.clientWidth), height }));
    observer.observe(target);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = undefined;
    };
    // Made anew for other colours; new values only go into it, below.
  }, [theme, format, lines.length, isSparse]);

  useEffect(() => plot.current?.setData(data), [data]);

  return <div ref={place} aria-hidden="true" className="croft-plot" />;
}
