/** One TCP connection into a guest, through the API, on standard input and output: what ssh's ProxyCommand wants. */
import { WebSocket, createWebSocketStream } from 'ws';
import { pipeline } from 'node:stream/promises';
import { describeEndpoint, tlsOptions } from '../client/node-transport.ts';
import { Unreachable } from '../client/problem.ts';
import type { ConsoleTicket } from '../client/types.ts';
import type { Session } from './session.ts';

/** Opens a WebSocket that a ticket is good for. @throws ApiProblem, Unreachable */
export async function openTicket(session: Session, vm: string, wish: Record<string, unknown>): Promise<WebSocket> {
  const { connection, client, project } = session;
  const path = `/v1/vms/${encodeURIComponent(vm)}/console-tickets`;
  const { body } = await client.request<ConsoleTicket>('POST', path, { body: wish, query: project });
  const target = `/v1/console?ticket=${encodeURIComponent(body.ticket)}`;
  const address = connection.socketPath
    ? `ws+unix:${connection.socketPath}:${target}`
    : `${(connection.baseUrl ?? '').replace(/^http/, 'ws')}${target}`;
  const socket = new WebSocket(address, { ...tlsOptions(connection), handshakeTimeout: 15_000, perMessageDeflate: false });
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', (error) => reject(new Unreachable(describeEndpoint(connection), error)));
  });
  return socket;
}

/** Joins standard input and output with a port of the guest until either ends. */
export async function forwardStdio(session: Session, vm: string, port: number): Promise<void> {
  const stream = createWebSocketStream(await openTicket(session, vm, { kind: 'tcp', port }));
  const { stdin, stdout } = session.io;
  await Promise.race([
    pipeline(stdin, stream),
    (async () => {
      for await (const chunk of stream) {
        if (!stdout.write(chunk as Buffer)) await new Promise((resolve) => stdout.once('drain', resolve));
      }
    })(),
  ]);
  stream.destroy();
}
