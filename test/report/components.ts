/**
 * Which parts of the product met the real thing in a test run. A test that uses a real program says so with
 * `usedComponent()`; what nobody used stands in the table as not run, with the reason.
 */
import { appendFileSync, existsSync, readFileSync } from 'node:fs';

export type ComponentUse = { component: string; mode: 'real' | 'simulated' | 'not run'; version?: string; note?: string };

const reportVariable = 'CROFT_TEST_REPORT';

/** Called by tests and their helpers; without a report file (single test by hand) it does nothing. */
export function usedComponent(use: ComponentUse): void {
  const path = process.env[reportVariable];
  if (path) appendFileSync(path, `${JSON.stringify(use)}\n`);
}

export function readUses(path: string): ComponentUse[] {
  if (!existsSync(path)) return [];
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as ComponentUse);
}

/** A component of the table, and what holds for it when no test reported a use. */
export type KnownComponent = { component: string; version?: string; otherwise: string };

/** One row per component: known ones in their order, then others that tests reported. Real beats simulated. */
export function mergeUses(known: readonly KnownComponent[], uses: readonly ComponentUse[]): ComponentUse[] {
  const rank = { 'not run': 0, simulated: 1, real: 2 };
  const names = [...new Set([...known.map((entry) => entry.component), ...uses.map((use) => use.component)])];
  return names.map((component) => {
    const entry = known.find((one) => one.component === component);
    const best = uses.filter((use) => use.component === component).sort((a, b) => rank[b.mode] - rank[a.mode])[0];
    const version = best?.version ?? entry?.version;
    const row: ComponentUse = best ?? { component, mode: 'not run', note: entry?.otherwise ?? '' };
    return { ...row, ...(version ? { version } : {}) };
  });
}

/** The table as text, columns aligned. */
export function componentTable(rows: readonly ComponentUse[]): string {
  const cells = [
    ['COMPONENT', 'VERSION', 'RAN', 'NOTE'],
    ...rows.map((row) => [row.component, row.version ?? '-', row.mode, row.note ?? '']),
  ];
  const widths = [0, 1, 2].map((column) => Math.max(...cells.map((row) => (row[column] as string).length)));
  return cells
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
