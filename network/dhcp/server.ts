/**
 * DHCP and DNS of one network: one dnsmasq on the box's leg, supervised, unprivileged after its start.
 *
 * Beside reservations every plugged NIC has a `dhcp-host` file of its own, named after its tap: the record of
 * which address it was given, read back after a restart. Leases are watched in the directory: dnsmasq rewrites
 * its lease file in place, so a read may meet it empty. Reads therefore never overlap, the last one begins after
 * the last event, and a slow look makes up for an event that never came.
 */
import { chownSync, existsSync, mkdirSync, watch, type FSWatcher } from 'node:fs';
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { messageOf } from '../../appliance/errors.ts';
import { Daemon } from '../../appliance/host/daemon.ts';
import { writeFileAtomic } from '../../appliance/host/files.ts';
import type { Logger } from '../../appliance/host/logger.ts';
import { coalesce } from '../coalesce.ts';
import type { Reservation } from './addresses.ts';
import { dnsmasqConfig, type DhcpNetwork } from './config.ts';
import type { DhcpService } from './service.ts';
import { parseLeases, type Lease } from './leases.ts';

/** Whom dnsmasq becomes. */
export type DhcpUser = { name: string; uid: number; gid: number };

/** Debian's own user for it, else nobody. */
export async function findDhcpUser(): Promise<DhcpUser> {
  const lines = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'));
  const found = lines.find(([name]) => name === 'dnsmasq') ?? lines.find(([name]) => name === 'nobody');
  return { name: found?.[0] ?? 'nobody', uid: Number(found?.[2] ?? 65_534), gid: Number(found?.[3] ?? 65_534) };
}

/** Whether `user` may pass all directories down to `path`. */
export async function reachable(path: string, user: DhcpUser): Promise<boolean> {
  for (let at = dirname(path); ; at = dirname(at)) {
    const { mode, uid, gid } = await stat(at);
    const bit = uid === user.uid ? 0o100 : gid === user.gid ? 0o010 : 0o001;
    if ((mode & bit) === 0) return false;
    if (at === dirname(at)) return true;
  }
}

export type DhcpServerOptions = {
  /** Of this network alone: configuration, given addresses, leases. */
  directory: string;
  /** Of this network alone: which process serves it, and its log. */
  runDirectory: string;
  user: DhcpUser;
  logger: Logger;
  onLeases: () => void;
};

const reservedPrefix = 'reserved-';
/** ms between looks at the lease file that no event asked for. */
const lookInterval = 5_000;

export class DhcpServer implements DhcpService {
  readonly #directory: string;
  readonly #hosts: string;
  readonly #leaseDirectory: string;
  readonly #options: DhcpServerOptions;
  #user: DhcpUser = { name: 'root', uid: 0, gid: 0 };
  #daemon: Daemon | undefined;
  #watcher: FSWatcher | undefined;
  #looks: NodeJS.Timeout | undefined;
  #leases: Lease[] = [];
  /** MAC addresses with a reservation. */
  #reserved = new Set<string>();
  /** tap → what it was given. */
  #assigned = new Map<string, Reservation>();

  constructor(options: DhcpServerOptions) {
    this.#options = options;
    this.#directory = options.directory;
    this.#hosts = join(options.directory, 'hosts');
    this.#leaseDirectory = join(options.directory, 'leases');
  }

  get pid(): number | undefined {
    return this.#daemon?.pid;
  }

  get leases(): readonly Lease[] {
    return this.#leases;
  }

  get assigned(): ReadonlyMap<string, Reservation> {
    return this.#assigned;
  }

