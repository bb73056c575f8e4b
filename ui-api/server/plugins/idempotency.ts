/**
 * Idempotency-Key on POST: the same request with the same key within 24 hours is answered as the first time; another
 * request with that key is refused. Routes whose answer carries a secret are left out: their names keep them single.
 */
import { createHash } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { CroftError } from '../../../appliance/errors.ts';
import type { AppContext, Server } from '../context.ts';
import { onChanges } from './changes.ts';

const keptHeaders = ['content-type', 'location', 'etag'] as const;

type Answer = { status: number; headers: Record<string, string>; body: string };

const hashOf = (...parts: string[]): string => createHash('sha256').update(parts.join('\0')).digest('hex');

export function useIdempotency(app: Server, { box, logger }: AppContext): void {
  /** Requests that hold a claimed key, until they are answered. */
  const claimed = new WeakMap<FastifyRequest, string>();

  onChanges(app, 'preHandler', async (request, reply) => {
    const given = request.headers['idempotency-key'];
    const { secret, transient } = request.routeOptions.config;
    if (request.method !== 'POST' || given === undefined || secret || transient || request.plan) return undefined;
    if (typeof given !== 'string' || given.length < 1 || given.length > 255) {
      throw new CroftError('invalid-input', 'Idempotency-Key: must have 1 to 255 characters, e.g. a UUID.');
    }
    const key = hashOf(request.principal?.name ?? '', given);
    const found = box.idempotency.begin(key, hashOf(request.method, request.url, JSON.stringify(request.body) ?? ''));
    if (found.state === 'new') {
      claimed.set(request, key);
      return undefined;
    }
    if (found.state === 'running')
      throw new CroftError('busy', 'Idempotency-Key: the first request with this key is still running.');
    if (found.state === 'mismatch') {
      throw new CroftError('idempotency-mismatch', 'Idempotency-Key: this key was used for another request; use a new one.');
    }
    const { status, headers, body } = JSON.parse(found.answer) as Answer;
    return reply
      .headers(headers)
      .header('idempotency-replayed', 'true')
      .code(status)
      .send(body === '' ? undefined : JSON.parse(body));
  });

  onChanges(app, 'onSend', async (request, reply, payload) => {
    const key = claimed.get(request);
    // What failed may be tried again with the same key: only what was done is kept.
    if (key === undefined || reply.statusCode >= 400) return payload;
    const headers: Record<string, string> = {};
    for (const name of keptHeaders) {
      const value = reply.getHeader(name);
      if (value !== undefined) headers[name] = String(value);
    }
    const answer: Answer = { status: reply.statusCode, headers, body: typeof payload === 'string' ? payload : '' };
    try {
      box.idempotency.finish(key, JSON.stringify(answer));
      claimed.delete(request);
    } catch (error) {
      logger.error({ err: error }, 'an idempotent answer could not be kept');
    }
    return payload;
  });

  // Runs however the request ended; a client that went away may ask again.
  onChanges(app, 'onResponse', async (request) => {
    const key = claimed.get(request);
    if (key === undefined) return;
    claimed.delete(request);
    box.idempotency.forget(key);
  });
}
