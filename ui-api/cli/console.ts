/**
 * The serial console over a WebSocket, opened with a one-time ticket.
 *
 * On a terminal: raw mode, every key goes to the guest, Ctrl-] leaves, and a lost connection (service restarted, guest
 * rebooted) is opened again. Off a terminal: standard input is typed, output goes to standard output; after the end of
 * the input it stays until the guest has been silent for a while, or `--timeout`. With `--send`/`--expect` the
 * conversation decides and standard input is left alone.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { ConsoleScript, type ScriptStep } from './console-script.ts';
import { CliError, exitCodes } from './exit.ts';
import { openTicket } from './forward.ts';
import type { Session } from './session.ts';

/** Ctrl-], as telnet and virsh have it. */
const release = 0x1d;
/** ms of silence after which piped input counts as answered. */
const silence = 2000;
/** ms for one `--expect`. */
const expectTimeout = 60_000;
/** ms for which a lost connection is tried again. */
const reconnectFor = 60_000;

export type ConsoleOptions = { steps?: ScriptStep[] /** ms */; timeout?: number };

/** Returns when the person, the script or the input has ended. @throws CliError, ApiProblem, Unreachable */
export async function openConsole(session: Session, vm: string, options: ConsoleOptions): Promise<void> {
  const socket = await connect(session, vm);
  if (options.steps && options.steps.length > 0) await converse(session, socket, options.steps, options.timeout ?? expectTimeout);
  else if (session.io.stdin.isTTY) await interact(session, vm, socket);
  else await pipe(session, socket, options.timeout);
}

async function connect(session: Session, vm: string): Promise<WebSocket> {
  const socket = await openTicket(session, vm, { kind: 'serial' });
  // Errors after opening are followed by 'close', which is what is waited for.
  socket.on('error', () => {});
  return socket;
}

const closed = (socket: WebSocket): Promise<string> =>
  new Promise((resolve) => {
    if (socket.readyState === WebSocket.CLOSED) resolve('');
    else socket.once('close', (_code, reason) => resolve(reason.toString()));
  });

const bytesOf = (data: unknown): Buffer =>
  Buffer.isBuffer(data) ? data : Array.isArray(data) ? Buffer.concat(data as Buffer[]) : Buffer.from(data as ArrayBuffer);

function showOutput({ io }: Session, socket: WebSocket, also: (chunk: Buffer) => void = () => {}): void {
  socket.on('message', (data) => {
    const chunk = bytesOf(data);
    io.stdout.write(chunk);
    also(chunk);
  });
}

async function converse(session: Session, socket: WebSocket, steps: ScriptStep[], timeout: number): Promise<void> {
  const decoder = new TextDecoder();
  const script = new ConsoleScript(steps, (text) => socket.send(Buffer.from(text)), timeout);
  showOutput(session, socket, (chunk) => script.hear(decoder.decode(chunk, { stream: true })));
  socket.once('close', () => script.close());
  const interrupted = new Promise<never>((_, reject) => {
    session.io.signal.addEventListener('abort', () => reject(new CliError(exitCodes.interrupted, 'Interrupted.')), {
      once: true,
    });
  });
  try {
    await Promise.race([script.run(), interrupted]);
  } finally {
    socket.close();
    await Promise.race([closed(socket), sleep(1000)]);
    socket.terminate();
  }
}

async function interact(session: Session, vm: string, first: WebSocket): Promise<void> {
  const { io } = session;
  let socket = first;
  let leaving = false;
  const onKeys = (data: Buffer | string) => {
    const keys = Buffer.from(data);
    const at = keys.indexOf(release);
    if (socket.readyState === WebSocket.OPEN && at !== 0) socket.send(at < 0 ? keys : keys.subarray(0, at));
    if (at < 0) return;
    leaving = true;
    socket.close();
  };
  session.say(`Serial console of VM ${vm}. Press Ctrl-] to leave, Enter if the screen stays empty.`);
  io.stdin.setRawMode?.(true);
  io.stdin.on('data', onKeys);
  io.stdin.resume();
  try {
    for (;;) {
      showOutput(session, socket);
      const reason = await closed(socket);
      if (leaving) return;
      session.say(`\r\nThe connection ended${reason ? `: ${reason}` : ''}. Trying again; Ctrl-] leaves.\r`);
      const again = await reconnect(session, vm, () => leaving);
      if (!again) return;
      socket = again;
    }
  } finally {
    io.stdin.off('data', onKeys);
    io.stdin.setRawMode?.(false);
    io.stdin.pause();
    io.stderr.write('\r\n');
  }
}

/** Undefined when the person left meanwhile. @throws the last failure after a minute */
async function reconnect(session: Session, vm: string, leaving: () => boolean): Promise<WebSocket | undefined> {
  const until = Date.now() + reconnectFor;
  for (;;) {
    await sleep(500);
    if (leaving()) return undefined;
    try {
      return await connect(session, vm);
    } catch (error) {
      if (Date.now() > until) throw error;
    }
  }
}

async function pipe(session: Session, socket: WebSocket, timeout: number | undefined): Promise<void> {
  const { io } = session;
  let lastHeard = Date.now();
  let inputEnded = false;
  showOutput(session, socket, () => {
    lastHeard = Date.now();
  });
  const onData = (data: Buffer | string) => socket.readyState === WebSocket.OPEN && socket.send(Buffer.from(data));
  const onEnd = () => {
    inputEnded = true;
    lastHeard = Date.now();
  };
  io.stdin.on('data', onData).once('end', onEnd);
  const until = timeout === undefined ? Number.POSITIVE_INFINITY : Date.now() + timeout;
  const ended = new AbortController();
  void closed(socket).then(() => ended.abort());
  const done = () =>
    ended.signal.aborted ||
    io.signal.aborted ||
    Date.now() >= until ||
    (timeout === undefined && inputEnded && Date.now() - lastHeard > silence);
  while (!done()) await sleep(50);
  io.stdin.off('data', onData).off('end', onEnd);
  io.stdin.pause();
  socket.terminate();
  if (io.signal.aborted) throw new CliError(exitCodes.interrupted, 'Interrupted.');
}
