/**
 * The demo's box: a Croft of its own in a network namespace without a way out, with data and run directories
 * under the temporary directory. Of the user's machine it shares the processor, the programs and the cache of
 * built images. It isn't uninstalled but dropped: links, rules and routes end with the namespace, so that no
 * step of the cleaning could meet a bridge or a setting that belongs to somebody else.
 *
 * `demo.json` in its directory says whose demo it is; a later demo drops what a killed one left.
 */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { Config } from '../config.ts';
import { CroftError, isCroftError } from '../errors.ts';
import { Daemon } from '../host/daemon.ts';
import { run, type RunResult } from '../host/exec.ts';
import { writeFileAtomic } from '../host/files.ts';
import { silentLogger } from '../host/logger.ts';
import { isAlive, type ProcessIdentity, readArgv, readProcess } from '../host/process-info.ts';
import { endProcesses, runningDaemons, runningGuests } from '../install/running.ts';

export type Vm = { id: string; name: string; state: string; addresses: string[] };

export type DemoBox = {
  readonly directory: string;
  /** Starts the service; resolves with the ms until it serves. */
  start(): Promise<number>;
  /** Ends the service with SIGKILL and waits until its supervisor has brought another. */
  killService(): Promise<{ killed: number; present: number; ms: number }>;
  /** The CLI against this box. @throws CroftError `command-failed` with its words */
  croft(args: string[], timeout?: number): Promise<RunResult>;
  vm(name: string): Promise<Vm>;
  /** Pid of a VM's QEMU. */
  pidOf(name: string): Promise<number>;
  /** Types a command on a guest's serial console; true when it ended with 0 there. */
  guest(name: string, command: string): Promise<boolean>;
  /** Ends every process, removes namespace and files. Can be repeated. @returns what could not be removed */
  drop(): Promise<string[]>;
};

const entry = join(import.meta.dirname, '../main.ts');
const prefix = 'croft-demo-';
const noteFile = 'demo.json';
/** ms a process gets to end by itself. Short: nothing of the demo is kept. */
const grace = 3_000;

/** Makes the box's place; `start` makes it run. @throws CroftError `command-failed` where namespaces are forbidden */
export async function createDemoBox(config: Config, signal: AbortSignal): Promise<DemoBox> {
  const directory = await mkdtemp(join(tmpdir(), prefix));
  const self = await readProcess(process.pid);
  await writeFileAtomic(join(directory, noteFile), JSON.stringify({ pid: process.pid, startTime: self?.startTime ?? 0 }));
  const namespace = basename(directory);
  const env = {
    CROFT_DATA: join(directory, 'data'),
    CROFT_RUN: join(directory, 'run'),
    CROFT_CACHE: config.cache,
    CROFT_ACCEL: config.accel,
    CROFT_LISTEN: '127.0.0.1:8440',
    CROFT_OVS: 'own',
    CROFT_LOG: 'warn',
    CROFT_HOST: '',
  };
  try {
    // Guests' own users pass through, as they do below /var/lib and /run.
    await run(['chmod', '711', directory]);
    await run(['ip', 'netns', 'add', namespace]);
    await run(['ip', '-n', namespace, 'link', 'set', 'lo', 'up']);
  } catch (error) {
    await dropPlace(directory);
    throw error;
  }

  let restarted = (): void => undefined;
  const service = new Daemon(
    {
      name: 'croft',
      argv: ['ip', 'netns', 'exec', namespace, process.execPath, entry, 'serve'],
      directory: join(directory, 'service'),
      env,
    },
    {
      logger: silentLogger(),
      ready: async () => (await recordedPid(join(env.CROFT_RUN, 'service.json'))) === service.pid,
      readyTimeout: 60_000,
      onUp: (how) => {
        if (how === 'restarted') restarted();
      },
    },
  );
  let calls = 0;

  const box: DemoBox = {
    directory,
    start: async () => {
      const from = performance.now();
      await service.start();
      return performance.now() - from;
    },
    killService: async () => {
      const killed = service.pid;
      if (!killed) throw new CroftError('invalid-state', 'The service does not run.');
      const back = new Promise<void>((resolve) => {
        restarted = resolve;
      });
      const from = performance.now();
      process.kill(killed, 'SIGKILL');
      await withDeadline(back, 60_000, signal);
      return { killed, present: service.pid ?? 0, ms: performance.now() - from };
    },
    croft: (args, timeout = 120_000) => run([process.execPath, entry, ...args], { env, timeout, signal }),
    vm: async (name) => JSON.parse((await box.croft(['vm', 'show', name, '-o', 'json'])).stdout) as Vm,
    pidOf: async (name) => {
      const { id } = await box.vm(name);
      const pid = await recordedPid(join(env.CROFT_RUN, 'vms', id, 'launch.json'));
      if (pid === undefined) throw new CroftError('invalid-state', `${name} has no QEMU process.`);
      return pid;
    },
    guest: async (name, command) => {
      // The mark is typed in two halves, so that the terminal's echo isn't taken for the answer.
      const mark = `ENDED-${++calls}:`;
      const typed = `${command}; echo "EN""${mark.slice(2)}$?:"`;
      const conversation = ['--send', typed, '--expect', `${mark}\\d+:`, '--timeout', '60s'];
      const { stdout } = await box.croft(['vm', 'console', name, ...conversation]);
      return stdout.slice(stdout.lastIndexOf(mark) + mark.length).startsWith('0:');
    },
    drop: async () => {
      await service.stop();
      return dropPlace(directory);
    },
  };
  return box;
}

