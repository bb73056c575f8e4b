/** What is not an object: health, version, the API's description, metrics, the page at /. */
import { Type } from 'typebox';
import { CroftError } from '../../../appliance/errors.ts';
import { node } from '../../../appliance/resources/croft-kinds.ts';
import { createMetrics } from '../metrics.ts';
import type { RouteList } from '../openapi.ts';
import { describeApi } from '../openapi.ts';
import { signInFiles } from '../sign-in-page.ts';
import { statePage } from '../state-page.ts';
import type { AppContext, Server } from '../context.ts';
import { viewVms } from '../views.ts';

/** What a client may ask for before it uses a newer part of `/v1`. */
const features = ['apply', 'console-tickets', 'dry-run', 'events', 'idempotency-keys', 'merge-patch', 'tasks', 'wait-for'];

export function systemRoutes(app: Server, context: AppContext, routes: RouteList): void {
  const { store, version } = context;
  const Ok = Type.Object({ status: Type.String() });

  app.get('/healthz', {
    config: { permission: 'open' },
    schema: { summary: 'The service runs', response: { 200: Ok } },
    handler: async () => ({ status: 'ok' }),
  });

  app.get('/readyz', {
    config: { permission: 'open' },
    schema: { summary: 'The service can answer requests', response: { 200: Ok } },
    handler: async () => {
      try {
        await store.list(node, { limit: 1 });
      } catch (cause) {
        throw new CroftError('unavailable', 'The store does not answer.', { cause });
      }
      return { status: 'ready' };
    },
  });

  app.get('/v1/version', {
    config: { permission: 'open' },
    schema: {
      summary: 'Version and features',
      response: { 200: Type.Object({ version: Type.String(), api: Type.String(), features: Type.Array(Type.String()) }) },
    },
    handler: async () => ({ version, api: 'v1', features }),
  });

  app.get('/v1/openapi.json', {
    config: { permission: 'open' },
    schema: { summary: 'This description' },
    handler: async (_request, reply) => reply.type('application/json; charset=utf-8').send(describeApi(routes, version)),
  });

  const metrics = createMetrics(context);
  app.get('/metrics', {
    config: { permission: 'viewer' },
    schema: { summary: 'Prometheus metrics' },
    handler: async (_request, reply) => reply.type(metrics.contentType).send(await metrics.collect()),
  });

  app.get('/', {
    config: { permission: 'open' },
    schema: { summary: 'State page', hide: true },
    handler: async ({ principal }, reply) => {
      // A stranger learns that Croft runs here, no more.
      const seen = principal
        ? { principal, node: (await store.list(node, { limit: 1 })).items[0], vms: await viewVms(store, {}) }
        : undefined;
      return reply.type('text/html; charset=utf-8').send(statePage(version, seen));
    },
  });

  for (const [url, type, content] of signInFiles(version)) {
    app.get(url, {
      config: { permission: 'open' },
      schema: { summary: 'Sign-in page', hide: true },
      handler: async (_request, reply) => reply.type(type).send(content),
    });
  }
}
