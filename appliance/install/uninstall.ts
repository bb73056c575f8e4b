/**
 * `npm run uninstall`: the machine as it was before Croft. In this order, so that nothing is taken from under
 * something that runs: guests (refused, or ended with --force), service, bridge, taps and packet filter, Croft's daemons,
 * kernel settings, the run directory; with --purge also data, cache and the packages that came for Croft.
 * Everything can be repeated: a second run finds what a first one left.
 */
import { access, readdir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openBoxK3s, readBoxK3s } from '../cluster/join/box-k3s.ts';
import type { K3s } from '../cluster/k3s.ts';
import { k3sOf, k3sPaths, readWish } from '../cluster/membership.ts';
import type { Config } from '../config.ts';
import { CroftError, messageOf } from '../errors.ts';
import { HostChanges } from '../host/host-changes.ts';
import { silentLogger } from '../host/logger.ts';
import { removeCgroups } from '../qemu/cgroup.ts';
import { removeLeftLinks, removeNetwork } from './host-network.ts';
import { type Log, purgeRecorded } from './installer.ts';
import { endProcesses, runningDaemons, runningGuests, runningService } from './running.ts';
import { removeGuard } from './service-guard.ts';

export type UninstallOptions = {
  dataDir: string;
  runDir: string;
  cacheDir: string;
  /** Also data, cache and packages. */
  purge: boolean;
  /** End running guests as if their power were cut. */
  force: boolean;
  log: Log;
  /** False: bridge, taps and packet filter stay (boxes that share a machine's network, tests). Default true. */
  network?: boolean;
};

/** Milliseconds a process gets to end by itself. Guests write their disks out on SIGTERM; the service drains requests. */
const grace = { guest: 10_000, service: 15_000, daemon: 5_000 };

/** Croft's own entries of its data directory; a directory that holds more is left, less these. */
const dataEntries = [
  'store.db',
  'store.db-wal',
  'store.db-shm',
  'box.db',
  'box.db-wal',
  'box.db-shm',
  'keys',
  'pools',
  'backup',
  'ceph',
  'dhcp',
  'efi',
  'seeds',
  'image-work',
  'exports',
  'k3s',
  'k3s.json',
  'cluster.json',
  'peer.json',
  'peer-kubeconfig.yaml',
  'box-id',
  'run',
  'host-changes.json',
  'installed-packages.json',
];
const cacheEntries = ['compile', 'k3s', 'tiny', 'debian', 'images', 'roots', 'lab', 'lint', 'debs'];

/**
 * Removes Croft from the machine.
 * @returns what could not be undone, in words; empty when the machine is as it was
 * @throws CroftError `invalid-state` when guests run and `force` isn't set
 */
export async function uninstall(options: UninstallOptions): Promise<string[]> {
  const { dataDir, runDir, log } = options;
  const left: string[] = [];
  await endGuests(options, left);
  const service = await runningService(runDir);
  if (service) {
    log(`Stopping the service (pid ${service.pid}).`);
    await end([service], grace.service, left);
  }
  if (options.network ?? true) left.push(...(await removeNetwork(await ovsSockets(runDir))));
  const daemons = await runningDaemons(runDir);
  if (daemons.length > 0) {
    log(`Stopping ${daemons.map((daemon) => daemon.label).join(', ')}.`);
    await end(daemons, grace.daemon, left);
  }
  left.push(...(await removeK3s(options)));
  // A switch that was dead already could not take its own links away.
  if (options.network ?? true) left.push(...(await removeLeftLinks(await ownsSwitch(runDir))));
  left.push(...(await new HostChanges(join(dataDir, 'host-changes.json')).restoreAll()));
  if (process.getuid?.() === 0) removeGuard();
  await removeCgroups(await readdir(join(runDir, 'vms')).catch(() => []));
  await rm(runDir, { recursive: true, force: true });
  if (options.purge) await purge(options, left);
  log(left.length === 0 ? 'Done: the machine is as it was.' : `Not undone: ${left.join('; ')}.`);
  if (!options.purge) log(`Kept: ${dataDir} and the Debian packages. Remove them too: npm run uninstall -- --purge`);
  return left;
}

/**
 * `croft uninstall [--purge] [--force]`. @returns the exit code: 1 when something could not be undone
 * @throws CroftError `invalid-input` for another argument, else as uninstall()
 */
export async function uninstallCommand(args: string[], config: Config): Promise<number> {
  const { purge, force } = readFlags(args);
  const log: Log = (line) => void process.stdout.write(`${line}\n`);
  const left = await uninstall({ dataDir: config.data, runDir: config.run, cacheDir: config.cache, purge, force, log });
  return left.length === 0 ? 0 : 1;
}

