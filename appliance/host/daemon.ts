/**
 * Long-lived programs of the box (ovsdb-server, ovs-vswitchd, dnsmasq, Ceph's daemons) where no init system
 * looks after them.
 *
 * They must survive croftd: guests keep their network and disks while it is down. So each runs detached in a
 * session of its own, and `<directory>/<name>.json` says which process it is: pid + start time + boot id, for
 * a pid alone is reused. The record is written while the program is still held before exec, so that a croftd
 * killed in between leaves either no process or a recorded one. On our return a recorded process that lives
 * and was started from the same specification is adopted; one of another specification is replaced.
 *
 * A death is seen at once for our own children (exit event). An adopted process is nobody's child here and
 * Node has no pidfd, so it is looked at once a second. Either way it is started again, with backoff.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { readFile, rm, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CroftError, messageOf } from '../errors.ts';
import { writeFileAtomic } from './files.ts';
import type { Logger } from './logger.ts';
import { bootId, isAlive, readProcess, type ProcessIdentity } from './process-info.ts';

export type DaemonSpec = {
  /** Names its record and log; unique within the directory. */
  name: string;
  /** The program in the foreground: it must not fork into the background itself. */
  argv: readonly [string, ...string[]];
  /** Where `<name>.json` and `<name>.log` are kept. */
  directory: string;
  /** Added to our environment. */
  env?: Record<string, string>;
  uid?: number;
  gid?: number;
  /** What else the running process depends on, e.g. a configuration file's text: another value means replace. */
  fingerprint?: string;
};

export type DaemonOptions = {
  logger: Logger;
  /** True once the daemon serves; asked every 20 ms up to `readyTimeout`. Default: running is enough. */
  ready?: () => Promise<boolean>;
  /** ms, default 10 000. */
  readyTimeout?: number;
  /** Called after each start, with how it came: `adopted` at our return, `restarted` after a death. */
  onUp?: (how: 'started' | 'adopted' | 'restarted') => void;
  onDown?: (reason: string) => void;
};

type DaemonRecord = ProcessIdentity & { bootId: string; spec: string };

const gone: ProcessIdentity = { pid: 0, startTime: 0 };

/** sh holds the program until its record is on disk; a closed pipe (we died) ends it instead. */
const holdScript = 'read go || exit 9; exec "$@" </dev/null';
const checkInterval = 1_000;
const logInterval = 60_000;
const maxLogSize = 4 * 1024 * 1024;
const firstBackoff = 200;
const maxBackoff = 10_000;
/** A daemon that lived this long (ms) begins again with the shortest backoff. */
const stableAfter = 30_000;
const stopTimeout = 5_000;

export class Daemon {
  readonly name: string;
  #spec: DaemonSpec;
  readonly #options: DaemonOptions;
  #process: ProcessIdentity | undefined;
  #child: ChildProcess | undefined;
  #timer: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;
  #backoff = firstBackoff;
  #upSince = 0;
  #supervising = false;
  /** Start, stop and restart happen one after the other. */
  #tail: Promise<unknown> = Promise.resolve();

  constructor(spec: DaemonSpec, options: DaemonOptions) {
    this.name = spec.name;
    this.#spec = spec;
    this.#options = options;
  }

