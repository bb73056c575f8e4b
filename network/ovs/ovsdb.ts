/**
 * OVSDB client: JSON-RPC (RFC 7047) over a unix socket, for `transact` and one `monitor`.
 *
 * The monitored tables are kept as a cache of rows; RFC 7047's plain `monitor` is enough, as its updates carry
 * whole rows. ovsdb-server sends the updates of our own transaction before the transaction's answer, so a read
 * after a write sees it. When the connection breaks, waiting calls fail, the client connects again with backoff
 * (50 ms to 5 s), fills the cache anew and tells its listeners; nothing is replayed, the caller plans again.
 */
import { connect, type Socket } from 'node:net';
import { CroftError, messageOf } from '../../appliance/errors.ts';
import type { Logger } from '../../appliance/host/logger.ts';
import { JsonStream } from './json-stream.ts';

/** OVSDB values on the wire (RFC 7047 §5.1): atoms, `["set",[…]]`, `["map",[[k,v]…]]`, `["uuid",…]`, `["named-uuid",…]`. */
export type Atom = string | number | boolean | readonly ['uuid' | 'named-uuid', string];
export type Value = Atom | readonly ['set', readonly Atom[]] | readonly ['map', readonly (readonly [Atom, Atom])[]];
export type Row = Readonly<Record<string, Value>>;
/** One operation of a transaction, as RFC 7047 §5.2 has it. */
export type Operation = { op: string; table?: string } & Record<string, unknown>;
export type OperationResult = {
  uuid?: readonly ['uuid', string];
  rows?: Row[];
  count?: number;
  error?: string;
  details?: string;
};

type Call = { resolve: (result: unknown) => void; reject: (error: Error) => void; timer: NodeJS.Timeout };
type Message = { id?: unknown; method?: string; params?: unknown[]; result?: unknown; error?: unknown };
type TableUpdates = Record<string, Record<string, { old?: Row; new?: Row }>>;

export type OvsdbOptions = {
  socket: string;
  /** Tables and columns to keep in the cache. */
  monitor: Record<string, string[]>;
  logger: Logger;
  /** Deadline of each call, ms. Default 10 000. */
  timeout?: number;
};

const database = 'Open_vSwitch';

export class OvsdbClient {
  readonly #options: OvsdbOptions;
  #socket: Socket | undefined;
  #tables = new Map<string, Map<string, Row>>();
  #nextId = 1;
  readonly #calls = new Map<unknown, Call>();
  readonly #listeners = new Set<() => void>();
  #closed = false;
  #backoff = 50;
  #retry: NodeJS.Timeout | undefined;
  #synced = false;

  constructor(options: OvsdbOptions) {
    this.#options = options;
  }

  get connected(): boolean {
    return this.#synced;
  }

  /** Connects and fills the cache; stays connected from then on. @throws CroftError `unavailable` */
  async open(): Promise<void> {
    this.#closed = false;
    await this.#connect();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
    this.#socket?.destroy();
    this.#drop(this.#socket, 'the client was closed');
  }

  /** Rows of a monitored table by uuid, as last told. */
  rows(table: string): ReadonlyMap<string, Row> {
    return this.#tables.get(table) ?? new Map();
  }

