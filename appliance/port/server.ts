/**
 * The port between API and box over a unix socket, where the two are processes of their own (the appliance): the API
 * runs without rights, the box as root. This is the box's end; client.ts is the other.
 *
 * HTTP/1.1, JSON in and out. `GET /records` answers lines without end: what tasks and events there are, then
 * `{"current":true}`, then every change, and the moment of each new sample of the history. `POST /upload` takes the
 * bytes of an image, `GET /export` gives those of an export. `GET /console` is upgraded to the bytes of a guest's console. An error is
 * the catalogue's, with its HTTP status. Who may connect is a matter of the socket's owner and mode alone.
 */
import { chmod, chown, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { type Duplex, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CroftError, isCroftError } from '../errors.ts';
import type { Logger } from '../host/logger.ts';
import type { Range } from '../metrics/series.ts';
import type {
  BoxPort,
  ClusterPort,
  EventView,
  GuestAction,
  ImageUploads,
  InitRequest,
  RemoteTasks,
  UpdatePort,
  UpdateRequest,
  VmExports,
  VmKey,
} from '../ports.ts';

export type PortParts = {
  port: BoxPort;
  uploads: ImageUploads;
  exports: VmExports;
  tasks: RemoteTasks;
  events: EventView;
  logger: Logger;
};
/** The account that alone may connect, beside root. */
export type PortOwner = { uid: number; gid: number };

/** How many records of each kind a client is told of when it connects. */
export const recordsKept = 1_000;
const bodyLimit = 64 * 1024;
/** Bytes a reader of records may lag behind; a slower one is cut off and connects anew. */
const lagLimit = 4 * 1024 * 1024;

type Body = {
  vm: VmKey;
  action: GuestAction;
  id: string;
  subject: string;
  range: Range;
  size: number;
  wish: Parameters<VmExports['begin']>[1];
  request: InitRequest;
  update: UpdateRequest;
  by?: string;
};
type Answer = (parts: PortParts, body: Body) => Promise<unknown>;

const answers: Record<string, Answer> = {
  '/act': async ({ port }, { vm, action }) => port.act(vm, action),
  '/explain': ({ port }, { vm }) => port.explain(vm),
  '/stats': ({ port }) => port.stats(),
  '/history': ({ port }, { subject, range }) => port.history(subject, range),
  '/recent-use': ({ port }) => port.recentUse(),
  '/nics': ({ port }) => port.nics(),
  '/guest-lists': ({ port }, { vm }) => port.guestLists(vm),
  '/cluster/status': async (parts) => clusterOf(parts).status(),
  '/cluster/init': async (parts, { request, by }) => clusterOf(parts).init(request, by),
  '/update/status': async (parts) => updatesOf(parts).status(),
  '/update/begin': async (parts, { update, by }) => updatesOf(parts).begin(update, by),
  '/update/abort': async (parts) => updatesOf(parts).abort(),
  '/update/roll-back': async (parts) => updatesOf(parts).rollBack(),
  '/update/restart': async (parts) => updatesOf(parts).restart(),
  '/export/begin': ({ exports }, { vm, wish }) => exports.begin(vm, wish),
  '/export/get': ({ exports }, { id }) => exports.get(id),
  '/export/list': ({ exports }) => exports.list(),
  '/export/remove': ({ exports }, { id }) => exports.remove(id),
  '/upload/begin': ({ uploads }, { id, size }) => uploads.begin(id, size),
  '/upload/state': ({ uploads }, { id }) => uploads.state(id),
  '/upload/drop': ({ uploads }, { id }) => uploads.drop(id),
  '/capacity': ({ port }) => port.capacity(),
  '/screenshot': async ({ port }, { vm }) => ({ png: (await port.screenshot(vm)).toString('base64') }),
  '/cancel': async ({ tasks }, { id }) => tasks.cancel(id),
};

function clusterOf({ port }: PortParts): ClusterPort {
  if (!port.cluster) throw new CroftError('unavailable', 'This box runs no Kubernetes of its own.');
  return port.cluster;
}

function updatesOf({ port }: PortParts): UpdatePort {
  if (!port.updates)
    throw new CroftError('invalid-state', 'This box was not installed from a medium: it has no releases to change.');
  return port.updates;
}

/** @throws Error of listen(2) when the socket cannot be made */
export async function servePort(
  path: string,
  owner: PortOwner | undefined,
  parts: PortParts,
): Promise<{ close(): Promise<void> }> {
  const server = createServer((request, response) => {
    handle(request, response, parts).catch((error: unknown) => fail(response, error, parts.logger));
  });
  server.on('upgrade', (request, socket) => {
    openConsole(request, socket, parts).catch((error: unknown) => {
      const { status, text } = problemOf(error, parts.logger);
      socket.end(`HTTP/1.1 ${status} Problem\r\ncontent-length: ${Buffer.byteLength(text)}\r\nconnection: close\r\n\r\n${text}`);
    });
  });
  // Consoles leave the server's own count of connections when they are upgraded.
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await rm(path, { force: true });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(path, resolve));
  await chmod(path, 0o600);
  if (owner) await chown(path, owner.uid, owner.gid);
  return { close: () => stop(server, sockets, path) };
}

