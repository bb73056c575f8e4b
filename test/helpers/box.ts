/**
 * A real box for a test: the service in a network namespace of its own, with directories of its own, driven by
 * the CLI as a person would. `dispose` ends all of it, also after a failure.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { spawn, type ChildProcess } from 'node:child_process';
import { run, type RunOptions, type RunResult } from '../../appliance/host/exec.ts';
import { eventually } from './eventually.ts';

const home = join(import.meta.dirname, '../..');
const entry = join(home, 'appliance/main.ts');

export type VmObject = {
  id: string;
  name: string;
  state: string;
  addresses: string[];
  nics: { name: string; network: string; mac: string }[];
};

export type TestBox = {
  readonly namespace: string;
  readonly directory: string;
  readonly url: string;
  /** `http://…/setup#…` as the start line printed it; undefined when there was none. */
  readonly setupUrl: string | undefined;
  /** Starts the service; resolves when it has printed its line. Returns the ms that took. */
  start(): Promise<number>;
  /** SIGKILL: guests, switch and DHCP run on. */
  kill(): Promise<void>;
  /** The CLI, against this box. Rejects unless it ends with 0 (or `okCodes`). */
  croft(args: string[], options?: RunOptions): Promise<RunResult>;
  vm(name: string): Promise<VmObject>;
  /** Pid of the VM's QEMU. */
  pidOf(name: string): Promise<number>;
  /** Types a command on the guest's serial console and returns what it printed before `DONE:<code>`. */
  guest(name: string, command: string, timeout?: string): Promise<{ output: string; code: number }>;
  inside(argv: [string, ...string[]], options?: RunOptions): Promise<RunResult>;
  dispose(): Promise<void>;
};

export async function createBox(settings: Record<string, string> = {}): Promise<TestBox> {
  const directory = await mkdtemp(join(tmpdir(), 'cx-'));
  const namespace = `croft-${directory.slice(-6)}`;
  // Guests' users pass through, as they would below /var/lib and /run.
  await run(['chmod', '711', directory]);
  const env = {
    CROFT_DATA: join(directory, 'data'),
    CROFT_RUN: join(directory, 'run'),
    CROFT_CACHE: join(directory, 'cache'),
    // As bin/croft has it, which these boxes are started without; shared, because it is ours and not the box's.
    NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? join(homedir(), '.cache/croft/compile'),
    CROFT_OVS: 'own',
    CROFT_LOG: 'warn',
    CROFT_ACCEL: 'tcg',
    CROFT_INSTALL: 'no',
    ...settings,
  };
  await run(['ip', 'netns', 'add', namespace]);
  await run(['ip', '-n', namespace, 'link', 'set', 'lo', 'up']);
  const prefix = ['ip', 'netns', 'exec', namespace] as const;
  let child: ChildProcess | undefined;
  let output = '';
  let setupUrl: string | undefined;
  let calls = 0;

  const inside: TestBox['inside'] = (argv, options = {}) =>
    run([...prefix, ...argv], { ...options, env: { ...env, ...options.env } });
  const croft: TestBox['croft'] = (args, options = {}) =>
    inside([process.execPath, entry, ...args], { timeout: 180_000, ...options });
  const serviceRecord = join(env.CROFT_RUN, 'service.json');
  const servicePid = async () => (JSON.parse(await readFile(serviceRecord, 'utf8')) as { pid: number }).pid;

  const box: TestBox = {
    namespace,
    directory,
    url: `http://${settings.CROFT_LISTEN ?? '127.0.0.1:8440'}`,
    get setupUrl() {
      return setupUrl;
    },
    start: async () => {
      const from = performance.now();
      output = '';
      child = spawn('ip', [...prefix.slice(1), process.execPath, '--max-semi-space-size=4', entry, 'serve'], {
        env: { ...process.env, ...env },
      });
      child.stdout?.on('data', (chunk: Buffer) => {
        output += String(chunk);
      });
      child.stderr?.on('data', (chunk: Buffer) => {
        output += String(chunk);
      });
      await eventually(
        () => {
          if (child?.exitCode !== null) throw new Error(`the service ended:\n${output}`);
          return output.includes('Croft is ready');
        },
        { timeout: 60_000 },
      ).catch((error: unknown) => {
        throw new Error(`the service did not start: ${String(error)}\n${output}`);
      });
      setupUrl = /https?:\/\/\S+\/setup#\S+/.exec(output)?.[0];
      return performance.now() - from;
    },
    kill: async () => {
      const gone = new Promise((resolve) => child?.once('exit', resolve));
      process.kill(await servicePid(), 'SIGKILL');
      await gone;
    },
    croft,
    vm: async (name) => JSON.parse((await croft(['vm', 'show', name, '-o', 'json'])).stdout) as VmObject,
    pidOf: async (name) => {
      const { id } = await box.vm(name);
      return (JSON.parse(await readFile(join(env.CROFT_RUN, 'vms', id, 'launch.json'), 'utf8')) as { pid: number }).pid;
    },
    guest: async (name, command, timeout = '60s') => {
      // In two halves, so that the echo of what we type is not taken for the answer; numbered, because a console
      // begins with the last output of before.
      const mark = `DONE-${++calls}:`;
      const script = `${command}; echo "DO""${mark.slice(2)}$?:"`;
      const { stdout } = await croft(['vm', 'console', name, '--send', script, '--expect', `${mark}\\d+:`, '--timeout', timeout]);
      const end = stdout.lastIndexOf(mark);
      return { output: stdout.slice(0, end).replaceAll('\r', ''), code: Number(stdout.slice(end + mark.length).split(':')[0]) };
    },
    inside,
    dispose: async () => {
      try {
        await croft(['uninstall', '--purge', '--force']);
      } finally {
        child?.kill('SIGKILL');
        // Whatever a failed uninstall left: the namespace holds only this box's processes.
        const { stdout } = await run(['ip', 'netns', 'pids', namespace]);
        for (const pid of stdout.split('\n').filter(Boolean)) process.kill(Number(pid), 'SIGKILL');
        await run(['ip', 'netns', 'delete', namespace]);
        await rm(directory, { recursive: true, force: true });
      }
    },
  };
  return box;
}

/** Signs in on a tiny guest's serial console, so that commands can be typed. */
export async function signIn(box: TestBox, name: string): Promise<void> {
  await box.croft([
    'vm',
    'console',
    name,
    '--send',
    '',
    '--expect',
    'login:',
    '--send',
    'root',
    '--expect',
    '[#$] ',
    '--timeout',
    '90s',
  ]);
}
