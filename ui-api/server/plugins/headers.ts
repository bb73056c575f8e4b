/**
 * Headers that every answer carries: a strict content policy, no sniffing, no framing, no caching, the trace id. What the
 * API answers is data: no browser renders it, so it needs fewer than a page does, and nothing may be loaded from within.
 */
import { parseListen } from '../../../appliance/config.ts';
import type { AppContext, Server } from '../context.ts';

const pagePolicy = [
  "default-src 'self'",
  // PatternFly and xterm set style attributes.
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data: blob:",
  "connect-src 'self'",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
];

const common: Record<string, string> = {
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
};
const ofData: Record<string, string> = {
  ...common,
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
};
const ofPages: Record<string, string> = {
  ...common,
  'content-security-policy': pagePolicy.join(';'),
  'cross-origin-opener-policy': 'same-origin',
  'origin-agent-cluster': '?1',
  'x-dns-prefetch-control': 'off',
  'x-frame-options': 'DENY',
  'x-permitted-cross-domain-policies': 'none',
};

export function useHeaders(app: Server, { config, staleSince }: AppContext): void {
  const { loopback } = parseListen(config.listen);
  // Plain HTTP is for loopback only; a browser told otherwise would lock people out.
  const transport: Record<string, string> = loopback ? {} : { 'strict-transport-security': 'max-age=31536000' };
  const data = { ...ofData, ...transport };
  const pages = { ...ofPages, ...transport };
  app.addHook('onRequest', (request, reply, done) => {
    reply.headers(request.url.startsWith('/v1/') ? data : pages).header('x-trace-id', request.id);
    done();
  });
  if (config.store !== 'kubernetes') return;
  // A read served from memory says so (RFC 7234 §5.5.1): the store does not answer.
  app.addHook('onSend', (request, reply, _payload, done) => {
    const since = request.method === 'GET' && reply.statusCode < 400 ? staleSince() : undefined;
    if (since) reply.header('warning', '110 croft "Response is Stale"').header('x-croft-stale-since', since.toISOString());
    done();
  });
}
