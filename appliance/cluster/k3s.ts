/**
 * The box's Kubernetes: k3s, driven only by its documented command line and files.
 *
 * install puts the binary and its air-gap images in place, configure writes config.yaml, start runs `k3s server`
 * or `k3s agent` (a systemd unit where systemd is, a supervised process elsewhere) and waits until the API
 * answers, status explains how it is in words, watch reports changes of that, stop ends k3s and leaves pods
 * running (as k3s does), reset ends the pods too and removes everything (k3s-clean.ts). Nothing here reads k3s'
 * internals: the same code drives a release and the lab stand-in, and `version` tells which of them it is.
 */
import { X509Certificate } from 'node:crypto';
import { chmod, copyFile, mkdir, readFile, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CroftError, isCroftError, messageOf } from '../errors.ts';
import { Daemon } from '../host/daemon.ts';
import { run, type RunOptions, type RunResult } from '../host/exec.ts';
import { writeFileAtomic } from '../host/files.ts';
import type { Logger } from '../host/logger.ts';
import { readProcess, ticksPerSecond } from '../host/process-info.ts';
import { cleanUp, inNode } from './k3s-clean.ts';
import { k3sConfig, k3sUnit, type K3sPlan } from './k3s-config.ts';

export type K3sOptions = {
  /** Where the k3s program is, or shall be installed. */
  binary: string;
  configFile: string;
  /** Record and log of the supervised process. */
  runDir: string;
  plan: K3sPlan;
  /** `systemd` writes and uses k3s.service; `process` supervises it ourselves. */
  supervisor: 'systemd' | 'process';
  /** Where kubelet puts its cgroups, from the plan's kubelet argument `cgroup-root`. Default `/`. */
  cgroupRoot?: string;
  /** argv put before every program that belongs to the node, e.g. nsenter into the node's namespaces. Default none. */
  enter?: readonly string[];
  logger: Logger;
};

/** `version` is Kubernetes' (v1.36.3); `standIn` is true for the lab's substitute, which is never to be called k3s. */
export type K3sVersion = { version: string; standIn: boolean };

export type K3sState = 'not-installed' | 'stopped' | 'starting' | 'ready' | 'degraded';
/** `words` says in one sentence what is the matter, or that nothing is. `saidAt`: when the node said that it is Ready, ms. */
export type K3sStatus = { state: K3sState; nodeReady: boolean; words: string; saidAt?: number };

/** What a k3s binary says of itself. @throws CroftError `invalid-input` when it is neither */
export function parseVersion(output: string): K3sVersion {
  const release = /^k3s version (v\d+\.\d+\.\d+)\S*/m.exec(output);
  if (release) return { version: release[1] as string, standIn: false };
  const standIn = /^Croft lab stand-in .* Kubernetes (v\d+\.\d+\.\d+)/m.exec(output);
  if (standIn) return { version: standIn[1] as string, standIn: true };
  throw new CroftError('invalid-input', `This is no k3s binary: --version printed ${JSON.stringify(output.slice(0, 100))}.`);
}

export class K3s {
  readonly #options: K3sOptions;
  readonly #daemon: Daemon;

  constructor(options: K3sOptions) {
    this.#options = options;
    this.#daemon = new Daemon(this.#daemonSpec(''), { logger: options.logger });
  }

