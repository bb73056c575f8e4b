/** Plain tables: two spaces between columns, no lines, fitted to the terminal by shortening the widest cells. */
import { usageError } from '../exit.ts';
import { nearest } from '../suggest.ts';
import type { Column } from './columns.ts';
import { plain } from './values.ts';

export type TableOptions = {
  /** Columns of the terminal; undefined: never shorten (pipes and files want the whole value). */
  width?: number;
  headers?: boolean;
};

const gap = 2;
/** A shortened column keeps at least this many characters. */
const least = 6;

const control = /[\p{Cc}]+/gu;

/** Cell texts of one object. Control characters are made spaces: a name or reason must not steer the terminal. */
export const cells = <T>(object: T, columns: readonly Column<T>[]): string[] =>
  columns.map(({ value, text }) => (text ?? plain)(value(object)).replace(control, ' ') || '-');

/** The lines of a table, without the final newline. */
export function renderTable<T>(rows: readonly T[], columns: readonly Column<T>[], options: TableOptions = {}): string[] {
  const body = rows.map((row) => cells(row, columns));
  const lines = options.headers === false ? body : [columns.map(({ id }) => id.toUpperCase()), ...body];
  const widths = columns.map((_, index) => Math.max(0, ...lines.map((line) => (line[index] as string).length)));
  if (options.width !== undefined) shrink(widths, options.width);
  return lines.map((line) =>
    line
      .map((cell, index) => fit(cell, widths[index] as number))
      .join(' '.repeat(gap))
      .trimEnd(),
  );
}

/** Takes characters from the widest column until all fit, or nothing more can be taken. */
function shrink(widths: number[], width: number): void {
  const total = () => widths.reduce((sum, each) => sum + each, gap * (widths.length - 1));
  for (let excess = total() - width; excess > 0; excess -= 1) {
    const widest = Math.max(...widths);
    if (widest <= least) return;
    widths[widths.lastIndexOf(widest)] = widest - 1;
  }
}

const fit = (cell: string, width: number): string =>
  cell.length > width ? `${cell.slice(0, Math.max(0, width - 1))}…` : cell.padEnd(width);

/** The columns to show. @throws CliError usage naming the unknown column and those there are */
export function chooseColumns<T>(all: readonly Column<T>[], names: string | undefined, wide: boolean): Column<T>[] {
  if (names === undefined) return all.filter((column) => wide || !column.wide);
  return names.split(',').map((name) => columnNamed(all, name.trim(), '--columns'));
}

/** Sorted by a column; `-name` is descending. Numbers sort as numbers, all else as text; empty values come last. */
export function sortRows<T>(rows: readonly T[], all: readonly Column<T>[], by: string): T[] {
  const descending = by.startsWith('-');
  const column = columnNamed(all, by.replace(/^[-+]/, ''), '--sort');
  const direction = descending ? -1 : 1;
  return rows.toSorted((a, b) => {
    const [x, y] = [column.value(a), column.value(b)];
    if (x === undefined || y === undefined) return Number(x === undefined) - Number(y === undefined);
    if (typeof x === 'number' && typeof y === 'number') return direction * (x - y);
    return direction * plain(x).localeCompare(plain(y), 'en', { numeric: true });
  });
}

function columnNamed<T>(all: readonly Column<T>[], name: string, option: string): Column<T> {
  const found = all.find((column) => column.id === name.toLowerCase());
  if (found) return found;
  const known = all.map((column) => column.id);
  const near = nearest(name, known);
  throw usageError(
    `${option}: there is no column ${JSON.stringify(name)}${near ? `; did you mean ${near}?` : '.'}`,
    `Columns: ${known.join(', ')}.`,
  );
}