  /** Reads back what earlier runs gave out; before the first assignment. */
  async load(): Promise<void> {
    const { user, logger } = this.#options;
    for (const path of [this.#directory, this.#hosts, this.#leaseDirectory]) mkdirSync(path, { recursive: true, mode: 0o755 });
    if (await reachable(this.#hosts, user)) this.#user = user;
    else
      logger.warn(
        { directory: this.#directory, user: user.name },
        'the DHCP server runs as root: its user may not enter the data directory',
      );
    chownSync(this.#leaseDirectory, this.#user.uid, this.#user.gid);
    for (const file of await readdir(this.#hosts)) {
      if (file.startsWith(reservedPrefix) || file.includes('.')) continue;
      const [mac, address] = (await readFile(join(this.#hosts, file), 'utf8')).trim().split(',');
      if (mac && address) this.#assigned.set(file, { mac, address });
    }
    this.#follow();
    await this.#readLeases();
  }

  /**
   * Runs dnsmasq for the network as it is now; restarts it where that differs.
   * @param legIndex interface index of the leg: a leg made anew needs a new dnsmasq, its sockets hold the old one
   * @throws CroftError `missing-component`, `unavailable`
   */
  async ensure(network: DhcpNetwork, reservations: readonly Reservation[], legIndex: number): Promise<void> {
    await this.#writeReservations(reservations);
    const config = dnsmasqConfig(network, {
      hosts: this.#hosts,
      leases: join(this.#leaseDirectory, 'dnsmasq.leases'),
      user: this.#user.name,
    });
    const file = join(this.#directory, 'dnsmasq.conf');
    const pidFile = join(this.#options.runDirectory, 'dnsmasq.pid');
    const spec = {
      name: 'dnsmasq',
      directory: this.#options.runDirectory,
      argv: ['dnsmasq', '--keep-in-foreground', `--conf-file=${file}`, `--pid-file=${pidFile}`] as const,
      fingerprint: `${legIndex}\n${config}`,
    };
    await writeFileAtomic(file, config, 0o644);
    // dnsmasq writes it once its sockets are bound and its files read; before that it may still give up.
    const ready = async () => Number(await readFile(pidFile, 'utf8').catch(() => '')) === this.#daemon?.pid;
    this.#daemon ??= new Daemon(spec, { logger: this.#options.logger, ready });
    await this.#daemon.respec(spec);
  }

  /** Gives a NIC its address; the same again is a no-op. */
  async assign(tap: string, given: Reservation): Promise<void> {
    const before = this.#assigned.get(tap);
    if (before?.mac === given.mac && before.address === given.address) return;
    this.#assigned.set(tap, given);
    // A reservation has its own file, and dnsmasq refuses a second one for the same address.
    if (this.#reserved.has(given.mac)) await rm(join(this.#hosts, tap), { force: true });
    else await this.#write(tap, given);
    if (before) this.#reread();
  }

  /** Takes a NIC's address back. Idempotent. */
  async forget(tap: string): Promise<void> {
    if (!this.#assigned.delete(tap)) return;
    await rm(join(this.#hosts, tap), { force: true });
    this.#reread();
  }

  async stop(): Promise<void> {
    this.#unfollow();
    const daemon =
      this.#daemon ?? new Daemon({ name: 'dnsmasq', directory: this.#options.runDirectory, argv: ['dnsmasq'] }, this.#options);
    await daemon.stop();
    this.#daemon = undefined;
  }

  /** Lets go of it; dnsmasq runs on. */
  release(): void {
    this.#unfollow();
    this.#daemon?.release();
  }

  /** Stops it and removes its files, leases included. */
  async remove(): Promise<void> {
    await this.stop();
    await rm(this.#directory, { recursive: true, force: true });
    await rm(this.#options.runDirectory, { recursive: true, force: true });
  }

  async #writeReservations(reservations: readonly Reservation[]): Promise<void> {
    this.#reserved = new Set(reservations.map((each) => each.mac.toLowerCase()));
    const wished = new Map(reservations.map((each) => [`${reservedPrefix}${each.mac.toLowerCase().replaceAll(':', '')}`, each]));
    let changed = false;
    for (const file of await readdir(this.#hosts)) {
      if (!file.startsWith(reservedPrefix) || wished.has(file)) continue;
      await rm(join(this.#hosts, file), { force: true });
      changed = true;
    }
    for (const [file, { mac, address }] of wished) {
      const path = join(this.#hosts, file);
      const before = existsSync(path) ? await readFile(path, 'utf8') : undefined;
      if (before === lineOf({ mac, address })) continue;
      for (const [tap, given] of this.#assigned) {
        if (given.mac === mac.toLowerCase() || given.address === address) await this.forget(tap);
      }
      await this.#write(file, { mac, address });
      changed ||= before !== undefined;
    }
    if (changed) this.#reread();
  }

  // dnsmasq follows its hosts directory by inotify and may see a file as soon as it has a name, so the content
  // comes in one write.
  #write(file: string, given: Reservation): Promise<void> {
    return writeFile(join(this.#hosts, file), lineOf(given), { mode: 0o644 });
  }

  #reread(): void {
    const pid = this.#daemon?.pid;
    if (pid === undefined) return;
    try {
      process.kill(pid, 'SIGHUP');
    } catch {
      // It has just died: its successor reads everything anyway.
    }
  }

  /** Before the first read: a lease given in between would be missed. */
  #follow(): void {
    if (this.#looks) return;
    const look = () => void this.#readLeases().then((changed) => changed && this.#options.onLeases());
    this.#looks = setInterval(look, lookInterval);
    this.#looks.unref();
    const unwatched = (error: unknown) =>
      this.#options.logger.warn({ error: messageOf(error), everyMs: lookInterval }, 'leases are only looked at now and then');
    try {
      this.#watcher = watch(this.#leaseDirectory, look);
      this.#watcher.on('error', unwatched);
    } catch (error) {
      unwatched(error); // The machine's inotify instances are used up: the looks find them too.
    }
  }

  #unfollow(): void {
    clearInterval(this.#looks);
    this.#looks = undefined;
    this.#watcher?.close();
    this.#watcher = undefined;
  }

  /** Resolves with whether there was anything new. */
  readonly #readLeases = coalesce(async (): Promise<boolean> => {
    const file = join(this.#leaseDirectory, 'dnsmasq.leases');
    const text = await readFile(file, 'utf8').catch(() => ''); // None yet: no leases.
    const before = JSON.stringify(this.#leases);
    this.#leases = parseLeases(text);
    return JSON.stringify(this.#leases) !== before;
  });
}

const lineOf = ({ mac, address }: Reservation): string => `${mac.toLowerCase()},${address}\n`;
