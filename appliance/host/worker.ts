/**
 * A helper program that we talk to in JSON lines: one request per line on its standard input, one or more
 * answers per line on its standard output. For libraries that Node has no binding of (Ceph's), where a process
 * per call would cost more than the call.
 *
 * It is started at the first call and again after it died; it ends by itself when its input closes, so also when
 * we are killed. Every call has a deadline: without progress for `timeout` ms it is given up. Then the helper is
 * asked whether it still answers at all; a silent one is killed, so that the next call finds a fresh one. Calls
 * under way when it dies fail with `unavailable`: their callers are idempotent and try again.
 */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { CroftError, messageOf } from '../errors.ts';
import type { Logger } from './logger.ts';

export type WorkerSpec = {
  /** For messages: `Ceph`. */
  name: string;
  argv: readonly [string, ...string[]];
  uid?: number;
  gid?: number;
};

export type CallOptions = {
  /** ms without an answer or progress after which the call is given up. Default 30 000. */
  timeout?: number;
  /** `done` of `total`, in the unit of the call. */
  onProgress?: (done: number, total: number) => void;
  signal?: AbortSignal;
};

/** The helper's own "no": `errno` as in errno(3), e.g. `ENOENT`. */
export class WorkerError extends Error {
  readonly errno: string;

  constructor(errno: string, message: string) {
    super(message);
    this.name = 'WorkerError';
    this.errno = errno;
  }
}

type Answer =
  | { id: number; result: unknown }
  | { id: number; error: { errno: string; message: string } }
  | { id: number; progress: [number, number] };

type Pending = {
  resolve: (result: unknown) => void;
  reject: (error: unknown) => void;
  touch: () => void;
  onProgress?: (done: number, total: number) => void;
};

const defaultTimeout = 30_000;
const pingTimeout = 5_000;
/** Characters of the helper's standard error kept for the message when it dies. */
const keptWords = 500;

export class JsonWorker {
  readonly #spec: WorkerSpec;
  readonly #logger: Logger;
  readonly #pending = new Map<number, Pending>();
  #child: ChildProcessWithoutNullStreams | undefined;
  #lastId = 0;
  #words = '';
  #checking = false;
  #closed = false;

  constructor(spec: WorkerSpec, logger: Logger) {
    this.#spec = spec;
    this.#logger = logger;
  }

  /** Process id while it runs. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /**
   * Asks the helper for `op`. Cancelling abandons the answer; what the helper began it finishes.
   * @throws WorkerError the helper's answer; CroftError `command-timeout`, `unavailable`, `missing-component`
   */
  async call(op: string, args: Record<string, unknown> = {}, options: CallOptions = {}): Promise<unknown> {
    options.signal?.throwIfAborted();
    if (this.#closed) throw new CroftError('unavailable', `${this.#spec.name}: the service is stopping.`);
    const child = await this.#running();
    const id = ++this.#lastId;
    const { timeout = defaultTimeout, signal } = options;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const expire = () => {
      reject(new CroftError('command-timeout', `${this.#spec.name} did not answer ${op} within ${timeout} ms.`));
      void this.#checkAlive(child);
    };
    let timer = setTimeout(expire, timeout);
    const touch = () => {
      clearTimeout(timer);
      timer = setTimeout(expire, timeout);
    };
    const abort = () => reject(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    this.#pending.set(id, { resolve, reject, touch, ...(options.onProgress ? { onProgress: options.onProgress } : {}) });
    this.#hold(child);
    child.stdin.write(`${JSON.stringify({ id, op, args })}\n`);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      this.#pending.delete(id);
      this.#hold(child);
    }
  }

  /** Ends the helper; calls under way fail. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    const child = this.#child;
    if (!child) return;
    const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.ref();
    child.stdin.end();
    const kill = setTimeout(() => child.kill('SIGKILL'), 2_000);
    await exited;
    clearTimeout(kill);
  }

  /** Our process stays alive for a helper only while it waits for an answer. */
  #hold(child: ChildProcessWithoutNullStreams): void {
    const streams = [child.stdin, child.stdout, child.stderr] as unknown as Socket[];
    for (const held of [child, ...streams]) {
      if (this.#pending.size > 0) held.ref();
      else held.unref();
    }
  }

  async #running(): Promise<ChildProcessWithoutNullStreams> {
    if (this.#child) return this.#child;
    const [file, ...args] = this.#spec.argv;
    const child = spawn(file, args, {
      // A session of its own: Ctrl-C in our terminal is not for it.
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
      cwd: '/',
      env: { PATH: '/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8' },
      ...(this.#spec.uid === undefined ? {} : { uid: this.#spec.uid }),
      ...(this.#spec.gid === undefined ? {} : { gid: this.#spec.gid }),
    });
    this.#child = child;
    this.#words = '';
    // A write to a helper that just died; its exit event tells the callers.
    child.stdin.on('error', () => undefined);
    createInterface({ input: child.stdout }).on('line', (line) => this.#take(line));
    child.stderr.on('data', (chunk: Buffer) => {
      this.#words = `${this.#words}${String(chunk)}`.slice(-keptWords);
      this.#logger.debug({ worker: this.#spec.name }, String(chunk).trimEnd());
    });
    child.once('exit', (code, signal) => this.#gone(child, `ended (${signal ?? `code ${code}`})`));
    child.once('error', (error) => this.#gone(child, messageOf(error)));
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (cause) =>
        reject(new CroftError('missing-component', `The program ${file} cannot be started.`, { cause })),
      );
    });
    return child;
  }

  #take(line: string): void {
    let answer: Answer;
    try {
      answer = JSON.parse(line) as Answer;
    } catch {
      this.#logger.warn({ worker: this.#spec.name, line: line.slice(0, 200) }, 'not an answer');
      return;
    }
    const pending = this.#pending.get(answer.id);
    if (!pending) return; // Given up meanwhile.
    if ('progress' in answer) {
      pending.touch();
      pending.onProgress?.(...answer.progress);
    } else if ('error' in answer) pending.reject(new WorkerError(answer.error.errno, answer.error.message));
    else pending.resolve(answer.result);
  }

  #gone(child: ChildProcessWithoutNullStreams, how: string): void {
    if (this.#child !== child) return;
    this.#child = undefined;
    const last = this.#words.trim().split('\n').at(-1);
    if (!this.#closed) this.#logger.warn({ worker: this.#spec.name, how, last }, 'helper ended');
    for (const { reject } of this.#pending.values()) {
      reject(new CroftError('unavailable', `${this.#spec.name}: the helper ${how}${last ? `: ${last}` : '.'}`));
    }
  }

  async #checkAlive(child: ChildProcessWithoutNullStreams): Promise<void> {
    if (this.#checking || this.#child !== child) return;
    this.#checking = true;
    const id = ++this.#lastId;
    const answered = await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(false), pingTimeout).unref();
      const settle = () => {
        clearTimeout(timer);
        resolve(true);
      };
      this.#pending.set(id, { resolve: settle, reject: settle, touch: () => undefined });
      child.stdin.write(`${JSON.stringify({ id, op: 'ping', args: {} })}\n`);
    });
    this.#pending.delete(id);
    this.#checking = false;
    if (!answered && this.#child === child) child.kill('SIGKILL');
  }
}
