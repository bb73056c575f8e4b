/**
 * The serial console of a guest: QEMU serves one connection, held here and fanned out to any number of readers.
 * A new reader first gets the last 4 KiB, so that it sees a prompt and not an empty screen. All bytes also go to
 * a log bounded by rotation: `serial.log` and `serial.log.1`, together at most 1 MiB.
 */
import { createWriteStream, renameSync, type WriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { CroftError, messageOf } from '../errors.ts';
import type { Logger } from '../host/logger.ts';

const replaySize = 4 * 1024;
const logHalf = 512 * 1024;
/** A reader that is this far behind is ended: the guest's console must not wait for it. */
const maxBehind = 1024 * 1024;

export class SerialHub {
  readonly #socket: Socket;
  readonly #readers = new Set<Duplex>();
  readonly #logFile: string;
  readonly #logger: Logger;
  #recent = Buffer.alloc(0);
  #log: WriteStream | undefined;
  #logged = 0;
  #closed = false;

  private constructor(socket: Socket, logFile: string, logged: number, logger: Logger) {
    this.#socket = socket;
    this.#logFile = logFile;
    this.#logged = logged;
    this.#logger = logger;
    this.#openLog();
    socket.on('data', (chunk: Buffer) => this.#spread(chunk));
    socket.on('close', () => this.close());
  }

  /** @throws CroftError `unavailable` when QEMU does not take the connection */
  static async connect(path: string, logFile: string, logger: Logger): Promise<SerialHub> {
    const logged = (await stat(logFile).catch(() => undefined))?.size ?? 0;
    const socket = await openSocket(path, 'serial console');
    return new SerialHub(socket, logFile, logged, logger);
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** A reader and writer of its own; ending it leaves the others alone. */
  open(): Duplex {
    const stream: Duplex = new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _encoding, done) => {
        if (this.#closed) done(new CroftError('unavailable', 'The serial console is closed: the guest has ended.'));
        else this.#socket.write(chunk, () => done());
      },
      destroy: (error, done) => {
        this.#readers.delete(stream);
        done(error);
      },
    });
    stream.on('finish', () => stream.destroy());
    if (this.#recent.length > 0) stream.push(this.#recent);
    if (this.#closed) stream.push(null);
    else this.#readers.add(stream);
    return stream;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.destroy();
    this.#log?.end();
    for (const reader of this.#readers) reader.push(null);
    this.#readers.clear();
  }

  #spread(chunk: Buffer): void {
    this.#recent = Buffer.concat([this.#recent, chunk]).subarray(-replaySize);
    this.#write(chunk);
    for (const reader of this.#readers) {
      if (reader.readableLength > maxBehind)
        reader.destroy(new CroftError('unavailable', 'This reader of the serial console was too slow.'));
      else reader.push(chunk);
    }
  }

  #openLog(): void {
    const log = createWriteStream(this.#logFile, { flags: 'a', mode: 0o600 });
    log.on('error', (error) =>
      this.#logger.warn({ file: this.#logFile, error: messageOf(error) }, 'the serial log cannot be written'),
    );
    this.#log = log;
  }

  #write(chunk: Buffer): void {
    // A disk that does not keep up: the log has a gap rather than the service a growing buffer.
    if ((this.#log?.writableLength ?? 0) > logHalf) return;
    this.#log?.write(chunk);
    this.#logged += chunk.length;
    if (this.#logged >= logHalf) this.#rotate();
  }

  /** The open stream goes on into the renamed file; what it still holds ends up there, in order. */
  #rotate(): void {
    try {
      renameSync(this.#logFile, `${this.#logFile}.1`);
    } catch (error) {
      this.#logger.warn({ file: this.#logFile, error: messageOf(error) }, 'the serial log cannot be rotated');
      return;
    }
    this.#log?.end();
    this.#logged = 0;
    this.#openLog();
  }
}

/** A connection to one of QEMU's sockets. @throws CroftError `unavailable` within 3 s */
export function openSocket(path: string, what: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    const timer = setTimeout(() => socket.destroy(new Error('no answer within 3 s')), 3_000);
    socket.once('connect', () => {
      clearTimeout(timer);
      // Whoever uses the connection sees its end as 'close'.
      socket.on('error', () => undefined);
      resolve(socket);
    });
    socket.once('error', (cause) => {
      clearTimeout(timer);
      reject(new CroftError('unavailable', `The ${what} cannot be reached: ${messageOf(cause)}.`, { cause }));
    });
  });
}
