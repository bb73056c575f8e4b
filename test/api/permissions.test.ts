import * as fc from 'fast-check';
import fastify from 'fastify';
import type { TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { image } from '../../appliance/resources/croft-kinds.ts';
import { includesRole, roles, type Role } from '../../ui-api/auth/roles.ts';
import { Problem } from '../../ui-api/schemas/common.ts';
import type { Server } from '../../ui-api/server/context.ts';
import type { DescribedRoute } from '../../ui-api/server/openapi.ts';
import { usePermissions } from '../../ui-api/server/plugins/permissions.ts';
import { startApi, type Harness } from './harness.ts';

let api: Harness;
beforeAll(async () => {
  api = await startApi({ signInsPerMinute: 1_000_000 });
  await api.store.create(image, { metadata: { name: 'tiny' }, spec: { source: { build: 'tiny' } } });
});
afterAll(() => api.stop());

const fill = (url: string, value = 'nothing'): string => url.replace(/:\w+/g, encodeURIComponent(value));
/** The event stream never ends. */
const addressOf = (route: DescribedRoute, value?: string): string =>
  route.url === '/v1/events' ? '/v1/events?list=true' : fill(route.url, value);

/** A 503 says that a part is missing; everything else of 5xx is ours. */
function check(route: DescribedRoute, status: number, body: unknown, what: string): void {
  expect(status, what).toBeLessThan(500);
  if (status >= 400) expect(Value.Check(Problem, body), `${what}: ${JSON.stringify(body)}`).toBe(true);
  const schema: TSchema | undefined = route.response?.[String(status)];
  if (schema && status < 300) expect([...Value.Errors(schema, body)], what).toEqual([]);
}

describe('every route, every role', () => {
  it('declares a permission and holds to it', async () => {
    const { routes } = api.app.croft;
    expect(routes.length).toBeGreaterThan(45);
    for (const route of routes) {
      for (const as of [...roles, 'none'] as (Role | 'none')[]) {
        const what = `${route.method} ${route.url} as ${as}`;
        const { status, body } = await api.call(route.method, addressOf(route), { as, any: true });
        check(route, status, body, what);
        const allowed = route.permission === 'open' || (as !== 'none' && includesRole(as, route.permission));
        if (allowed) expect(status, what).not.toBe(403);
        else expect(status, what).toBe(as === 'none' ? 401 : 403);
        // Wrong passwords and tickets are 401 on the open routes that take them.
        if (allowed && route.permission !== 'open') expect(status, what).not.toBe(401);
      }
    }
  });

  it('a route without one keeps the API from starting', async () => {
    const app = fastify() as unknown as Server;
    usePermissions(app, api.app.croft.context);
    expect(() => app.get('/v1/forgotten', async () => ({}))).toThrow(/GET \/v1\/forgotten declares no permission/);
    await app.close();
  });
});

describe('requests out of the hat', () => {
  const name = fc.oneof(
    fc.constantFrom('a', 'b', 'tiny', 'default', '0193e7a2-1111-7222-8333-444455556666'),
    fc.string({ minLength: 1, maxLength: 20 }),
  );
  const scalar = fc.oneof(
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.constantFrom('1Gi', 'tiny', 'small', 'Always', 'default', 'admin', 'serial'),
    name,
    fc.double(),
  );
  const fields = fc.constantFrom(
    ...'name image size cpus memory disks nics network firmware runStrategy start labels source vlan trunk interfaces access native confirmWithin address dhcp nat driver role password token user kind apiVersion metadata spec volume ttlSeconds expiresAt force __proto__ constructor'.split(
      ' ',
    ),
  );
  const json = fc.letrec((tie) => ({
    value: fc.oneof({ maxDepth: 3 }, scalar, tie('object'), fc.array(tie('value'), { maxLength: 3 })),
    object: fc.dictionary(fields, tie('value'), { maxKeys: 6 }),
  }));
  /** Right enough to get past the schema often. */
  const likely = fc.record(
    {
      name: fc.constantFrom('a', 'b', 'c'),
      image: fc.constantFrom('tiny', 'nope'),
      size: fc.constantFrom('tiny', 'huge', '1Gi', 5),
      cpus: fc.integer({ min: 0, max: 300 }),
      memory: fc.constantFrom('256Mi', 0, 'x', 2 ** 30),
      disks: fc.array(fc.record({ size: fc.constantFrom('1Gi', 0), name: name }, { requiredKeys: [] }), { maxLength: 2 }),
      source: fc.constantFrom({ build: 'tiny' }, {}, { url: 'http://x' }),
      vlan: fc.integer({ min: -1, max: 4100 }),
      role: fc.constantFrom('admin', 'viewer', 'god'),
      labels: fc.dictionary(name, name, { maxKeys: 2 }),
    },
    { requiredKeys: [] },
  );
  const query = fc.dictionary(
    fc.constantFrom('limit', 'pageToken', 'sort', 'q', 'state', 'labelSelector', 'project', 'dryRun', 'deleteDisks', 'x'),
    fc.oneof(fc.constantFrom('true', 'false', '1', '-name', 'a=b', 'a in (b', '=,'), fc.string({ maxLength: 12 })),
    { maxKeys: 3 },
  );

  it('get no 5xx, no answer outside its schema, no way past a role', async () => {
    const { routes } = api.app.croft;
    const request = fc.record({
      route: fc.constantFrom(
        ...routes.filter(({ url }) => !['/v1/session', '/v1/setup', '/v1/openapi.json', '/metrics'].includes(url)),
      ),
      name,
      body: fc.oneof({ weight: 3, arbitrary: likely }, { weight: 2, arbitrary: json.object }, { weight: 1, arbitrary: scalar }),
      query,
      any: fc.boolean(),
      as: fc.constantFrom<Role | 'none'>('admin', 'operator', 'viewer', 'none'),
      key: fc.option(fc.constantFrom('k1', 'k2', ''), { nil: undefined }),
    });
    await fc.assert(
      fc.asyncProperty(request, async ({ route, name: given, body, query: search, any, as, key }) => {
        const path = addressOf(route, given === '.' || given === '..' ? 'a' : given);
        const target = `${path}${path.includes('?') ? '&' : '?'}${new URLSearchParams(search)}`;
        const hasBody = !['GET', 'DELETE'].includes(route.method);
        const answer = await api.call(route.method, target, {
          as,
          any,
          ...(hasBody ? { body } : {}),
          headers: key === undefined ? {} : { 'idempotency-key': key },
        });
        const what = `${route.method} ${target} as ${as}: ${answer.status}`;
        const planned = (answer.body as { dryRun?: boolean } | undefined)?.dryRun === true;
        if (!planned) check(route, answer.status, answer.body, what);
        const allowed = route.permission === 'open' || (as !== 'none' && includesRole(as, route.permission));
        if (!allowed) expect([401, 403], what).toContain(answer.status);
      }),
      {
        numRuns: Number(process.env.CROFT_API_RUNS ?? 1500),
        ...(process.env.CROFT_SEED ? { seed: Number(process.env.CROFT_SEED) } : {}),
      },
    );
  });
});
