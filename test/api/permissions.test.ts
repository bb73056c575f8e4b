import fastify from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { includesRole, roles, type Role } from '../../ui-api/auth/roles.ts';
import type { Server } from '../../ui-api/server/context.ts';
import { usePermissions } from '../../ui-api/server/plugins/permissions.ts';
import { addressOf, checkAnswer, checkRequests, startTarget } from '../soak/requests.ts';
import type { Harness } from './harness.ts';

let api: Harness;
beforeAll(async () => {
  api = await startTarget();
});
afterAll(() => api.stop());

describe('every route, every role', () => {
  it('declares a permission and holds to it', async () => {
    const { routes } = api.app.croft;
    expect(routes.length).toBeGreaterThan(45);
    for (const route of routes) {
      for (const as of [...roles, 'none'] as (Role | 'none')[]) {
        const what = `${route.method} ${route.url} as ${as}`;
        const { status, body } = await api.call(route.method, addressOf(route), { as, any: true });
        checkAnswer(route, status, body, what);
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

/** Another seed each time, told in the name; CROFT_SEED repeats one. */
const seed = Number(process.env.CROFT_SEED ?? Math.floor(Math.random() * 2 ** 31));

describe('requests out of the hat', () => {
  it(`get no 5xx, no answer outside its schema, no way past a role (CROFT_SEED=${seed})`, { timeout: 180_000 }, async () => {
    await checkRequests(api, { runs: Number(process.env.CROFT_API_RUNS ?? 1500), seed });
  });
});
