/** What holds for all routes: changes are audited, a cookie alone changes nothing, bodies and patience have limits. */
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { user } from '../../appliance/resources/croft-kinds.ts';
import { setPassword } from '../../ui-api/auth/passwords.ts';
import { createApp } from '../../ui-api/server/app.ts';
import { listen } from '../../ui-api/server/listen.ts';
import type { DescribedRoute } from '../../ui-api/server/openapi.ts';
import { addressOf } from '../soak/requests.ts';
import { startApi, type Harness } from './harness.ts';

let api: Harness;
let cookie: string;
const password = 'correct horse battery';
beforeAll(async () => {
  api = await startApi();
  await api.store.create(user, { metadata: { name: 'dora' }, spec: { role: 'admin' } });
  await setPassword(api.store, 'dora', password);
  const answer = await api.call('POST', '/v1/session', { as: 'none', body: { user: 'dora', password } });
  cookie = (answer.headers.get('set-cookie') ?? '').split(';')[0] as string;
});
afterAll(() => api.stop());

const changing = (): DescribedRoute[] => api.app.croft.routes.filter(({ method }) => !['GET', 'OPTIONS'].includes(method));

describe('every route that changes something', () => {
  it('is audited, done or refused: who, from where, what, how it ended', async () => {
    expect(changing().length).toBeGreaterThan(30);
    for (const route of changing()) {
      for (const as of ['admin', 'viewer', 'none'] as const) {
        const before = api.box.audit.list({ limit: 1 })[0]?.seq ?? 0;
        const { status } = await api.call(route.method, addressOf(route), { as, any: true });
        const what = `${route.method} ${route.url} as ${as}: ${status}`;
        const [entry, older] = api.box.audit.list({ limit: 2 });
        expect(entry?.seq, what).toBe(before + 1);
        expect(older?.seq ?? 0, what).toBe(before);
        expect(entry?.from, what).toBe('127.0.0.1');
        expect(entry?.who, what).toBe(as === 'none' ? 'anonymous' : `token:test-${as}`);
        expect(entry?.result === 'ok', what).toBe(status < 400);
        expect(entry?.traceId, what).toMatch(/^[0-9a-f]{16}$/);
      }
    }
  });

  it('does nothing by a cookie alone, and nothing for another site', async () => {
    for (const route of changing()) {
      const what = `${route.method} ${route.url}`;
      const send = (headers: Record<string, string>) =>
        api.call(route.method, addressOf(route), { as: 'none', any: true, headers: { cookie, ...headers } });
      expect((await send({})).status, what).toBe(403);
      expect((await send({ 'sec-fetch-site': 'cross-site' })).status, what).toBe(403);
    }
    expect((await api.call('GET', '/v1/session', { as: 'none', headers: { cookie } })).status).toBe(200);
  });
});

describe('limits', () => {
  it('a body that is too large is refused in words, whoever sends it', async () => {
    const body = JSON.stringify({ name: 'x', userData: 'x'.repeat(3 * 2 ** 20) });
    expect(await api.call('POST', '/v1/vms', { body })).toMatchObject({ status: 413, body: { code: 'too-large' } });
    expect((await api.call('POST', '/v1/session', { as: 'none', body })).status).toBe(413);
  });

  it('a client that is too slow with its headers or its body is let go', async () => {
    const app = createApp({ ...api.app.croft.context, startNotifications: false });
    const timeouts = { headersTimeout: 300, requestTimeout: 600 };
    const { address } = await listen(app, { tcp: { host: '127.0.0.1', port: 0 }, timeouts });
    const port = address?.port ?? 0;
    const begin = (text: string): Promise<string> =>
      new Promise((resolve, reject) => {
        let answer = '';
        const socket = connect(port, '127.0.0.1', () => socket.write(text));
        socket.on('data', (chunk) => (answer += String(chunk)));
        socket.on('close', () => resolve(answer));
        socket.on('error', reject);
      });
    try {
      expect(await begin('GET /v1/vms HTTP/1.1\r\nhost: x\r\n')).toMatch(/^HTTP\/1\.1 408 /);
      const half = `POST /v1/session HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"user":`;
      expect(await begin(half)).toMatch(/^HTTP\/1\.1 408 /);
    } finally {
      await app.close();
    }
  });
});
