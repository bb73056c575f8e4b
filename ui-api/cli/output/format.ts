/** `-o`: objects and lists of objects as text for standard output. JSON and YAML are the API's own schema. */
import { usageError } from '../exit.ts';
import type { Column } from './columns.ts';
import { evaluateTemplate } from './jsonpath.ts';
import { cells, chooseColumns, renderTable, sortRows } from './table.ts';
import { toYaml } from './yaml.ts';

export const formats = ['table', 'wide', 'json', 'yaml', 'name', 'jsonpath=…'] as const;

export type Format =
  | { kind: 'table'; wide: boolean }
  | { kind: 'json' | 'yaml' | 'name' }
  | { kind: 'jsonpath'; expression: string };

/** @throws CliError usage */
export function parseFormat(text: string): Format {
  if (text === 'table' || text === 'wide') return { kind: 'table', wide: text === 'wide' };
  if (text === 'json' || text === 'yaml' || text === 'name') return { kind: text };
  if (text.startsWith('jsonpath=')) return { kind: 'jsonpath', expression: text.slice('jsonpath='.length) };
  throw usageError(`-o: ${JSON.stringify(text)} is not an output format.`, `Use one of ${formats.join(', ')}.`);
}

export type ListOptions = { columns?: string; sort?: string; headers?: boolean; width?: number };

const nameOf = (object: unknown): string => {
  const { name, id } = object as { name?: string; id?: string };
  return name ?? id ?? '';
};

/** A list. Without objects a table is one sentence on standard error, left to the caller: here it is empty. */
export function renderList<T>(items: readonly T[], columns: readonly Column<T>[], format: Format, options: ListOptions): string {
  const rows = options.sort === undefined ? items : sortRows(items, columns, options.sort);
  switch (format.kind) {
    case 'json':
      return `${JSON.stringify({ items: rows }, undefined, 2)}\n`;
    case 'yaml':
      return rows.map((row) => toYaml(row)).join('---\n');
    case 'name':
      return rows.map((row) => `${nameOf(row)}\n`).join('');
    case 'jsonpath':
      return `${evaluateTemplate(format.expression, { items: rows })}\n`;
    case 'table': {
      const shown = chooseColumns(columns, options.columns, format.wide);
      if (rows.length === 0) return '';
      return `${renderTable(rows, shown, options).join('\n')}\n`;
    }
  }
}

/** One object; as a table: one `field: value` per line, for reading. */
export function renderOne<T>(object: T, columns: readonly Column<T>[], format: Format, options: ListOptions = {}): string {
  switch (format.kind) {
    case 'json':
      return `${JSON.stringify(object, undefined, 2)}\n`;
    case 'yaml':
      return toYaml(object);
    case 'name':
      return `${nameOf(object)}\n`;
    case 'jsonpath':
      return `${evaluateTemplate(format.expression, object)}\n`;
    case 'table': {
      if (options.columns !== undefined) return renderList([object], columns, format, options);
      const shown = columns.map((column) => ({ id: column.id, text: cells(object, [column])[0] as string }));
      const width = Math.max(...shown.map(({ id }) => id.length));
      return shown
        .filter(({ text }) => text !== '-')
        .map(({ id, text }) => `${`${id}:`.padEnd(width + 2)}${text}\n`)
        .join('');
    }
  }
}