/** Drops the boxes of demos that were killed before they could. */
export async function dropLeftBoxes(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(prefix)) continue;
    const directory = join(tmpdir(), name);
    const owner = await readOwner(join(directory, noteFile));
    // Without a note it is still being made, or isn't ours.
    if (owner && !(await isAlive(owner))) await dropPlace(directory);
  }
}

async function dropPlace(directory: string): Promise<string[]> {
  const runDir = join(directory, 'run');
  const namespace = basename(directory);
  const recorded = [...(await runningDaemons(join(directory, 'service'))), ...(await runningGuests(runDir))];
  const stuck = [...(await endProcesses(recorded, grace)), ...(await endProcesses(await runningDaemons(runDir), grace))];
  if ((await run(['ip', 'netns', 'list'])).stdout.split('\n').some((line) => line.split(' ')[0] === namespace)) {
    // Programs killed between start and record: nothing but this box lives in the namespace.
    const { stdout } = await run(['ip', 'netns', 'pids', namespace]);
    const rest = await Promise.all(stdout.split('\n').filter(Boolean).map(identify));
    stuck.push(
      ...(await endProcesses(
        rest.filter((one) => one !== undefined),
        grace,
      )),
    );
    await run(['ip', 'netns', 'delete', namespace]);
  }
  await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  return stuck.map((one) => `${one.label} (pid ${one.pid}) hangs in the kernel`);
}

async function identify(pid: string): Promise<(ProcessIdentity & { record: string; label: string }) | undefined> {
  const found = await readProcess(Number(pid));
  return found && { ...found, record: '', label: (await readArgv(found.pid))[0] ?? 'a process' };
}

async function readOwner(path: string): Promise<ProcessIdentity | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as ProcessIdentity;
  } catch {
    return undefined; // No record, or one half written: nobody is named.
  }
}

const recordedPid = async (path: string): Promise<number | undefined> => (await readOwner(path))?.pid;

async function withDeadline(work: Promise<void>, ms: number, signal: AbortSignal): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const fail = (): void => reject(new CroftError('command-timeout', `The service did not come back within ${ms / 1_000} s.`));
    // Not AbortSignal.timeout: it doesn't keep the process alive, nor does the daemon we wait for.
    timer = setTimeout(fail, ms);
    signal.addEventListener('abort', fail, { once: true });
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Repeats `check` until it gives something. @throws CroftError `command-timeout` naming `what` */
export async function until<T>(what: string, seconds: number, check: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + seconds * 1_000;
  for (;;) {
    try {
      const found = await check();
      if (found !== undefined) return found;
    } catch (error) {
      if (!isCroftError(error) || Date.now() > deadline) throw error;
    }
    if (Date.now() > deadline) throw new CroftError('command-timeout', `${what} did not happen within ${seconds} s.`);
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
}
