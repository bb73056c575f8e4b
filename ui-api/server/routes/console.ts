/**
 * Consoles: a signed-in operator gets a ticket good for one use within 30 seconds; the WebSocket that shows it is
 * joined to the guest's serial console or VNC server, raw bytes in binary frames both ways. The ticket is in the
 * query because browsers can't send headers with a WebSocket; used once, a logged one is worth nothing.
 */
import type { Duplex } from 'node:stream';
import { Type } from 'typebox';
import type { FastifyRequest } from 'fastify';
import type { WebSocket } from 'ws';
import { CroftError } from '../../../appliance/errors.ts';
import { virtualMachine } from '../../../appliance/resources/virtual-machine.ts';
import { newSecret, sha256 } from '../../auth/secrets.ts';
import { NameParams, ProjectQuery, strict } from '../../schemas/common.ts';
import { Ticket, TicketBody } from '../../schemas/vm.ts';
import type { AppContext, Server } from '../context.ts';
import { defaultProject, mustFind } from '../lookup.ts';
import { connectGuest } from '../guest-connection.ts';
import { refuseField } from '../projections/vm-draft.ts';
import { mustAllow } from './vm-actions.ts';

/** What a ticket opens. */
type TicketData = { name: string; namespace: string; kind: 'serial' | 'vnc' | 'tcp'; port?: number };

const ticketLifetime = 30_000;
const pingInterval = 20_000;
/** Bytes waiting for a slow browser before the guest's side is paused. */
const highWater = 1024 * 1024;

export function consoleRoutes(app: Server, { box, port, logger }: AppContext): void {
  const streams = new WeakMap<object, Duplex>();

  app.post('/v1/vms/:name/console-tickets', {
    config: { permission: 'operator', transient: true, secret: true },
    schema: {
      summary: 'A one-time ticket for the serial or VNC console, or a TCP port of the guest',
      params: NameParams,
      querystring: Type.Object({ ...ProjectQuery }, strict),
      body: TicketBody,
      response: { 201: Ticket },
    },
    handler: async ({ store, params, query, body }, reply) => {
      const vm = await mustFind(store, virtualMachine, params.name, query.project);
      const kind = body.kind ?? 'serial';
      if ((kind === 'tcp') !== (body.port !== undefined)) refuseField('/port', 'port: goes with kind tcp, and only with it.');
      mustAllow(vm, kind === 'vnc' ? 'vnc' : 'console');
      const ticket = newSecret();
      const expires = Date.now() + ticketLifetime;
      const { name, namespace = defaultProject } = vm.metadata;
      box.oneTime.put(
        sha256(ticket),
        'console',
        JSON.stringify({ name, namespace, kind, port: body.port } satisfies TicketData),
        expires,
      );
      reply.code(201);
      return { ticket, url: `/v1/console?ticket=${ticket}`, expiresAt: new Date(expires).toISOString() };
    },
  });

  app.get(
    '/v1/console',
    {
      // The ticket is the permission; it was given to an operator.
      config: { permission: 'open', secret: true },
      websocket: true,
      schema: {
        summary: 'WebSocket: console bytes',
        querystring: Type.Object({ ticket: Type.String({ maxLength: 128 }) }, strict),
      },
      preHandler: async (request: FastifyRequest) => {
        if (!request.ws)
          throw new CroftError('invalid-input', 'This address is a WebSocket; connect to it with Upgrade: websocket.');
        const { ticket } = request.query as { ticket: string };
        const payload = box.oneTime.take(sha256(ticket), 'console');
        if (payload === undefined) {
          throw new CroftError('unauthenticated', 'This console ticket is used up or older than 30 seconds; ask for a new one.');
        }
        const { kind, port: guestPort, ...key } = JSON.parse(payload) as TicketData;
        // Opened before the upgrade: a guest that doesn't run is a plain 409.
        const stream =
          kind === 'tcp' ? await connectGuest(request.store, key, guestPort ?? 0) : await port.openConsole(key, kind);
        streams.set(request, stream);
        request.raw.socket.once('close', () => stream.destroy());
      },
    },
    (socket: WebSocket, request: FastifyRequest) => {
      const stream = streams.get(request);
      if (stream) join(socket, stream, (error) => logger.info({ err: error }, 'console ended'));
      else socket.close(1011);
    },
  );
}

/** Joins a WebSocket and a stream until either ends; each side waits for the other. */
export function join(socket: WebSocket, stream: Duplex, onError: (error: Error) => void): void {
  let alive = true;
  const ping = setInterval(() => {
    if (!alive) {
      socket.terminate();
      return;
    }
    alive = false;
    socket.ping();
  }, pingInterval);
  socket.on('pong', () => {
    alive = true;
  });

  stream.on('data', (bytes: Buffer) => {
    socket.send(bytes, { binary: true }, () => {
      if (stream.isPaused() && socket.bufferedAmount < highWater) stream.resume();
    });
    if (socket.bufferedAmount >= highWater) stream.pause();
  });
  stream.on('end', () => socket.close(1000, 'the console ended'));
  stream.on('error', (error) => {
    onError(error);
    socket.close(1011, 'the console failed');
  });
  stream.on('close', () => socket.close(1000));

  socket.on('message', (bytes: Buffer) => {
    if (!stream.writable || stream.write(bytes)) return;
    socket.pause();
    stream.once('drain', () => socket.resume());
  });
  socket.on('error', onError);
  socket.on('close', () => {
    clearInterval(ping);
    stream.destroy();
  });
}
