/**
 * What apt and dpkg are asked, and how their answers are read. Reading is pure and tested with real output;
 * every call names its deadline, runs without questions and waits for apt's locks instead of failing on them.
 */
import { access, readdir } from 'node:fs/promises';
import { CroftError, isCroftError } from '../errors.ts';
import { run } from '../host/exec.ts';

/** apt says in C what we read; nothing asks anything; needrestart leaves services alone. */
export const aptEnv = {
  LC_ALL: 'C',
  DEBIAN_FRONTEND: 'noninteractive',
  NEEDRESTART_SUSPEND: '1',
  APT_LISTCHANGES_FRONTEND: 'none',
};

const options = ['-o', 'DPkg::Lock::Timeout=600', '-o', 'Acquire::Retries=3', '-o', 'Dpkg::Use-Pty=0'];

/** Packages of `names` that are fully installed, by one dpkg-query (about 10 ms). */
export async function installedPackages(names: readonly string[]): Promise<Set<string>> {
  if (names.length === 0) return new Set();
  const format = '${Package} ${db:Status-Status}\\n';
  // Code 1 says that some of the names are unknown to dpkg: an answer, not a failure.
  const { stdout } = await run(['dpkg-query', '-W', '-f', format, ...names], { okCodes: [0, 1], env: { LC_ALL: 'C' } });
  return parseInstalled(stdout);
}

/** Reads `Package status` lines. A package removed with its settings kept (`config-files`) is not installed. */
export const parseInstalled = (output: string): Set<string> =>
  new Set(
    output
      .split('\n')
      .map((line) => line.split(' '))
      .filter(([, status]) => status === 'installed')
      .map(([name]) => name as string),
  );

/** What an installation would do: `fresh` are new names, `upgraded` are changed ones, sizes in bytes. */
export type AptPlan = { fresh: string[]; upgraded: string[]; removed: string[]; downloadBytes: number; diskBytes: number };