async function stop(server: Server, sockets: Iterable<Socket>, path: string): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  for (const socket of sockets) socket.destroy();
  await closed;
  await rm(path, { force: true });
}

async function handle(request: IncomingMessage, response: ServerResponse, parts: PortParts): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://port');
  if (request.method === 'POST' && pathname === '/upload') {
    const id = searchParams.get('id') ?? '';
    return send(response, await parts.uploads.append(id, Number(searchParams.get('offset')), request));
  }
  if (request.method === 'GET' && pathname === '/export') {
    const [start, end] = [Number(searchParams.get('start')), Number(searchParams.get('end'))];
    const bytes = await parts.exports.read(searchParams.get('id') ?? '', start, end);
    response.writeHead(200, { 'content-type': 'application/octet-stream' });
    return pipeline(Readable.from(bytes, { objectMode: false }), response);
  }
  if (request.method === 'GET' && pathname === '/records') return sendRecords(response, parts);
  const answer = request.method === 'POST' ? answers[pathname] : undefined;
  if (!answer) throw new CroftError('not-found', `The port has no ${request.method} ${pathname}.`);
  send(response, await answer(parts, await bodyOf(request)));
}

const send = (response: ServerResponse, result: unknown): void =>
  void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(result ?? null));

async function bodyOf(request: IncomingMessage): Promise<Body> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += (chunk as Buffer).length;
    if (size > bodyLimit) throw new CroftError('too-large', `The port takes ${bodyLimit} bytes at once.`);
    chunks.push(chunk as Buffer);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as Body;
  } catch (cause) {
    throw new CroftError('invalid-input', 'The port was sent no JSON.', { cause });
  }
}

function sendRecords(response: ServerResponse, { port, tasks, events }: PortParts): void {
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  const tell = (record: unknown): void => {
    if (response.writableLength > lagLimit) response.destroy();
    else response.write(`${JSON.stringify(record)}\n`);
  };
  const stops = [
    tasks.subscribe((task) => tell({ task })),
    events.subscribe((event) => tell({ event })),
    port.onSample((sample) => tell({ sample })),
  ];
  response.once('close', () => {
    for (const stopOne of stops) stopOne();
  });
  for (const task of tasks.list({ limit: recordsKept }).toReversed()) tell({ task });
  for (const event of events.list({ limit: recordsKept }).toReversed()) tell({ event });
  tell({ current: true });
}

async function openConsole(request: IncomingMessage, socket: Duplex, { port, logger }: PortParts): Promise<void> {
  const { searchParams } = new URL(request.url ?? '/', 'http://port');
  const vm = { name: searchParams.get('name') ?? '', namespace: searchParams.get('namespace') ?? '' };
  const stream = await port.openConsole(vm, searchParams.get('kind') === 'vnc' ? 'vnc' : 'serial');
  socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: croft-console\r\nconnection: Upgrade\r\n\r\n');
  stream.pipe(socket).pipe(stream);
  const ends: [Duplex, Duplex][] = [
    [stream, socket],
    [socket, stream],
  ];
  for (const [one, other] of ends) {
    one.once('error', (error: Error) => logger.debug({ err: error }, 'console ended'));
    one.once('close', () => other.destroy());
  }
}

function problemOf(error: unknown, logger: Logger): { status: number; text: string } {
  if (!isCroftError(error)) logger.error({ err: error }, 'the port failed');
  const told = isCroftError(error) ? error : new CroftError('internal', 'The box failed; its log says how.');
  const { code, message, fix, errors, status } = told;
  return { status, text: JSON.stringify({ code, detail: message, fix, errors }) };
}

function fail(response: ServerResponse, error: unknown, logger: Logger): void {
  const { status, text } = problemOf(error, logger);
  if (response.headersSent) response.destroy();
  else response.writeHead(status, { 'content-type': 'application/json' }).end(text);
}
