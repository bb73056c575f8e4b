/**
 * The listener that kube-apiserver's aggregator calls. It is this listener's own: only a client certificate of the
 * cluster's request-header CA, with an allowed name, gets past the handshake, so X-Remote-User can be believed here and
 * nowhere else. The API server has authenticated and authorised the person already (RBAC on subresources.kubevirt.io).
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { WebSocketServer } from 'ws';
import { CroftError } from '../../../appliance/errors.ts';
import type { Logger } from '../../../appliance/host/logger.ts';
import { join } from '../routes/console.ts';
import { statusOf } from './status.ts';
import { answerSubresource, openSubresource, type SubresourceContext } from './subresources.ts';

export type FrontProxyOptions = {
  host: string;
  port: number;
  tls: { key: string; cert: string };
  /** PEM of the request-header CA, and the common names that its certificates must have (empty: any). */
  requestHeader: { ca: string; allowedNames: string[] };
  context: SubresourceContext;
  logger: Logger;
};

export type FrontProxy = { port: number; close: () => Promise<void> };

/** What virtctl's streams speak: raw bytes in binary frames (kubevirt.io/client-go subresources). */
const streamProtocol = 'plain.kubevirt.io';
const maxBody = 64 * 1024;

/** @throws CroftError `in-use` when the address is taken */
export async function listenForFrontProxy(options: FrontProxyOptions): Promise<FrontProxy> {
  const { requestHeader, context, logger } = options;
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: 1024 * 1024,
    handleProtocols: (offered) => (offered.has(streamProtocol) ? streamProtocol : false),
  });
  const server = createServer({ ...options.tls, ca: requestHeader.ca, requestCert: true, rejectUnauthorized: true });

  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const { method = 'GET' } = request;
    answer(request)
      .then((result) => {
        if ('png' in result) return send(response, 200, 'image/png', result.png);
        if ('json' in result) return send(response, 200, 'application/json', JSON.stringify(result.json));
        if (result.warning !== undefined) response.setHeader('warning', `299 - "${result.warning}"`);
        return send(response, 202, 'application/json', '');
      })
      .catch((error: unknown) => {
        const status = statusOf(error);
        if (status.code >= 500) logger.error({ err: error, method, path: request.url }, 'subresource');
        send(response, status.code, 'application/json', JSON.stringify(status));
      });
  });

  async function answer(request: IncomingMessage) {
    const user = callerOf(request, requestHeader.allowedNames);
    const path = pathOf(request);
    const body = await bodyOf(request);
    if (request.method !== 'GET') logger.info({ user, method: request.method, path }, 'subresource');
    return answerSubresource(context, request.method ?? 'GET', path, body);
  }

  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    // A peer that vanishes before the stream is open: there is nothing to end yet.
    socket.on('error', () => undefined);
    open(request)
      .then((stream) => {
        if (socket.destroyed) return void stream.destroy();
        sockets.handleUpgrade(request, socket, head, (client) =>
          join(client, stream, (error) => logger.info({ err: error }, 'stream ended')),
        );
      })
      .catch((error: unknown) => {
        const status = statusOf(error);
        const text = JSON.stringify(status);
        const lines = [
          `HTTP/1.1 ${status.code} ${status.reason}`,
          'Content-Type: application/json',
          `Content-Length: ${Buffer.byteLength(text)}`,
        ];
        socket.end(`${lines.join('\r\n')}\r\nConnection: close\r\n\r\n${text}`);
      });
  });

  async function open(request: IncomingMessage): Promise<Duplex> {
    const user = callerOf(request, requestHeader.allowedNames);
    const path = pathOf(request);
    logger.info({ user, path }, 'subresource stream');
    return openSubresource(context, path);
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(new CroftError('in-use', `${options.host}:${options.port} cannot be listened on for the API server.`, { cause })),
    );
    server.listen(options.port, options.host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      for (const client of sockets.clients) client.terminate();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** @throws CroftError `forbidden`, `unauthenticated` */
function callerOf(request: IncomingMessage, allowedNames: string[]): string {
  const { subject } = (request.socket as TLSSocket).getPeerCertificate();
  const name = subject?.CN;
  const names = typeof name === 'string' ? [name] : (name ?? []);
  if (allowedNames.length > 0 && !names.some((one) => allowedNames.includes(one))) {
    throw new CroftError('forbidden', 'This listener is for the Kubernetes API server; call the API server instead.');
  }
  const user = request.headers['x-remote-user'];
  // Health and discovery calls of the aggregator itself carry none.
  if (typeof user === 'string' && user !== '') return user;
  if (request.method === 'GET' && !request.headers.upgrade) return 'system:aggregator';
  throw new CroftError('unauthenticated', 'The API server named no user.');
}

const pathOf = (request: IncomingMessage): string => new URL(request.url ?? '/', 'https://croft').pathname;

/** virtctl sends JSON without a Content-Type. @throws CroftError `too-large`, `invalid-input` */
async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += (chunk as Buffer).length;
    if (size > maxBody) throw new CroftError('too-large', `The body has more than ${maxBody} bytes.`);
    chunks.push(chunk as Buffer);
  }
  const text = Buffer.concat(chunks).toString('utf8').trim();
  if (text === '') return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new CroftError('invalid-input', 'The body is not JSON.', { cause });
  }
}

function send(response: ServerResponse, code: number, type: string, body: string | Buffer): void {
  response.writeHead(code, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
  response.end(body);
}
