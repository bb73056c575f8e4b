/**
 * Serves one app on several sockets: TCP (plain HTTP on loopback only, else TLS) and the unix socket of local root.
 * The servers are our own, because fastify listens on one only; both hand their requests to its router, and
 * upgrades to the WebSocket plugin, which listens on the app's own (never opened) server.
 */
import { chmod, rm } from 'node:fs/promises';
import { createServer, type RequestListener, type Server as HttpServer, type ServerOptions } from 'node:http';
import { createServer as createTlsServer, type Server as HttpsServer } from 'node:https';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { CroftError } from '../../appliance/errors.ts';
import { isLoopback } from '../../appliance/host/loopback.ts';
import { alsoTls } from './also-tls.ts';
import type { Certificate } from './certificate.ts';
import type { AppContext, Server } from './context.ts';

export type ListenOptions = {
  tcp?: { host: string; port: number };
  /** Required on any address but loopback. */
  tls?: { key: string; cert: string };
  /** For clients that want TLS on loopback too; asked for when the first one comes. */
  loopbackTls?: () => Promise<{ key: string; cert: string }>;
  /** In a directory that only root may enter. */
  unixSocket?: string;
  /** ms, in place of the usual patience with slow clients. */
  timeouts?: Partial<typeof patience>;
};

export type Listening = { address?: { host: string; port: number }; url?: string };

/** A client gets this long for its request; slow ones don't hold sockets for ever. Answers (events, waits) may last. */
const patience = { headersTimeout: 20_000, requestTimeout: 120_000, keepAliveTimeout: 72_000 };
/** How often it is looked who takes too long; Node's own 30 s would let them stay that much longer. */
const lookEvery = 5_000;
const maxConnections = 2_000;

/** @throws CroftError `invalid-input` for plain HTTP beyond loopback, `in-use` when the address is taken */
export async function listen(
  app: Server,
  { tcp, tls, loopbackTls, unixSocket, timeouts = {} }: ListenOptions,
): Promise<Listening> {
  if (tcp && !tls && !isLoopback(tcp.host)) {
    throw new CroftError('invalid-input', `CROFT_LISTEN: ${tcp.host} is not loopback, so it needs TLS.`);
  }
  await app.ready();
  const { closers, context } = app.croft;
  const { localSockets } = context;
  const handle: RequestListener = (request, response) => app.routing(request, response);
  const given = { ...patience, ...timeouts };
  const connectionsCheckingInterval = Math.min(lookEvery, given.headersTimeout);
  const limits: ServerOptions = { ...given, connectionsCheckingInterval };
  const servers: HttpServer[] = [];
  closers.push(async () => {
    await Promise.all(servers.map(stop));
    if (unixSocket !== undefined) await rm(unixSocket, { force: true });
  });

  const listening: Listening = {};
  if (tcp) {
    const server = tls ? tlsServer(limits, tls, handle, context) : createServer(limits, handle);
    servers.push(serve(app, server));
    if (!tls && loopbackTls) {
      const secure = async () => {
        const made = tlsServer(limits, await loopbackTls(), handle, context);
        // It never listens itself; Node begins to look after a server's connections when it does.
        made.emit('listening');
        closers.push(async () => {
          made.close();
          drain(made);
        });
        return serve(app, made);
      };
      const letGo = alsoTls(server, secure, given.headersTimeout, (err) =>
        context.logger.error({ err }, 'no certificate for TLS on loopback'),
      );
      closers.push(async () => letGo(drainTime));
    }
    await open(server, () => server.listen(tcp.port, tcp.host), `${tcp.host}:${tcp.port}`);
    const { port } = server.address() as AddressInfo;
    listening.address = { host: tcp.host, port };
    app.croft.address = listening.address;
    listening.url = `${tls ? 'https' : 'http'}://${tcp.host.includes(':') ? `[${tcp.host}]` : tcp.host}:${port}`;
  }
  if (unixSocket !== undefined) {
    const server = createServer(limits, handle);
    server.prependListener('connection', (socket) => localSockets.add(socket));
    servers.push(serve(app, server));
    await refuseLive(unixSocket);
    await open(server, () => server.listen(unixSocket), unixSocket);
    await chmod(unixSocket, 0o600);
  }
  return listening;
}

function tlsServer(
  limits: ServerOptions,
  { key, cert }: { key: string; cert: string },
  handle: RequestListener,
  { onCertificate }: AppContext,
): HttpsServer {
  const minVersion = 'TLSv1.2' as const;
  const server = createTlsServer({ ...limits, key, cert, minVersion }, handle);
  const change = (next: Certificate) => server.setSecureContext({ key: next.key, cert: next.cert, minVersion });
  onCertificate.add(change);
  server.once('close', () => onCertificate.delete(change));
  return server;
}

function serve<S extends HttpServer>(app: Server, server: S): S {
  server.maxConnections = maxConnections;
  server.on('upgrade', (request, socket, head) => app.server.emit('upgrade', request, socket, head));
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    // Not HTTP, or not in time: there is no request that a problem could be about.
    const status = error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? '408 Request Timeout' : '400 Bad Request';
    if (socket.writable) socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\n\r\n`);
    else socket.destroy();
  });
  return server;
}

/** A socket file nobody answers on is left over from a killed service; one that answers is another Croft. */
async function refuseLive(path: string): Promise<void> {
  const alive = await new Promise<boolean>((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
  if (alive) throw new CroftError('in-use', `Another Croft answers on ${path}; stop it first.`);
  await rm(path, { force: true });
}

function open(server: HttpServer, start: () => void, where: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE')
        reject(new CroftError('in-use', `CROFT_LISTEN: ${where} is taken by another program.`, { cause: error }));
      else reject(error);
    });
    server.once('listening', resolve);
    start();
  });
}

/** Requests at work get this long to be answered. */
const drainTime = 2_000;

async function stop(server: HttpServer): Promise<void> {
  if (!server.listening) return;
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  const impatient = drain(server);
  await closed;
  clearTimeout(impatient);
}

function drain(server: HttpServer): NodeJS.Timeout {
  server.closeIdleConnections();
  return setTimeout(() => server.closeAllConnections(), drainTime).unref();
}
