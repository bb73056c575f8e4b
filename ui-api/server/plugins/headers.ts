/** Headers that every answer carries: a strict content policy, no caching, the trace id. */
import helmet from '@fastify/helmet';
import { parseListen } from '../../../appliance/config.ts';
import type { AppContext, Server } from '../context.ts';

export function useHeaders(app: Server, { config }: AppContext): void {
  const { loopback } = parseListen(config.listen);
  app.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'self'"],
        // PatternFly and xterm set style attributes.
        styleSrc: ["'self'", "'unsafe-inline'"],
        imgSrc: ["'self'", 'data:', 'blob:'],
        connectSrc: ["'self'"],
        objectSrc: ["'none'"],
        baseUri: ["'none'"],
        formAction: ["'self'"],
        frameAncestors: ["'none'"],
      },
    },
    // Plain HTTP is for loopback only; a browser told otherwise would lock people out.
    hsts: loopback ? false : { maxAge: 31_536_000, includeSubDomains: false },
  });
  app.addHook('onSend', async (request, reply, payload) => {
    reply.header('x-trace-id', String(request.id));
    if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store');
    return payload;
  });
}
