/**
 * Brings the Debian packages Croft needs.
 *
 * The usual case, everything there, costs one dpkg-query. Otherwise apt is asked what it would do (that plan is
 * what the announcement shows), lists are fetched only when they are missing or don't know a package, and the
 * installation runs without questions, with the packages' daemons kept down (service-guard.ts). What is new on
 * the machine is written to `<data>/installed-packages.json` *before* apt begins, so that a run killed half way
 * is known too; `npm run uninstall -- --purge` removes just those. A failed or killed run is simply repeated:
 * apt keeps what it fetched, dpkg finishes what it began.
 */
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CroftError, isCroftError, messageOf } from '../errors.ts';
import { writeFileAtomic } from '../host/files.ts';
import {
  type AptPlan,
  hasApt,
  hasLists,
  installedPackages,
  installPackages,
  needsUpdate,
  planInstall,
  purgePackages,
  removable,
  repairDpkg,
  updateLists,
} from './apt.ts';
import { debianRelease, type DebianRelease, nameIn, type PackageEntry, packagesFor, type Purpose } from './packages.ts';
import { progressLine } from './progress.ts';
import { removeGuard, withServicesHeld } from './service-guard.ts';

/** Tells a person what goes on, one line at a time. */
export type Log = (line: string) => void;

/** What is missing for a purpose. `apt` is absent while the package lists that would tell sizes aren't there. */
export type InstallPlan = { release?: DebianRelease; missing: PackageEntry[]; names: string[]; apt?: AptPlan };

export type EnsureOptions = {
  purpose: Purpose;
  /** False: nothing is installed, the result says what is missing. */
  install: boolean;
  dataDir: string;
  log: Log;
  /** A plan made a moment ago (for the announcement), so that apt isn't asked twice. */
  plan?: InstallPlan;
  signal?: AbortSignal;
};

const attempts = 3;
const recordFile = 'installed-packages.json';
/** bootstrap.sh notes here what it had to install before Node 26 could run. */
const bootstrapNote = new URL('../../node_modules/.croft-apt', import.meta.url);

const readOr = async (path: string | URL, otherwise: string): Promise<string> => {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return otherwise;
    throw error;
  }
};

/** What is missing, and what apt would do about it. Changes nothing. @throws CroftError in apt's words */
export async function planPackages(purpose: Purpose): Promise<InstallPlan> {
  const release = debianRelease(await readOr('/etc/os-release', ''));
  const wanted = packagesFor(purpose);
  if (!(await hasApt())) return { missing: wanted, names: wanted.map((entry) => entry.name) };
  const nameOf = (entry: PackageEntry): string => nameIn(entry, release ?? '13');
  const there = await installedPackages(wanted.map(nameOf));
  const missing = wanted.filter((entry) => !there.has(nameOf(entry)));
  const plan: InstallPlan = { ...(release ? { release } : {}), missing, names: missing.map(nameOf) };
  if (missing.length === 0 || !release || !(await hasLists())) return plan;
  try {
    return { ...plan, apt: await planInstall(plan.names) };
  } catch (error) {
    // Lists without our packages: they are fetched when we install, the sizes are known then.
    if (isCroftError(error, 'command-failed') && needsUpdate(error.message)) return plan;
    throw error;
  }
}

/** One line per missing package, with what doesn't work without it and the command that brings them all. */
export function explainMissing(plan: InstallPlan): string[] {
  if (plan.missing.length === 0) return [];
  return [
    ...plan.missing.map((entry, index) => `${plan.names[index]}: ${entry.why}`),
    `Install them: apt-get install --no-install-recommends ${plan.names.join(' ')}`,
  ];
}

/**
 * Makes sure the packages for a purpose are there. Returns what is missing: nothing after an installation,
 * and what `install: false` or the lack of root rights left out.
 * @throws CroftError `missing-component` when this isn't Debian 12 or 13, or the installation failed three times
 */
