/** /v1/events: the live stream (server-sent events) or, with list=true, what happened lately. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { Page, strict } from '../../schemas/common.ts';
import { EventOut } from '../../schemas/objects.ts';
import type { AppContext, Server } from '../context.ts';
import type { Notification } from '../notifications.ts';

const heartbeat = 15_000;
/** Bytes a client may lag behind before it is let go; it comes back with its last id. */
const mostBuffered = 1024 * 1024;

const EventQuery = Type.Object(
  {
    list: Type.Optional(Type.Boolean()),
    types: Type.Optional(
      Type.String({ maxLength: 200, description: 'comma-separated: vm,image,network,volume,pool,task,event,…' }),
    ),
    kind: Type.Optional(Type.String({ maxLength: 63 })),
    name: Type.Optional(Type.String({ maxLength: 253 })),
    project: Type.Optional(Type.String({ maxLength: 63 })),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
    pageToken: Type.Optional(Type.String({ maxLength: 64 })),
    lastEventId: Type.Optional(Type.String({ maxLength: 64 })),
  },
  strict,
);

export const formatEvent = ({ id, event, data }: Notification): string =>
  `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`;

export function eventRoutes(app: Server, { events, notifications, authenticator }: AppContext): void {
  const open = new Set<() => void>();
  app.addHook('preClose', async () => {
    for (const end of open) end();
  });

  app.get('/v1/events', {
    config: { permission: 'viewer' },
    schema: {
      summary: 'Stream of events and changes (SSE), or list=true',
      querystring: EventQuery,
      response: { 200: Page(EventOut) },
    },
    handler: async (request, reply) => {
      const { list, kind, name, project, limit } = request.query;
      if (list)
        return { items: events.list({ kind, name, project, limit: limit ?? 100 }).map((event) => ({ kind: 'event', ...event })) };
      stream(request, reply);
      return await reply;
    },
  });

  function stream(request: FastifyRequest, reply: FastifyReply): void {
    const { types, lastEventId } = request.query as { types?: string; lastEventId?: string };
    const wanted = types === undefined || types === '' ? undefined : new Set(types.split(','));
    const header = request.headers['last-event-id'];
    const lastId = typeof header === 'string' ? header : lastEventId;
    const { raw } = reply;

    reply.hijack();
    for (const [key, value] of Object.entries(reply.getHeaders())) if (value !== undefined) raw.setHeader(key, value);
    raw.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    });
    raw.write('retry: 2000\n\n');

    const end = (): void => {
      stop();
      clearInterval(beat);
      open.delete(end);
      raw.end();
    };
    const send = (text: string): void => {
      raw.write(text);
      if (raw.writableLength > mostBuffered) raw.destroy();
    };
    let stop = (): void => undefined;
    const beat = setInterval(() => {
      send(': still here\n\n');
      // Who was signed out or removed meanwhile hears no more.
      Promise.resolve(authenticator(request.raw)).then(
        (principal) => {
          if (!principal) end();
        },
        (error: unknown) => {
          request.log.warn({ err: error, traceId: request.id }, 'could not check who listens to the events');
          end();
        },
      );
    }, heartbeat);
    open.add(end);
    raw.once('close', end);
    stop = notifications.subscribe((notification) => {
      if (wanted === undefined || notification.event === 'reset' || wanted.has(notification.event))
        send(formatEvent(notification));
    }, lastId);
  }
}