  /** Called after every change of the cache and after a reconnection. Returns the way to stop. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * All operations or none.
   * @throws CroftError `unavailable` without a connection or answer, `command-failed` with OVSDB's own words
   */
  async transact(operations: readonly Operation[]): Promise<OperationResult[]> {
    const results = (await this.#call('transact', [database, ...operations])) as (OperationResult | null)[];
    const failed = results.findIndex((result) => result?.error !== undefined);
    if (failed >= 0) {
      const { error, details } = results[failed] as OperationResult;
      const operation = operations[failed];
      const about = operation ? `${operation.op} ${operation.table ?? ''}`.trim() : 'commit';
      throw new CroftError('command-failed', `OVSDB refused the transaction (${about}): ${details ?? error}`);
    }
    return results.map((result) => result ?? {});
  }

  /** Resolves once `check` holds over the cache. @throws CroftError `command-timeout` saying what was waited for */
  async waitUntil(check: () => boolean, what: string, timeout = this.#options.timeout ?? 10_000): Promise<void> {
    if (check()) return;
    await new Promise<void>((resolve, reject) => {
      const finish = (error?: Error) => {
        clearTimeout(timer);
        stop();
        if (error) reject(error);
        else resolve();
      };
      const stop = this.subscribe(() => check() && finish());
      const timer = setTimeout(
        () => finish(new CroftError('command-timeout', `${what} did not happen within ${timeout} ms.`)),
        timeout,
      );
    });
  }

  async #connect(): Promise<void> {
    const { socket: path, monitor } = this.#options;
    const socket = connect({ path });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', (cause) =>
        reject(new CroftError('unavailable', `The switch database does not answer at ${path}: ${messageOf(cause)}.`, { cause })),
      );
    });
    const stream = new JsonStream();
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      try {
        for (const message of stream.push(chunk)) this.#receive(message as Message);
      } catch (error) {
        socket.destroy(error as Error);
      }
    });
    socket.on('error', (error) => this.#options.logger.debug({ error: error.message }, 'ovsdb connection'));
    socket.on('close', () => this.#drop(socket, 'the connection closed'));
    const requests = Object.fromEntries(Object.entries(monitor).map(([table, columns]) => [table, { columns }]));
    try {
      const initial = (await this.#call('monitor', [database, 'croft', requests])) as TableUpdates;
      this.#tables = new Map();
      this.#update(initial);
    } catch (error) {
      socket.destroy();
      throw error;
    }
    this.#synced = true;
    this.#backoff = 50;
    this.#notify();
  }

  #drop(socket: Socket | undefined, reason: string): void {
    if (socket !== this.#socket || !socket) return;
    const wasSynced = this.#synced;
    this.#socket = undefined;
    this.#synced = false;
    for (const call of this.#calls.values()) {
      clearTimeout(call.timer);
      call.reject(new CroftError('unavailable', `The switch database did not answer: ${reason}.`));
    }
    this.#calls.clear();
    if (!this.#closed && wasSynced) this.#reconnect();
  }

  #reconnect(): void {
    this.#retry = setTimeout(() => {
      this.#connect().catch((error: unknown) => {
        this.#options.logger.debug({ error: messageOf(error) }, 'ovsdb not back yet');
        if (!this.#closed) this.#reconnect();
      });
    }, this.#backoff);
    this.#backoff = Math.min(this.#backoff * 2, 5_000);
  }

  #call(method: string, params: unknown[]): Promise<unknown> {
    const socket = this.#socket;
    if (!socket) return Promise.reject(new CroftError('unavailable', 'The switch database is not connected.'));
    const id = this.#nextId++;
    const timeout = this.#options.timeout ?? 10_000;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#calls.delete(id);
        reject(new CroftError('unavailable', `The switch database did not answer ${method} within ${timeout} ms.`));
        // Its state is unknown now: a fresh connection finds out.
        socket.destroy();
      }, timeout);
      this.#calls.set(id, { resolve, reject, timer });
      socket.write(JSON.stringify({ id, method, params }));
    });
  }

  #receive(message: Message): void {
    if (message.method === 'echo') {
      this.#socket?.write(JSON.stringify({ id: message.id, result: message.params, error: null }));
    } else if (message.method === 'update') {
      this.#update((message.params as [unknown, TableUpdates])[1]);
      this.#notify();
    } else if (message.method === undefined) {
      const call = this.#calls.get(message.id);
      if (!call) return; // An answer after its deadline.
      this.#calls.delete(message.id);
      clearTimeout(call.timer);
      if (message.error) {
        call.reject(new CroftError('command-failed', `OVSDB refused the call: ${JSON.stringify(message.error)}.`));
      } else call.resolve(message.result);
    }
  }

  #update(updates: TableUpdates): void {
    for (const [table, rows] of Object.entries(updates)) {
      const cache = this.#tables.get(table) ?? new Map<string, Row>();
      this.#tables.set(table, cache);
      for (const [uuid, row] of Object.entries(rows)) {
        if (row.new) cache.set(uuid, row.new);
        else cache.delete(uuid);
      }
    }
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }
}