  /** Process id while it runs. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  get logFile(): string {
    return join(this.#spec.directory, `${this.name}.log`);
  }

  get #recordFile(): string {
    return join(this.#spec.directory, `${this.name}.json`);
  }

  /**
   * Adopts the running process or starts one, and supervises it from now on.
   * @throws CroftError `missing-component`, `unavailable` when it does not come up
   */
  start(): Promise<void> {
    return this.#serially(async () => {
      mkdirSync(this.#spec.directory, { recursive: true, mode: 0o711 });
      const adopted = (await this.#adopt()) && (await this.#serves());
      if (!adopted) await this.#launchServing();
      this.#supervising = true;
      // It may have ended since it was looked at, when nobody supervised it.
      if (this.#process) this.#watch();
      else this.#retryLater();
      this.#options.onUp?.(adopted ? 'adopted' : 'started');
    });
  }

  /** Runs it from `spec` from now on; nothing happens when that is what runs already. */
  async respec(spec: DaemonSpec): Promise<void> {
    if (specOf(spec) === specOf(this.#spec) && this.#process && (await isAlive(this.#process))) return;
    await this.#serially(() => this.#end());
    this.#spec = spec;
    await this.start();
  }

  /** Ends it (SIGTERM, after 5 s SIGKILL) and forgets it. Idempotent; also ends one that an earlier croftd started. */
  stop(): Promise<void> {
    return this.#serially(async () => {
      this.#process ??= await this.#recorded();
      await this.#end();
      await rm(this.#recordFile, { force: true });
    });
  }

  /** Lets go of it: the daemon runs on, to be adopted later. */
  release(): void {
    this.#supervising = false;
    clearInterval(this.#timer);
    clearTimeout(this.#retry);
    this.#child?.removeAllListeners();
    this.#child = undefined;
  }

  #serially<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(work);
    this.#tail = result.catch(() => undefined); // The caller gets the failure; the queue only needs the order.
    return result;
  }

  async #recorded(): Promise<DaemonRecord | undefined> {
    let record: DaemonRecord;
    try {
      record = JSON.parse(await readFile(this.#recordFile, 'utf8')) as DaemonRecord;
    } catch {
      return undefined; // No record, or an unreadable one: nothing is known to run.
    }
    if (record.bootId !== (await bootId()) || !(await isAlive(record))) return undefined;
    return record;
  }

  async #adopt(): Promise<boolean> {
    const record = await this.#recorded();
    if (!record) return false;
    this.#process = { pid: record.pid, startTime: record.startTime };
    if (record.spec === specOf(this.#spec)) return true;
    await this.#end();
    return false;
  }

  /** False, and the process ended, when what was adopted does not serve. */
  async #serves(): Promise<boolean> {
    try {
      await this.#untilReady();
      return true;
    } catch (error) {
      this.#options.logger.warn(
        { daemon: this.name, error: messageOf(error) },
        'the daemon found does not serve, starting another',
      );
      await this.#end();
      return false;
    }
  }

  async #launchServing(): Promise<void> {
    try {
      await this.#launch();
      await this.#untilReady();
    } catch (error) {
      // A process that runs but does not serve is taken down, or its death would never come.
      await this.#kill();
      this.#process = undefined;
      throw error;
    }
  }

  async #launch(): Promise<void> {
    const { argv, uid, gid } = this.#spec;
    await this.#boundLog();
    const log = openSync(this.logFile, 'a', 0o640);
    try {
      const child = spawn('/bin/sh', ['-c', holdScript, 'sh', ...argv], {
        detached: true,
        stdio: ['pipe', log, log],
        env: { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin:/usr/bin:/bin`, ...this.#spec.env },
        ...(uid === undefined ? {} : { uid }),
        ...(gid === undefined ? {} : { gid }),
      });
      await this.#record(child);
    } finally {
      closeSync(log);
    }
  }

  async #record(child: ChildProcess): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (cause) =>
        reject(new CroftError('unavailable', `${this.name} could not be started: ${messageOf(cause)}.`, { cause })),
      );
    });
    const found = await readProcess(child.pid as number);
    if (!found) throw new CroftError('unavailable', `${this.name} ended before it was started.`);
    const identity = { pid: found.pid, startTime: found.startTime };
    const record: DaemonRecord = { ...identity, bootId: await bootId(), spec: specOf(this.#spec) };
    await writeFileAtomic(this.#recordFile, JSON.stringify(record));
    this.#process = identity;
    this.#child = child;
    this.#upSince = Date.now();
    child.once('exit', (code, signal) => void this.#ended(identity, signal ?? `code ${code ?? '?'}`));
    // It may have been killed while held; then the exit event tells.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end('go\n');
    child.unref();
  }

  async #untilReady(): Promise<void> {
    const { ready, readyTimeout = 10_000 } = this.#options;
    const deadline = Date.now() + readyTimeout;
    for (;;) {
      const alive = this.#process !== undefined && (await isAlive(this.#process));
      if (!alive) throw await this.#startFailure('ended at once');
      if (!ready || (await ready())) return;
      if (Date.now() > deadline) throw await this.#startFailure(`did not serve within ${readyTimeout} ms`);
      await delay(20);
    }
  }

  async #startFailure(how: string): Promise<CroftError> {
    const child = this.#child;
    // The process may be seen as ended before its exit event has come.
    for (let wait = 0; wait < 25 && child && child.exitCode === null && !(await isAlive(this.#process ?? gone)); wait++)
      await delay(20);
    const log = await readFile(this.logFile, 'utf8').catch(() => '');
    const last = log.trimEnd().split('\n').at(-1)?.slice(0, 300) ?? '';
    if (child?.exitCode === 127) {
      return new CroftError('missing-component', `The program ${this.#spec.argv[0]} is not installed.`);
    }
    return new CroftError('unavailable', `${this.name} ${how}${last ? `: ${last}` : '.'}`);
  }

  #watch(): void {
    clearInterval(this.#timer);
    const own = this.#child !== undefined;
    const identity = this.#process as ProcessIdentity;
    this.#timer = setInterval(
      async () => {
        await this.#boundLog();
        if (!own && !(await isAlive(identity))) await this.#ended(identity, 'it is gone');
      },
      own ? logInterval : checkInterval,
    );
    this.#timer.unref();
  }

  async #ended(identity: ProcessIdentity, reason: string): Promise<void> {
    if (this.#process?.pid !== identity.pid || this.#process.startTime !== identity.startTime) return;
    this.#process = undefined;
    clearInterval(this.#timer);
    if (!this.#supervising) return;
    this.#options.logger.warn({ daemon: this.name, pid: identity.pid, reason }, 'daemon ended, starting it again');
    this.#options.onDown?.(reason);
    if (Date.now() - this.#upSince > stableAfter) this.#backoff = firstBackoff;
    this.#retryLater();
  }

  #retryLater(): void {
    this.#retry = setTimeout(() => {
      void this.#serially(async () => {
        if (!this.#supervising || this.#process) return;
        try {
          await this.#launchServing();
          this.#watch();
          this.#options.onUp?.('restarted');
        } catch (error) {
          this.#options.logger.error({ daemon: this.name, error: messageOf(error) }, 'daemon did not start');
          if (this.#supervising) this.#retryLater();
        }
      });
    }, this.#backoff);
    this.#retry.unref();
    this.#backoff = Math.min(this.#backoff * 2, maxBackoff);
  }

  async #end(): Promise<void> {
    this.#supervising = false;
    clearInterval(this.#timer);
    clearTimeout(this.#retry);
    await this.#kill();
    this.#process = undefined;
    this.#child = undefined;
    this.#backoff = firstBackoff;
  }

  async #kill(): Promise<void> {
    const identity = this.#process;
    if (!identity) return;
    for (const [signal, timeout] of [
      ['SIGTERM', stopTimeout],
      ['SIGKILL', stopTimeout],
    ] as const) {
      if (!(await isAlive(identity))) return;
      try {
        process.kill(identity.pid, signal);
      } catch {
        return; // Gone between the look and the signal.
      }
      for (const deadline = Date.now() + timeout; Date.now() < deadline; await delay(20)) {
        if (!(await isAlive(identity))) return;
      }
    }
    throw new CroftError('invalid-state', `${this.name} (process ${identity.pid}) does not end: it hangs in the kernel.`);
  }

  async #boundLog(): Promise<void> {
    try {
      // Writers append, so truncation takes effect at once and loses only old lines.
      if ((await stat(this.logFile)).size > maxLogSize) await truncate(this.logFile);
    } catch {
      // There is no log yet.
    }
  }
}

const specOf = ({ argv, env, uid, gid, fingerprint }: DaemonSpec): string => JSON.stringify({ argv, env, uid, gid, fingerprint });

/** Starts or adopts a daemon. @throws CroftError `missing-component`, `unavailable` */
export async function superviseDaemon(spec: DaemonSpec, options: DaemonOptions): Promise<Daemon> {
  const daemon = new Daemon(spec, options);
  await daemon.start();
  return daemon;
}
