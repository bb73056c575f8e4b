/**
 * `npm run ci`: types, lint, format, drift of generated files, then `npm test`. Everything is run even if an
 * earlier step failed; the list at the end says what to mend. `--quick` leaves the tests out.
 *
 * Linter and formatter are installed apart from the project (pinned below) into the cache: not every npm mirror
 * carries their packages for all platforms, and a lock file with them could then not be installed at all.
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadConfig } from '../appliance/config.ts';
import { isCroftError, messageOf } from '../appliance/errors.ts';
import { run } from '../appliance/host/exec.ts';

const home = join(import.meta.dirname, '..');
const lintTools = { '@biomejs/biome': '2.6.8', oxlint: '1.94.0', 'oxlint-tsgolint': '7.0.2007' };
const print = (line: string): void => void process.stdout.write(`${line}\n`);

/** Brings the pinned tools; returns their bin directory. */
async function bringLintTools(): Promise<string> {
  const prefix = join(loadConfig().cache, 'lint');
  const wanted = Object.entries(lintTools).map(([name, version]) => `${name}@${version}`);
  const stamp = join(prefix, `installed-${wanted.join('_').replaceAll(/[@/]/g, '-')}`);
  if (!existsSync(stamp)) {
    await mkdir(prefix, { recursive: true });
    const flags = ['--no-save', '--no-package-lock', '--no-audit', '--no-fund', '--prefix', prefix];
    await run(['npm', 'install', ...flags, ...wanted], { cwd: prefix, timeout: 300_000 });
    await writeFile(stamp, '');
  }
  return join(prefix, 'node_modules', '.bin');
}

async function generators(): Promise<string[]> {
  const folder = join(home, 'test/generate');
  const names = (await readdir(folder)).sort();
  return names.filter((name) => name.endsWith('.ts') && name !== 'settle.ts').map((name) => join(folder, name));
}

type Step = { name: string; argv: [string, ...string[]]; env?: Record<string, string>; minutes?: number };

async function steps(quick: boolean): Promise<Step[]> {
  const tools = await bringLintTools();
  const node = process.execPath;
  const drift = (await generators()).map(
    (path): Step => ({ name: `drift: ${path.slice(home.length + 1)}`, argv: [node, path, '--check'] }),
  );
  return [
    { name: 'types', argv: [node, join(home, 'node_modules/typescript/bin/tsc'), '--noEmit'] },
    {
      name: 'types of the console',
      argv: [node, join(home, 'node_modules/typescript/bin/tsc'), '--noEmit', '-p', 'ui-api/console/tsconfig.json'],
    },
    {
      name: 'lint',
      argv: [join(tools, 'oxlint'), '--type-aware', '--quiet', '.'],
      // oxlint looks for its type-aware half in the project's node_modules, where it isn't.
      env: { OXLINT_TSGOLINT_PATH: join(tools, 'tsgolint') },
    },
    { name: 'format', argv: [join(tools, 'biome'), 'format', '.'] },
    ...drift,
    ...(quick ? [] : [{ name: 'tests', argv: [join(home, 'bin/test')] as [string], minutes: 60 }]),
  ];
}

/** Runs a step; its output is shown as it comes. @returns why it failed */
async function fails(step: Step): Promise<string | undefined> {
  print(`\n== ${step.name}`);
  try {
    await run(step.argv, {
      cwd: home,
      timeout: (step.minutes ?? 5) * 60_000,
      onLine: print,
      ...(step.env ? { env: step.env } : {}),
    });
    return undefined;
  } catch (error) {
    if (!isCroftError(error)) throw error;
    return messageOf(error);
  }
}

const failures: string[] = [];
try {
  for (const step of await steps(process.argv.includes('--quick'))) {
    const why = await fails(step);
    if (why) failures.push(`${step.name}: ${why}`);
  }
} catch (error) {
  failures.push(messageOf(error));
}
print(
  failures.length === 0 ? '\nci: all well' : `\nci: ${failures.length} failed\n${failures.map((line) => `  ${line}`).join('\n')}`,
);
if (failures.length > 0) process.exitCode = 1;
