/** Columns of a table and the order of its rows. Pure. */
import type { ReactNode } from 'react';

export type Column<T> = {
  id: string;
  title: string;
  cell: (row: T) => ReactNode;
  /** Rows can be sorted by it. */
  sortValue?: (row: T) => string | number | undefined;
  /** Left out on narrow screens. */
  isMinor?: boolean;
  width?: 10 | 15 | 20 | 25 | 30 | 35 | 40 | 45 | 50;
};

export type Sort = { index: number; direction: 'asc' | 'desc' };

const collator = new Intl.Collator(undefined, { numeric: true });

/** Compares by a column; what isn't known comes last in both directions. */
export function byColumn<T>(columns: readonly Column<T>[], { index, direction }: Sort): (a: T, b: T) => number {
  const valueOf = columns[index]?.sortValue ?? (() => undefined);
  const sign = direction === 'asc' ? 1 : -1;
  return (a, b) => {
    const [left, right] = [valueOf(a), valueOf(b)];
    if (left === undefined || right === undefined) return Number(left === undefined) - Number(right === undefined);
    if (typeof left === 'number' && typeof right === 'number') return sign * (left - right);
    return sign * collator.compare(String(left), String(right));
  };
}