  get #command(): 'server' | 'agent' {
    return this.#options.plan.role === 'agent' ? 'agent' : 'server';
  }

  /** A daemon is replaced when its configuration is another than the one it was started with. */
  #daemonSpec(config: string) {
    const { binary, configFile, enter = [], runDir } = this.#options;
    const argv = inNode(enter, binary, this.#command, '--config', configFile);
    return { name: 'k3s', argv, directory: runDir, fingerprint: config };
  }

  /** @throws CroftError `missing-component` (not installed), `invalid-input` (not k3s) */
  async version(): Promise<K3sVersion> {
    return parseVersion((await run([this.#options.binary, '--version'], { timeout: 20_000 })).stdout);
  }

  /**
   * Copies a k3s binary, and image archives for a box without internet, to where k3s looks for them.
   * @throws CroftError `invalid-input` when `source` is not a k3s binary for this machine
   */
  async install(source: string, images: readonly string[] = []): Promise<K3sVersion> {
    const { binary, plan } = this.#options;
    await mkdir(dirname(binary), { recursive: true });
    const incoming = `${binary}.new`;
    await copyFile(source, incoming);
    await chmod(incoming, 0o755);
    try {
      const { stdout } = await run([incoming, '--version'], { timeout: 20_000 });
      const version = parseVersion(stdout);
      await rename(incoming, binary);
      const directory = join(plan.dataDir, 'agent', 'images');
      await mkdir(directory, { recursive: true, mode: 0o700 });
      for (const image of images) await copyFile(image, join(directory, basename(image)));
      return version;
    } catch (error) {
      await rm(incoming, { force: true });
      if (isCroftError(error, 'invalid-input')) throw error;
      throw new CroftError('invalid-input', `${source} does not run as k3s here: ${messageOf(error)}`, { cause: error });
    }
  }

  /** Writes config.yaml (owner-only: it may hold the token), and the unit where systemd runs it. Takes effect at the next start. */
  async configure(): Promise<void> {
    const { binary, configFile, plan, supervisor } = this.#options;
    await mkdir(dirname(configFile), { recursive: true, mode: 0o755 });
    await writeFileAtomic(configFile, k3sConfig(plan));
    if (supervisor !== 'systemd') return;
    await writeFileAtomic('/etc/systemd/system/k3s.service', k3sUnit({ binary, command: this.#command, configFile }), 0o644);
    await run(['systemctl', 'daemon-reload']);
  }

  /** Puts a manifest where k3s applies it by itself, at each start and change. `name` without extension. */
  async addManifest(name: string, yaml: string): Promise<void> {
    const directory = join(this.#options.plan.dataDir, 'server', 'manifests');
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await writeFileAtomic(join(directory, `${name}.yaml`), yaml);
  }

  /**
   * Starts k3s, or takes over the one that runs, and waits until this node's API answers and the node is Ready, as this
   * k3s says itself: Kubernetes has not missed a node yet that was away for less than its grace.
   * @param timeout ms for all of it
   * @throws CroftError `unavailable` with what k3s said last
   */
  async start(timeout = 120_000): Promise<void> {
    if (this.#options.supervisor === 'systemd') {
      await run(['systemctl', 'enable', '--now', 'k3s.service'], { timeout });
    } else {
      await this.#daemon.respec(this.#daemonSpec(await readFile(this.#options.configFile, 'utf8')));
    }
    const deadline = Date.now() + timeout;
    for (;;) {
      const status = await this.status();
      if (status.state === 'ready' && speaksOfThis(status.saidAt, await this.#startedAt(), Date.now())) return;
      if (Date.now() > deadline) {
        throw new CroftError('unavailable', `k3s is not ready after ${Math.round(timeout / 1000)} s: ${status.words}`);
      }
      await delay(200);
    }
  }

  /** How it is now; never throws for a cluster that is down. A supervised k3s counts as running once `start` has found or made it. */
  async status(): Promise<K3sStatus> {
    const { binary, plan } = this.#options;
    if (!(await isFile(binary))) return down('not-installed', `k3s is not installed at ${binary}.`);
    if (!(await this.#isRunning())) return down('stopped', 'k3s is not running on this box; its pods may be.');
    if (!(await isFile(this.#kubeconfig))) return down('starting', 'k3s is starting.');
    try {
      await this.kubectl(['get', '--raw', '/readyz', '--request-timeout=5s'], { timeout: 8_000 });
    } catch (error) {
      return down('starting', `The API server does not answer yet: ${messageOf(error)}`);
    }
    const path = ['status', 'lastHeartbeatTime', 'message'].map((field) => `{.status.conditions[?(@.type=="Ready")].${field}}`);
    const node = await this.kubectl(
      ['get', 'node', plan.nodeName, '-o', `jsonpath=${path.join('{"|"}')}`, '--request-timeout=5s'],
      {
        timeout: 8_000,
        okCodes: [0, 1],
      },
    );
    const [ready, saidAt = '', message] = node.stdout.split('|');
    if (ready === 'True') {
      return { state: 'ready', nodeReady: true, words: 'The API answers and this node is Ready.', saidAt: Date.parse(saidAt) };
    }
    return down(
      'degraded',
      `The API answers, but node ${plan.nodeName} is not Ready: ${message || node.stderr || 'it has not registered yet'}`,
    );
  }

  async #isRunning(): Promise<boolean> {
    if (this.#options.supervisor === 'process') return this.#daemon.pid !== undefined;
    return (await run(['systemctl', 'is-active', '--quiet', 'k3s.service'], { okCodes: [0, 3, 4] })).exitCode === 0;
  }

  /** When the k3s that runs was started, ms; undefined when none runs. */
  async #startedAt(): Promise<number | undefined> {
    const pid = this.#options.supervisor === 'process' ? this.#daemon.pid : await unitPid();
    const found = pid === undefined ? undefined : await readProcess(pid);
    if (!found) return undefined;
    return Date.now() - ((await uptime()) - found.startTime / ticksPerSecond) * 1000;
  }

  /** Process id of k3s while a supervised one runs. */
  get pid(): number | undefined {
    return this.#daemon.pid;
  }

  /** Calls `onChange` now and whenever state or words change, looking every `interval` ms, until `signal` aborts. */
  async watch(onChange: (status: K3sStatus) => void, signal: AbortSignal, interval = 5_000): Promise<void> {
    let last = '';
    while (!signal.aborted) {
      const status = await this.status();
      const text = `${status.state} ${status.words}`;
      if (text !== last) onChange(status);
      last = text;
      await delay(interval, undefined, { signal }).catch(() => undefined); // Aborted: the loop ends.
    }
  }

  /** The administrator's on a server; an agent has only its kubelet's, which may see its own node. */
  get #kubeconfig(): string {
    const { role, dataDir, kubeconfig } = this.#options.plan;
    return role === 'agent' ? join(dataDir, 'agent', 'kubelet.kubeconfig') : kubeconfig;
  }

  /** Runs `k3s kubectl` as cluster administrator (on an agent: as its kubelet). @throws as run() */
  kubectl(args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    return this.#k3s(['kubectl', ...args], options);
  }

  /** Runs one of k3s' own commands inside the node's namespaces. */
  #k3s(args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    const { binary, enter = [] } = this.#options;
    return run(inNode(enter, binary, ...args), { env: { KUBECONFIG: this.#kubeconfig }, ...options });
  }

  /** Saves an etcd snapshot below the data directory now. */
  async snapshot(name: string): Promise<void> {
    await this.#k3s(['etcd-snapshot', 'save', '--data-dir', this.#options.plan.dataDir, '--name', name], { timeout: 120_000 });
  }

  /** The token that lets others join; a secret. @throws CroftError `unavailable` before the first server has made it */
  async nodeToken(): Promise<string> {
    const file = join(this.#options.plan.dataDir, 'server', 'node-token');
    try {
      return (await readFile(file, 'utf8')).trim();
    } catch (cause) {
      throw new CroftError('unavailable', 'This box has no join token yet: its k3s server has not started.', { cause });
    }
  }

  /** When the first of k3s' own certificates ends; undefined when there are none yet. Authorities are not counted. */
  async certificatesEnd(): Promise<Date | undefined> {
    const directory = join(this.#options.plan.dataDir, this.#command === 'agent' ? 'agent' : 'server/tls');
    const names = await readdir(directory).catch(() => []); // Not started yet: there are none.
    let first: Date | undefined;
    for (const name of names.filter((file) => file.endsWith('.crt') && !file.endsWith('-ca.crt'))) {
      const end = new X509Certificate(await readFile(join(directory, name))).validToDate;
      if (!first || end < first) first = end;
    }
    return first;
  }

  /** Renews k3s' certificates by its own command; k3s is down meanwhile, pods and guests are not. */
  async rotateCertificates(): Promise<void> {
    await this.stop();
    try {
      await this.#k3s(['certificate', 'rotate', '--data-dir', this.#options.plan.dataDir], { timeout: 60_000 });
    } finally {
      await this.start();
    }
  }

  /** Ends k3s; pods run on, and so do guests. Idempotent. */
  async stop(): Promise<void> {
    if (this.#options.supervisor === 'process') return this.#daemon.stop();
    await run(['systemctl', 'stop', 'k3s.service'], { timeout: 60_000, okCodes: [0, 5] });
  }

  /** Lets go of a supervised k3s: it runs on and is taken over by the next start. */
  release(): void {
    this.#daemon.release();
  }

  /** Ends k3s and every pod of this node, and removes its unit, mounts, network and cgroups; data and configuration stay. Idempotent. */
  async dismantle(): Promise<void> {
    const { plan, cgroupRoot = '/', enter = [], supervisor } = this.#options;
    await this.stop();
    if (supervisor === 'systemd') {
      await run(['systemctl', 'disable', 'k3s.service'], { okCodes: [0, 1] });
      await rm('/etc/systemd/system/k3s.service', { force: true });
      await run(['systemctl', 'daemon-reload']);
    }
    await cleanUp({ dataDir: plan.dataDir, cgroupRoot, enter });
  }

  /** Dismantles it and removes configuration and data. The binary stays. Irreversible: on the last server the cluster is gone. Idempotent. */
  async reset(): Promise<void> {
    const { configFile, plan } = this.#options;
    await this.dismantle();
    for (const path of [plan.dataDir, configFile, plan.kubeconfig]) await rm(path, { recursive: true, force: true });
  }
}

/** ms after which Kubernetes has missed a node that does not speak (node-monitor-grace-period, 50 s, and its round of 5 s). */
const grace = 60_000;

/** Whether a node's word that it is Ready is that of the k3s started at `startedAt`, and not of one before it. Times in ms. Pure. */
export function speaksOfThis(saidAt: number | undefined, startedAt: number | undefined, now: number): boolean {
  if (startedAt === undefined) return false;
  // A node says it anew at its start and then only every five minutes; the time it gives has no fractions.
  return now - startedAt > grace || (saidAt ?? 0) >= Math.floor(startedAt / 1000) * 1000;
}

async function unitPid(): Promise<number | undefined> {
  const { stdout } = await run(['systemctl', 'show', '--property=MainPID', '--value', 'k3s.service']);
  return Number(stdout) || undefined;
}

/** Seconds since the machine's start. */
const uptime = async (): Promise<number> => Number((await readFile('/proc/uptime', 'utf8')).split(' ')[0]);

const down = (state: K3sState, words: string): K3sStatus => ({ state, nodeReady: false, words });

const isFile = async (path: string): Promise<boolean> => (await stat(path).catch(() => undefined))?.isFile() ?? false;
