/**
 * The one way Croft runs other programs: argv only (never a shell string), always with a deadline,
 * with output bounded and failures typed. The only other user of child processes is qemu/process.ts,
 * which needs guests that outlive us; a house-rule test holds both to that.
 */
import { execa, ExecaError, type Options } from 'execa';
import { CroftError } from '../errors.ts';

export type RunOptions = {
  /** Deadline in ms; the program is then killed. Default 30 000. */
  timeout?: number;
  /** Bytes or text for its standard input. Default: none. */
  input?: string | Uint8Array;
  cwd?: string;
  /** Added to our environment. */
  env?: Record<string, string>;
  /** Cancels (SIGTERM, then SIGKILL after 2 s). */
  signal?: AbortSignal;
  /** Unprivileged owner of the process; only where we are root. */
  uid?: number;
  gid?: number;
  /** Exit codes that are an answer, not a failure. Default [0]. */
  okCodes?: number[];
  /** Called for each line of standard output and error, e.g. to read progress. */
  onLine?: (line: string) => void;
};

export type RunResult = { stdout: string; stderr: string; exitCode: number };

const maxOutput = 16 * 1024 * 1024;

/**
 * Runs `argv` to its end and returns what it printed.
 * @throws CroftError `missing-component` (no such program), `command-timeout`, `command-failed`.
 */
export async function run(argv: readonly [string, ...string[]], options: RunOptions = {}): Promise<RunResult> {
  const [file, ...args] = argv;
  const execaOptions: Options = {
    timeout: options.timeout ?? 30_000,
    forceKillAfterDelay: 2_000,
    maxBuffer: maxOutput,
    stripFinalNewline: true,
    ...(options.input === undefined ? { stdin: 'ignore' } : { input: options.input }),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.env === undefined ? {} : { env: options.env }),
    ...(options.signal === undefined ? {} : { cancelSignal: options.signal }),
    ...(options.uid === undefined ? {} : { uid: options.uid }),
    ...(options.gid === undefined ? {} : { gid: options.gid }),
  };
  const child = execa(file, args, execaOptions);
  if (options.onLine) {
    for (const stream of [child.stdout, child.stderr]) eachLine(stream, options.onLine);
  }
  try {
    const { stdout, stderr } = await child;
    return { stdout: String(stdout), stderr: String(stderr), exitCode: 0 };
  } catch (error) {
    return settleFailure(argv, error, options.okCodes ?? [0]);
  }
}

/**
 * Runs a program on our own terminal until it ends, without a deadline: a person sits in front of it.
 * @returns its exit code; 128 plus the signal's number as shells have it is not told apart
 * @throws CroftError `missing-component`
 */
export async function runInteractive(argv: readonly [string, ...string[]]): Promise<number> {
  const [file, ...args] = argv;
  const { exitCode, code, originalMessage } = await execa(file, args, { stdio: 'inherit', reject: false });
  if (code === 'ENOENT')
    throw new CroftError('missing-component', `The program ${file} is not installed.`, { cause: originalMessage });
  return exitCode ?? 1;
}

function settleFailure(argv: readonly [string, ...string[]], error: unknown, okCodes: number[]): RunResult {
  if (!(error instanceof ExecaError)) throw error;
  const { exitCode, stdout, stderr } = error;
  if (exitCode !== undefined && okCodes.includes(exitCode)) {
    return { stdout: String(stdout), stderr: String(stderr), exitCode };
  }
  const name = argv[0];
  if (error.code === 'ENOENT') {
    throw new CroftError('missing-component', `The program ${name} is not installed.`, { cause: error });
  }
  if (error.timedOut) {
    throw new CroftError('command-timeout', `${name} did not end within ${error.durationMs.toFixed(0)} ms.`, { cause: error });
  }
  if (error.isCanceled) throw error;
  const last = lastWords(`${String(stderr ?? '')}\n${String(stdout ?? '')}`);
  const how = exitCode === undefined ? `was ended by ${error.signal ?? 'a signal'}` : `ended with code ${exitCode}`;
  throw new CroftError('command-failed', `${name} ${how}${last ? `: ${last}` : '.'}`, { cause: error });
}

/** The last non-empty line a program printed, shortened to what fits a message. */
function lastWords(output: string): string {
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  return (lines.at(-1) ?? '').trim().slice(0, 300);
}

function eachLine(stream: NodeJS.ReadableStream | null | undefined, onLine: (line: string) => void): void {
  let rest = '';
  stream?.on('data', (chunk: Buffer | string) => {
    const parts = (rest + String(chunk)).split(/[\r\n]+/);
    rest = parts.pop() ?? '';
    for (const part of parts) onLine(part);
  });
  stream?.on('end', () => {
    if (rest) onLine(rest);
  });
}
