/** Import directions (docs/architecture.md, *Layout*): what a part may know of the others. */
import { expect, test } from 'vitest';
import { importsOf, projectFiles, type Source } from './sources.ts';

const parts = ['appliance', 'storage', 'network', 'ui-api', 'installer'];
const sources = projectFiles('.ts', '.tsx').filter((source) => parts.includes(source.path.split('/')[0] as string));

type Rule = {
  why: string;
  /** Files the rule speaks of. */
  from: (path: string) => boolean;
  /** Imports (paths in the tree, packages) they must not have. */
  forbidden: (target: string) => boolean;
};

const under =
  (...folders: string[]) =>
  (path: string) =>
    folders.some((folder) => path === folder || path.startsWith(`${folder}/`));
/** The places where everything comes together: the only ones that name implementations. */
const assembly = [
  'appliance/compose.ts',
  'appliance/compose-api.ts',
  'appliance/main.ts',
  'appliance/start.ts',
  'appliance/dev.ts',
];
const sharedByDrivers = under(
  'appliance/resources',
  'appliance/store',
  'appliance/reconcile',
  'appliance/host',
  'appliance/errors.ts',
  'appliance/config.ts',
  'appliance/ports.ts',
);

const rules: Rule[] = [
  {
    why: 'storage and network see of the appliance only resources, store, reconcile, host, errors, config, ports',
    from: under('storage', 'network'),
    forbidden: (target) => under('appliance')(target) && !sharedByDrivers(target),
  },
  {
    why: 'storage and network know neither each other nor the API',
    from: under('storage'),
    forbidden: under('network', 'ui-api', 'installer'),
  },
  {
    why: 'storage and network know neither each other nor the API',
    from: under('network'),
    forbidden: under('storage', 'ui-api', 'installer'),
  },
  {
    why: 'appliance/vm sees only the driver interfaces',
    from: under('appliance/vm'),
    forbidden: (target) =>
      under('storage', 'network')(target) && target !== 'storage/driver.ts' && target !== 'network/driver.ts',
  },
  {
    why: 'the API is reached from compose and main only',
    from: (path) => under('appliance')(path) && !assembly.includes(path) && !under('appliance/compose', 'appliance/demo')(path),
    forbidden: under('ui-api', 'installer'),
  },
  {
    why: 'implementations are imported by compose only',
    from: (path) =>
      under('appliance')(path) &&
      !assembly.includes(path) &&
      !under('appliance/compose', 'appliance/demo', 'appliance/vm', 'appliance/install')(path),
    forbidden: (target) =>
      under('storage', 'network')(target) && target !== 'storage/driver.ts' && target !== 'network/driver.ts',
  },
  {
    why: 'the product never imports its tests',
    from: () => true,
    forbidden: under('test'),
  },
];

const broken = (rule: Rule, source: Source): string[] =>
  importsOf(source)
    .filter(({ target }) => rule.forbidden(target))
    .map(({ target }) => `${source.path} imports ${target}`);

test.each(rules)('$why', (rule) => {
  const found = sources.filter((source) => rule.from(source.path)).flatMap((source) => broken(rule, source));
  expect(found).toEqual([]);
});

test('only these files start processes themselves', () => {
  const allowed = ['appliance/host/exec.ts', 'appliance/host/daemon.ts', 'appliance/host/worker.ts', 'appliance/qemu/process.ts'];
  const starters = /^(node:)?(child_process|cluster)$|^execa$/;
  const found = sources
    .filter((source) => !allowed.includes(source.path))
    .filter((source) => importsOf(source).some(({ target, typeOnly }) => !typeOnly && starters.test(target)))
    .map((source) => source.path);
  expect(found).toEqual([]);
});

test('relative imports name their file with its ending', () => {
  const found = sources.flatMap((source) =>
    importsOf(source)
      .filter(({ target }) => parts.some((part) => target.startsWith(`${part}/`)) && !/\.(ts|tsx|json|css)$/.test(target))
      .map(({ target }) => `${source.path} imports ${target}`),
  );
  expect(found).toEqual([]);
});