export async function ensurePackages(options: EnsureOptions): Promise<InstallPlan> {
  const root = process.getuid?.() === 0;
  if (root) removeGuard();
  const plan = options.plan ?? (await planPackages(options.purpose));
  if (plan.missing.length === 0 || !options.install || !root) return plan;
  if (!plan.release) {
    throw new CroftError(
      'missing-component',
      `Croft installs packages on Debian 12 and 13 only, and this is neither. Missing: ${plan.names.join(', ')}.`,
      { fix: ['Install these programs yourself, then start with --no-install.'] },
    );
  }
  await installWithRetries(plan, options);
  const after = await planPackages(options.purpose);
  if (after.missing.length > 0) {
    throw new CroftError('missing-component', `apt-get ended well, yet these are not installed: ${after.names.join(', ')}.`);
  }
  return after;
}

async function installWithRetries(plan: InstallPlan, options: EnsureOptions): Promise<void> {
  const { log } = options;
  let apt = plan.apt;
  for (let attempt = 1; ; attempt += 1) {
    try {
      await withServicesHeld(() => repairDpkg(log));
      if (!apt) {
        await updateLists(log);
        apt = await planInstall(plan.names);
      }
      await installOnce(plan.names, apt, options);
      return;
    } catch (error) {
      if (options.signal?.aborted || attempt === attempts || !isCroftError(error)) throw failed(plan, error);
      log(`The installation failed (${messageOf(error)}); trying again, attempt ${attempt + 1} of ${attempts}.`);
      // An archive the mirror no longer has means that the lists are old.
      if (needsUpdate(error.message)) apt = undefined;
      await delay(attempt * 2_000, undefined, options.signal ? { signal: options.signal } : {});
    }
  }
}

const failed = (plan: InstallPlan, error: unknown): CroftError =>
  new CroftError(
    'missing-component',
    `The Debian packages ${plan.names.join(', ')} could not be installed: ${messageOf(error)}`,
    {
      cause: error,
      fix: ['Check the network and the sources of apt, then start again: what was fetched is kept.'],
    },
  );

async function installOnce(names: string[], apt: AptPlan, { dataDir, log, signal }: EnsureOptions): Promise<void> {
  if (apt.removed.length > 0) {
    throw new CroftError('missing-component', `Installing would remove ${apt.removed.join(', ')}; Croft never does that.`);
  }
  await recordPackages(dataDir, apt.fresh);
  const show = progressLine(log);
  await withServicesHeld(() => installPackages(names, show, signal));
}

/** Packages that came onto this machine for Croft; kept while any of them may still be there. */
export async function recordedPackages(dataDir: string): Promise<string[]> {
  const stored = JSON.parse(await readOr(join(dataDir, recordFile), '{"packages":[]}')) as { packages: string[] };
  const noted = (await readOr(bootstrapNote, '')).split('\n').filter(Boolean);
  return [...new Set([...stored.packages, ...noted])].sort();
}

async function recordPackages(dataDir: string, fresh: readonly string[]): Promise<void> {
  const packages = [...new Set([...(await recordedPackages(dataDir)), ...fresh])].sort();
  await mkdir(dataDir, { recursive: true, mode: 0o711 });
  await writeFileAtomic(join(dataDir, recordFile), `${JSON.stringify({ packages }, undefined, 2)}\n`);
}

/**
 * Purges what came for Croft, except what something else on the machine needs by now.
 * @returns what was purged and what was kept
 * @throws CroftError in apt's words
 */
export async function purgeRecorded(dataDir: string, log: Log): Promise<{ purged: string[]; kept: string[] }> {
  const recorded = await recordedPackages(dataDir);
  const there = [...(await installedPackages(recorded))];
  if (there.length === 0) return { purged: [], kept: [] };
  await withServicesHeld(() => repairDpkg(log));
  const purged = await removable(there);
  if (purged.length > 0) {
    log(`Removing ${purged.length} Debian packages that came for Croft.`);
    const show = progressLine(log, 'Removing Debian packages');
    await withServicesHeld(() => purgePackages(purged, show));
  }
  await Promise.all([rm(join(dataDir, recordFile), { force: true }), rm(bootstrapNote, { force: true })]);
  return { purged, kept: there.filter((name) => !purged.includes(name)) };
}
