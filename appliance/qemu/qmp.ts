/**
 * A QMP client over a unix socket (QEMU's docs/interop/qmp-spec): greeting, capabilities, commands matched to
 * their replies by id, events. QEMU serves one client per monitor; a second one connects and is never greeted,
 * so *control.sock* belongs to the service alone and connecting has a deadline like everything else here.
 */
import { connect, type Socket } from 'node:net';
import { CroftError } from '../errors.ts';

export type QmpEvent = { event: string; data: Record<string, unknown> };

export type QmpOptions = {
  /** Called for each event, in order, from the greeting on. */
  onEvent?: (event: QmpEvent) => void;
  /** Called once when the connection is gone, also after close(). */
  onClose?: (client: QmpClient) => void;
  /** Deadline in ms for connecting and the greeting. Default 10 000. */
  timeout?: number;
};

type Pending = { command: string; resolve: (value: unknown) => void; reject: (error: CroftError) => void; timer: NodeJS.Timeout };

/** What QEMU sends: a greeting, a reply or an event. */
type Message = {
  QMP?: unknown;
  id?: number;
  return?: unknown;
  error?: { class: string; desc: string };
  event?: string;
  data?: Record<string, unknown>;
};

export const defaultQmpTimeout = 10_000;
/** A line longer than this isn't QEMU speaking; its longest replies (query-qmp-schema) are some 200 KiB. */
const maxLine = 16 * 1024 * 1024;

export class QmpClient {
  readonly #socket: Socket;
  readonly #pending = new Map<number, Pending>();
  readonly #options: QmpOptions;
  #nextId = 1;
  #chunks: Buffer[] = [];
  #size = 0;
  #closed = false;
  #greeted: (() => void) | undefined;

  private constructor(socket: Socket, options: QmpOptions) {
    this.#socket = socket;
    this.#options = options;
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    // 'close' always follows and does the rest.
    socket.on('error', () => undefined);
    socket.on('close', () => this.#onClose());
  }

  /**
   * Connects, waits for the greeting and negotiates (no capabilities are asked for).
   * @throws CroftError `command-timeout` (also when another client holds the monitor), `qmp-failed` when nobody listens
   */
  static async connect(path: string, options: QmpOptions = {}): Promise<QmpClient> {
    const timeout = options.timeout ?? defaultQmpTimeout;
    const deadline = Date.now() + timeout;
    const client = new QmpClient(connect(path), options);
    try {
      await client.#greeting(timeout);
      await client.execute('qmp_capabilities', undefined, Math.max(1, deadline - Date.now()));
      return client;
    } catch (error) {
      client.close();
      throw error;
    }
  }

  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Runs one command; `timeout` in ms. A reply that comes after its deadline is dropped.
   * @throws CroftError `qmp-failed` with QEMU's own words or when the connection is gone, `command-timeout`
   */
  execute<T = unknown>(command: string, args?: Record<string, unknown>, timeout = defaultQmpTimeout): Promise<T> {
    if (this.#closed) return Promise.reject(gone(command));
    const id = this.#nextId++;
    return new Promise<T>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(new CroftError('command-timeout', `QEMU did not answer ${command} within ${timeout} ms.`));
      }, timeout);
      this.#pending.set(id, { command, resolve: resolve as (value: unknown) => void, reject, timer });
      this.#socket.write(`${JSON.stringify({ execute: command, id, ...(args ? { arguments: args } : {}) })}\n`);
    });
  }

  /** Ends the connection; QEMU goes on. Commands without a reply are rejected. */
  close(): void {
    this.#socket.destroy();
    this.#onClose();
  }

  #greeting(timeout: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () =>
          reject(new CroftError('command-timeout', `QEMU's monitor did not greet within ${timeout} ms; it serves one client.`)),
        timeout,
      );
      this.#greeted = () => {
        clearTimeout(timer);
        resolve();
      };
      this.#socket.once('close', () => {
        clearTimeout(timer);
        reject(gone('the connection'));
      });
    });
  }

  #read(chunk: Buffer): void {
    let rest = chunk;
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      const line = Buffer.concat([...this.#chunks, rest.subarray(0, end)]).toString('utf8');
      this.#chunks = [];
      this.#size = 0;
      rest = rest.subarray(end + 1);
      if (line.trim() !== '' && !this.#dispatch(line)) return;
    }
    if (rest.length === 0) return;
    this.#chunks.push(rest);
    this.#size += rest.length;
    if (this.#size > maxLine) this.close();
  }

  /** False when the peer doesn't speak QMP: then the connection is ended. */
  #dispatch(line: string): boolean {
    let message: Message;
    try {
      message = JSON.parse(line) as Message;
    } catch {
      this.close();
      return false;
    }
    if (message.QMP !== undefined) this.#greeted?.();
    else if (message.event !== undefined) this.#options.onEvent?.({ event: message.event, data: message.data ?? {} });
    else if (message.id !== undefined) this.#settle(message.id, message);
    return true;
  }

  #settle(id: number, message: Message): void {
    const pending = this.#pending.get(id);
    if (!pending) return;
    this.#pending.delete(id);
    clearTimeout(pending.timer);
    if (message.error)
      pending.reject(new CroftError('qmp-failed', `${pending.command}: ${message.error.desc}`, { cause: message.error }));
    else pending.resolve(message.return);
  }

  #onClose(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const pending of this.#pending.values()) {
      clearTimeout(pending.timer);
      pending.reject(gone(pending.command));
    }
    this.#pending.clear();
    this.#options.onClose?.(this);
  }
}

const gone = (what: string): CroftError => new CroftError('qmp-failed', `${what}: the connection to QEMU is gone.`);
