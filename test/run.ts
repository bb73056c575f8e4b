/**
 * `npm test`: says first what it wants, brings the Debian packages, runs the suites one after the other and
 * ends with a table of what was real, simulated or not run, and `N passed, N failed` alone on the last line.
 * Arguments are handed to vitest as filters (`npm test -- store`); a filter that leaves a suite empty skips it.
 */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../appliance/config.ts';
import { CroftError, isCroftError, messageOf } from '../appliance/errors.ts';
import { run } from '../appliance/host/exec.ts';
import { ensurePackages, explainMissing, planPackages } from '../appliance/install/installer.ts';
import { componentTable, mergeUses, readUses, usedComponent } from './report/components.ts';
import { knownComponents } from './report/probe.ts';
import { readSuiteFile, type SuiteResult, totals } from './report/vitest-results.ts';

const home = join(import.meta.dirname, '..');
const suites = [
  {
    name: 'unit, contract, API',
    config: 'vitest.config.ts',
    minutes: 20,
    folders: ['test/unit', 'test/contract', 'test/api', 'test/house-rules'],
  },
  { name: 'system', config: 'vitest.system.config.ts', minutes: 40, folders: ['test/system'] },
  { name: 'console in Chromium', config: 'vitest.e2e.config.ts', minutes: 20, folders: ['test/e2e'] },
];
const print = (line: string): void => void process.stdout.write(`${line}\n`);

async function bringPackages(): Promise<void> {
  const install = !['no', '0', 'false'].includes(process.env.CROFT_INSTALL ?? 'yes');
  const plan = await planPackages('test');
  const size = plan.apt ? `${Math.round(plan.apt.downloadBytes / 1e6)} MB to download` : 'size known after apt-get update';
  print('Croft tests. They take up to 15 minutes on two cores, 3 GB of memory and 3 GB in the temporary directory.');
  print(plan.missing.length === 0 ? 'Debian packages: all there.' : `Debian packages: ${plan.names.join(' ')} (${size}).`);
  const { data } = loadConfig();
  const after = await ensurePackages({ purpose: 'test', install, dataDir: data, log: print, plan });
  if (after.missing.length > 0) {
    const why = install ? 'not root' : 'CROFT_INSTALL=no';
    throw new CroftError(
      'missing-component',
      `Packages are missing and may not be installed (${why}): ${explainMissing(after).join('\n  ')}`,
    );
  }
}

async function hasTests(folders: readonly string[], filters: readonly string[]): Promise<boolean> {
  const listed = await Promise.all(
    folders.map((folder) =>
      readdir(join(home, folder), { recursive: true }).then(
        (names) => names.map((name) => join(folder, name)),
        () => [],
      ),
    ),
  );
  const files = listed.flat().filter((name) => name.endsWith('.test.ts'));
  return filters.length === 0 || files.some((name) => filters.some((filter) => name.includes(filter)));
}

async function runSuite(suite: (typeof suites)[number], filters: string[], directory: string): Promise<SuiteResult> {
  print(`\n== ${suite.name} (vitest, ${suite.config})`);
  const report = join(directory, `${suite.config}.json`);
  const vitest = join(home, 'node_modules/vitest/vitest.mjs');
  const argv: [string, ...string[]] = [
    process.execPath,
    vitest,
    'run',
    '--config',
    suite.config,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...filters,
  ];
  try {
    const { exitCode } = await run(argv, {
      cwd: home,
      timeout: suite.minutes * 60_000,
      okCodes: [0, 1],
      env: { CROFT_TEST_REPORT: join(directory, 'components.ndjson'), NO_COLOR: '1' },
      onLine: print,
    });
    return await readSuiteFile(suite.name, report, exitCode);
  } catch (error) {
    if (!isCroftError(error)) throw error;
    return { name: suite.name, passed: 0, failed: 1, skipped: 0, files: [], problem: messageOf(error) };
  }
}

async function main(): Promise<void> {
  const started = Date.now();
  const filters = process.argv.slice(2);
  await bringPackages();
  const directory = await mkdtemp(join(tmpdir(), 'croft-test-'));
  process.env.CROFT_TEST_REPORT = join(directory, 'components.ndjson');
  try {
    const results: SuiteResult[] = [];
    for (const suite of suites) {
      if (await hasTests(suite.folders, filters)) results.push(await runSuite(suite, filters, directory));
    }
    usedComponent({ component: 'Node.js', mode: 'real' });
    usedComponent({ component: 'Linux', mode: 'real' });
    print(`\n${componentTable(mergeUses(await knownComponents(), readUses(process.env.CROFT_TEST_REPORT)))}\n`);
    for (const suite of results) {
      const problem = suite.problem ? `; ${suite.problem}` : '';
      print(`${suite.name}: ${suite.passed} passed, ${suite.failed} failed, ${suite.skipped} skipped${problem}`);
    }
    if (results.length === 0) throw new CroftError('invalid-input', `No test file matches ${filters.join(' ')}.`);
    print(`${((Date.now() - started) / 60_000).toFixed(1)} minutes`);
    print(totals(results));
    if (results.some((suite) => suite.failed > 0)) process.exitCode = 1;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

try {
  await main();
} catch (error) {
  process.stderr.write(`croft: ${messageOf(error)}\n`);
  print('0 passed, 1 failed');
  process.exitCode = 1;
}