/** Reads `apt-get -s install`: one `Inst name [old] (new …)` or `Remv`/`Purg name [old]` line per package. */
export function parseSimulation(output: string): Pick<AptPlan, 'fresh' | 'upgraded' | 'removed'> {
  const plan = { fresh: [] as string[], upgraded: [] as string[], removed: [] as string[] };
  for (const line of output.split('\n')) {
    const match = /^(Inst|Remv|Purg) (\S+)( \[)?/.exec(line);
    if (!match) continue;
    const list = match[1] !== 'Inst' ? plan.removed : match[3] ? plan.upgraded : plan.fresh;
    list.push(match[2] as string);
  }
  return plan;
}

/** Reads `apt-get --print-uris`: the third field of each line is the archive's size in bytes. */
export const parseUris = (output: string): number =>
  output
    .split('\n')
    .map((line) => /^'[^']+' \S+ (\d+)/.exec(line)?.[1])
    .reduce((sum, size) => sum + Number(size ?? 0), 0);

/** Reads the Installed-Size fields (KiB) of `apt-cache show`, in bytes. */
export const parseInstalledSize = (output: string): number =>
  [...output.matchAll(/^Installed-Size: (\d+)$/gm)].reduce((sum, [, kib]) => sum + Number(kib) * 1024, 0);

/** True when apt's words mean that its package lists are missing or out of date. */
export const needsUpdate = (message: string): boolean =>
  /Unable to locate package|no installation candidate|has no available|404 +Not Found|Failed to fetch|Hash Sum mismatch|Unable to fetch/i.test(
    message,
  );

/** True when apt has package lists at all (a minimal system often has none). */
export async function hasLists(): Promise<boolean> {
  try {
    return (await readdir('/var/lib/apt/lists')).some((name) => /_Packages(\.\w+)?$/.test(name));
  } catch {
    return false;
  }
}

/**
 * What installing `names` would do. Changes nothing.
 * @throws CroftError `command-failed` in apt's words, e.g. when a name is unknown to its lists
 */
export async function planInstall(names: readonly string[]): Promise<AptPlan> {
  const arguments_ = ['install', '--no-install-recommends', ...names];
  const [simulation, uris] = await Promise.all([
    apt(['-s', '-q', ...arguments_], { timeout: 120_000 }),
    apt(['--print-uris', '-qq', '-y', ...arguments_], { timeout: 120_000 }),
  ]);
  const plan = parseSimulation(simulation);
  const shown = plan.fresh.length === 0 ? '' : (await runApt(['apt-cache', 'show', '--no-all-versions', ...plan.fresh])).stdout;
  return { ...plan, downloadBytes: parseUris(uris), diskBytes: parseInstalledSize(shown) };
}

/** Finishes what a killed dpkg left half done; without this every later apt run fails. */
export async function repairDpkg(log: (line: string) => void): Promise<void> {
  const updates = await readdir('/var/lib/dpkg/updates').catch(() => [] as string[]);
  const { stdout } = await run(['dpkg', '--audit'], { okCodes: [0, 1], env: aptEnv });
  if (updates.length === 0 && stdout.trim() === '') return;
  log('An earlier installation was cut off; finishing it (dpkg --configure -a).');
  await run(['dpkg', '--configure', '-a', '--force-confdef', '--force-confold'], { timeout: 900_000, env: aptEnv });
}

export const updateLists = async (log: (line: string) => void): Promise<void> => {
  log('Fetching the package lists (apt-get update).');
  await apt(['update', '-q'], { timeout: 600_000 });
};

/** Installs; `onStatus` gets apt's machine-readable progress lines. Never removes or downgrades anything. */
export async function installPackages(names: readonly string[], onStatus: (line: string) => void, signal?: AbortSignal) {
  const keepSettings = ['-o', 'Dpkg::Options::=--force-confdef', '-o', 'Dpkg::Options::=--force-confold'];
  const arguments_ = ['install', '-y', '-q', '--no-install-recommends', '--no-remove'];
  await apt([...arguments_, ...keepSettings, ...names], { timeout: 3_600_000, onLine: onStatus, ...(signal ? { signal } : {}) });
}

/**
 * Which of `names` nothing else on the machine needs: they are marked automatic and apt is asked what it would
 * clean away. Recommends don't count: they were not there before, and what recommends them lived without.
 */
export async function removable(names: readonly string[]): Promise<string[]> {
  await runApt(['apt-mark', 'auto', ...names]);
  const loose = ['-o', 'APT::AutoRemove::RecommendsImportant=false', '-o', 'APT::AutoRemove::SuggestsImportant=false'];
  const { removed } = parseSimulation(await apt(['-s', '-q', ...loose, 'autoremove'], { timeout: 120_000 }));
  return removed.filter((name) => names.includes(name));
}

/** Purges exactly `names`. @throws CroftError `in-use` when apt would take anything else along */
export async function purgePackages(names: readonly string[], onStatus: (line: string) => void): Promise<void> {
  const { removed } = parseSimulation(await apt(['-s', '-q', 'purge', ...names], { timeout: 120_000 }));
  const others = removed.filter((name) => !names.includes(name));
  if (others.length > 0) {
    throw new CroftError('in-use', `Removing Croft's packages would remove ${others.join(', ')} too; they are left installed.`);
  }
  await apt(['purge', '-y', '-q', ...names], { timeout: 1_800_000, onLine: onStatus });
}

/**
 * apt marks its status descriptor close-on-exec. Given 1, maintainer scripts would have no standard output (seen in
 * Debian 12: postinst of uuid-runtime fails on "Bad file descriptor"), so the status goes to a copy of it.
 */
const withStatus = ['/bin/sh', '-c', 'exec 3>&1; exec "$@"', 'apt'] as const;
const statusOption = ['-o', 'APT::Status-Fd=3'];

type AptOptions = { timeout: number; onLine?: (line: string) => void; signal?: AbortSignal };

async function apt(arguments_: string[], { timeout, onLine, signal }: AptOptions): Promise<string> {
  const argv: [string, ...string[]] = ['apt-get', ...options, ...arguments_];
  const { stdout } = await runApt(onLine ? [...withStatus, ...argv, ...statusOption] : argv, { timeout, onLine, signal });
  return stdout;
}

/** Runs one of apt's programs and, when it fails, keeps its and dpkg's complaints: the last line alone often says nothing. */
async function runApt(argv: [string, ...string[]], given: Partial<AptOptions> = {}) {
  const complaints: string[] = [];
  const onLine = (line: string): void => {
    if (/^(E|dpkg): /.test(line)) complaints.push(line.replace(/^E: /, ''));
    given.onLine?.(line);
  };
  try {
    return await run(argv, {
      timeout: given.timeout ?? 120_000,
      env: aptEnv,
      onLine,
      ...(given.signal ? { signal: given.signal } : {}),
    });
  } catch (error) {
    if (!isCroftError(error, 'command-failed') || complaints.length === 0) throw error;
    throw new CroftError('command-failed', `apt: ${complaints.slice(0, 5).join('; ')}`, { cause: error });
  }
}

/** True where apt and dpkg are. */
export const hasApt = (): Promise<boolean> =>
  Promise.all(['/usr/bin/apt-get', '/usr/bin/dpkg-query'].map((path) => access(path))).then(
    () => true,
    () => false,
  );
