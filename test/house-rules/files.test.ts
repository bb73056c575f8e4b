/** Rules about single files: size, exports, what must not stand in the tree. */
import { expect, test } from 'vitest';
import { projectFiles, withoutComments } from './sources.ts';

const code = projectFiles('.ts', '.tsx', '.sh');
/** Generated files and the console's catalogue of texts may be long: they are tables. A default export is what these tools read. */
const generated = /\.generated\.ts$|^ui-api\/openapi\.json$|^ui-api\/console\/src\/i18n\/[a-z]+\.ts$/;
const configuration = /\.config\.ts$/;

test('no file is longer than 400 lines', () => {
  const long = code
    .filter((source) => !generated.test(source.path))
    .map((source) => ({ path: source.path, lines: source.text.split('\n').length - 1 }))
    .filter(({ lines }) => lines > 400);
  expect(long).toEqual([]);
});

test('exports have names', () => {
  const found = code
    .filter((source) => !configuration.test(source.path) && /^export default /m.test(withoutComments(source.text)))
    .map((source) => source.path);
  expect(found).toEqual([]);
});

test('file names are kebab-case', () => {
  const found = code
    .map((source) => source.path)
    .filter((path) => !/^[a-z0-9][a-z0-9-]*(\.[a-z0-9-]+)+$/.test(path.split('/').at(-1) as string));
  expect(found).toEqual([]);
});

test('no leftovers (and `any` is the linter’s to refuse: typescript/no-explicit-any)', () => {
  // Spelled apart, so that this file passes its own rule.
  const leftovers = new RegExp(['TO' + 'DO', 'FIX' + 'ME', '\\bX' + 'XX\\b', '@ts-' + 'ignore', '@ts-no' + 'check'].join('|'));
  const found = code.flatMap((source) =>
    source.text
      .split('\n')
      .flatMap((line, index) => (leftovers.test(line) ? [`${source.path}:${index + 1} ${line.trim()}`] : [])),
  );
  expect(found).toEqual([]);
});

test('every public entry point of a subsystem says what it does', () => {
  const undocumented = code
    .filter((source) => /^(appliance|storage|network|ui-api|installer)\//.test(source.path) && source.path.endsWith('.ts'))
    .filter((source) => source.text.split('\n').length > 80 && !/^(#!.*\n)?(\/\*\*|\/\/)/.test(source.text))
    .filter((source) => !/^(import[^;]*;\s*)+\/\*\*/.test(source.text))
    .map((source) => source.path);
  expect(undocumented).toEqual([]);
});

test('nothing in the tree knows the machine it was written on', () => {
  // Spelled apart, for the same reason.
  const machine = new RegExp(
    ['/' + 'work/(main|shared)', '/' + 'root/\\.cache', '/home/\\w+/croft', 'registry\\.npm(js|mirror)[\\w.]*/.*resolved'].join(
      '|',
    ),
  );
  const text = projectFiles(
    '.ts',
    '.tsx',
    '.md',
    '.json',
    '.sh',
    '.yml',
    '.yaml',
    '.c',
    '.css',
    '.html',
    '/croft',
    '/test',
    '/ci',
    '/run',
    '.npmrc',
  );
  const found = text.filter((source) => machine.test(source.text)).map((source) => source.path);
  expect(found).toEqual([]);
});
