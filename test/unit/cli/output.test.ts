import { describe, expect, it } from 'vitest';
import type { Column } from '../../../ui-api/cli/output/columns.ts';
import { evaluateTemplate } from '../../../ui-api/cli/output/jsonpath.ts';
import { parseFormat, renderList, renderOne } from '../../../ui-api/cli/output/format.ts';
import { renderTable, sortRows } from '../../../ui-api/cli/output/table.ts';
import { age } from '../../../ui-api/cli/output/values.ts';
import { nearest } from '../../../ui-api/cli/suggest.ts';
import { nameFrom } from '../../../ui-api/cli/nouns/image.ts';
import { collectDisk } from '../../../ui-api/cli/nouns/vm.ts';
import { parseDuration } from '../../../ui-api/cli/options.ts';

type Row = { name: string; memory?: number; note?: string };
const columns: Column<Row>[] = [
  { id: 'name', value: ({ name }) => name },
  { id: 'memory', value: ({ memory }) => memory },
  { id: 'note', value: ({ note }) => note, wide: true },
];
const rows: Row[] = [{ name: 'web-1', memory: 9, note: 'a note that is long' }, { name: 'db-10', memory: 100 }, { name: 'db-9' }];

describe('tables', () => {
  it('align, and show what is missing as a dash', () => {
    expect(renderTable(rows, columns)).toEqual([
      'NAME   MEMORY  NOTE',
      'web-1  9       a note that is long',
      'db-10  100     -',
      'db-9   -       -',
    ]);
  });

  it('shorten the widest column to fit the terminal, and only there', () => {
    const lines = renderTable(rows, columns, { width: 24 });
    expect(lines[1]).toBe('web-1  9       a note t…');
    expect(Math.max(...lines.map((line) => line.length))).toBe(24);
  });

  it('let no name steer the terminal', () => {
    expect(renderTable([{ name: 'a\u001B[2Jb\n' }], columns.slice(0, 1), { headers: false })).toEqual(['a [2Jb']);
  });

  it('sort numbers as numbers, names naturally, empty last', () => {
    const names = (by: string) => sortRows(rows, columns, by).map(({ name }) => name);
    expect(names('memory')).toEqual(['web-1', 'db-10', 'db-9']);
    expect(names('-memory')).toEqual(['db-10', 'web-1', 'db-9']);
    expect(names('name')).toEqual(['db-9', 'db-10', 'web-1']);
  });
});

describe('formats', () => {
  const list = (format: string) => renderList(rows, columns, parseFormat(format), {});

  it('have the literal forms of lists', () => {
    expect(list('name')).toBe('web-1\ndb-10\ndb-9\n');
    expect(JSON.parse(list('json'))).toEqual({ items: rows });
    expect(list('yaml')).toBe(
      'name: web-1\nmemory: 9\nnote: a note that is long\n---\nname: db-10\nmemory: 100\n---\nname: db-9\n',
    );
    expect(list('jsonpath={.items[*].name}')).toBe('web-1 db-10 db-9\n');
    expect(list('table').split('\n')[0]).toBe('NAME   MEMORY');
    expect(list('wide').split('\n')[0]).toBe('NAME   MEMORY  NOTE');
  });

  it('show one object field by field', () => {
    expect(renderOne(rows[0], columns as Column<Row | undefined>[], parseFormat('table'))).toBe(
      'name:   web-1\nmemory: 9\nnote:   a note that is long\n',
    );
  });

  it('refuse others by name', () => {
    expect(() => parseFormat('xml')).toThrow('"xml" is not an output format');
  });
});

describe('jsonpath', () => {
  const document = { items: [{ name: 'a', labels: { 'x/y.z': '1' } }, { name: 'b' }] };
  it.each([
    ['.items[0].name', 'a'],
    ['items[-1].name', 'b'],
    ['{.items[*].name}', 'a b'],
    ['{.items[0].name}{"\\n"}{.items[1].name}', 'a\nb'],
    ["{.items[0].labels['x/y.z']}", '1'],
    ['{.items[0].labels.x/y\\.z}', '1'],
    ['{.nothing.there}', ''],
    ['$.items[1]', '{"name":"b"}'],
  ])('%s', (expression, expected) => {
    expect(evaluateTemplate(expression, document)).toBe(expected);
  });
  it('refuses filters', () => {
    expect(() => evaluateTemplate('{.items[?(@.a)]}', document)).toThrow('cannot read');
  });
});

describe('small things', () => {
  it('tell ages', () => {
    const now = Date.parse('2026-01-02T00:00:00Z');
    expect(age('2026-01-01T00:00:00Z', now)).toBe('1d');
    expect(age('2026-01-01T23:59:00Z', now)).toBe('1m');
    expect(age('2026-01-02T01:00:00Z', now)).toBe('in 1h');
  });
  it('guess what was meant, but not wildly', () => {
    expect(nearest('wbe-1', ['db-1', 'web-1'])).toBe('web-1');
    expect(nearest('x', ['web-1'])).toBeUndefined();
  });
  it('name images after their source', () => {
    expect(nameFrom('https://x.example/a/Debian_13-generic.qcow2?y=1')).toBe('debian-13-generic');
    expect(nameFrom('/srv/disk.raw.xz')).toBe('disk');
  });
  it('read disks', () => {
    expect(collectDisk('10Gi')).toEqual([{ size: '10Gi' }]);
    expect(collectDisk('size=1Gi,name=data', [{ size: '2Gi' }])).toEqual([{ size: '2Gi' }, { size: '1Gi', name: 'data' }]);
    expect(() => collectDisk('sise=1Gi')).toThrow('cannot use "sise=1Gi"');
  });
  it('read durations', () => {
    expect([parseDuration('90s'), parseDuration('5m'), parseDuration('250ms'), parseDuration('2')]).toEqual([
      90_000, 300_000, 250, 2000,
    ]);
  });
});