function readFlags(args: string[]): { purge: boolean; force: boolean } {
  const options = { purge: { type: 'boolean', default: false }, force: { type: 'boolean', default: false } } as const;
  try {
    return parseArgs({ args, options }).values;
  } catch (error) {
    throw new CroftError('invalid-input', `uninstall: ${messageOf(error)} It knows --purge and --force.`, { cause: error });
  }
}

async function endGuests({ runDir, force, log }: UninstallOptions, left: string[]): Promise<void> {
  const guests = await runningGuests(runDir);
  if (guests.length === 0) return;
  const names = guests.map((guest) => guest.label).join(', ');
  if (!force) {
    throw new CroftError('invalid-state', `${guests.length} guests run: ${names}.`, {
      fix: ['croft vm stop --all', 'npm run uninstall -- --force   (as if their power were cut)'],
    });
  }
  // The service would start them again: it goes first.
  const service = await runningService(runDir);
  if (service) await end([service], grace.service, left);
  log(`Ending ${guests.length} guests: ${names}.`);
  await end(await runningGuests(runDir), grace.guest, left);
}

/** Of a box that founded its cluster or joined one; a box on a cluster that it does not run has none. */
async function ownK3s(directories: { data: string; run: string }): Promise<K3s | undefined> {
  const wish = await readWish(directories);
  if (wish) return k3sOf(directories, wish, silentLogger());
  const made = await readBoxK3s(directories.data);
  return made && openBoxK3s(directories.data, made, silentLogger());
}

/** Ends what k3s left running: pods, mounts, cgroups; its data and program with --purge. */
async function removeK3s({ dataDir, runDir, purge, log }: UninstallOptions): Promise<string[]> {
  const directories = { data: dataDir, run: runDir };
  try {
    const k3s = await ownK3s(directories);
    if (!k3s) return [];
    log(purge ? 'Removing Kubernetes (k3s) with all that is in it.' : 'Ending Kubernetes (k3s) and its pods.');
    if (!purge) {
      await k3s.dismantle();
      return [];
    }
    await k3s.reset();
    // Made by k3s at fixed places (k3s' own uninstall script).
    for (const path of ['/run/k3s', '/var/lib/kubelet']) await removeUnlessMounted(path);
    await rm(k3sPaths(directories).home, { recursive: true, force: true });
    return [];
  } catch (error) {
    return [`Kubernetes: ${messageOf(error)}`];
  }
}

/** Empties a directory, then removes it unless it is somebody's mount. Absent: nothing to do. */
async function removeUnlessMounted(path: string): Promise<void> {
  try {
    for (const entry of await readdir(path)) await rm(join(path, entry), { recursive: true, force: true });
    await rmdir(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EBUSY' && code !== 'ENOENT') throw error;
  }
}

async function end(processes: Parameters<typeof endProcesses>[0], wait: number, left: string[]): Promise<void> {
  const stuck = await endProcesses(processes, wait);
  left.push(...stuck.map((one) => `${one.label} (pid ${one.pid}) does not end: it hangs in the kernel`));
}

const ownsSwitch = (runDir: string): Promise<boolean> =>
  access(join(runDir, 'ovs')).then(
    () => true,
    () => false,
  );

/** Databases of an Open vSwitch that may hold our bridge: the system's and our own. */
async function ovsSockets(runDir: string): Promise<string[]> {
  const candidates = ['/run/openvswitch/db.sock', join(runDir, 'ovs', 'db.sock')];
  const there = await Promise.all(
    candidates.map((path) =>
      access(path).then(
        () => true,
        () => false,
      ),
    ),
  );
  return candidates.filter((_, index) => there[index]);
}

async function purge({ dataDir, cacheDir, log }: UninstallOptions, left: string[]): Promise<void> {
  try {
    const { kept } = await purgeRecorded(dataDir, log);
    if (kept.length > 0) log(`Kept, because Debian protects them or something else needs them: ${kept.join(' ')}.`);
  } catch (error) {
    // Data is removed all the same, but not the record of packages: the next --purge needs it.
    left.push(`Debian packages: ${messageOf(error)}`);
  }
  const record = left.length === 0 ? [] : ['installed-packages.json', 'host-changes.json'];
  log(`Removing ${dataDir} and ${cacheDir}.`);
  await removeEntries(
    dataDir,
    dataEntries.filter((name) => !record.includes(name)),
  );
  await removeEntries(cacheDir, cacheEntries);
}

/** Removes entries, then the directory itself if nothing else is in it. */
async function removeEntries(directory: string, entries: readonly string[]): Promise<void> {
  for (const entry of entries) await rm(join(directory, entry), { recursive: true, force: true });
  try {
    await rmdir(directory);
  } catch (error) {
    // Not empty: somebody else's files, or a record that is still needed. Absent: nothing to do.
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST' && code !== 'ENOENT' && code !== 'EBUSY') throw error;
  }
}
