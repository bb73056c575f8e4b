import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { parseListen } from '../../appliance/config.ts';
import { secret } from '../../appliance/resources/core-kinds.ts';
import { ensureFirstSignIn } from '../../ui-api/auth/setup-links.ts';
import { ensureCertificate } from '../../ui-api/server/certificate.ts';
import { listen } from '../../ui-api/server/listen.ts';
import { selfSigned } from '../../appliance/host/self-signed.ts';
import { startApi, type Harness } from './harness.ts';

let api: Harness;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.stop());

const password = 'correct horse';
const signIn = (user: string, given: string) => api.call('POST', '/v1/session', { as: 'none', body: { user, password: given } });
const cookieOf = (headers: Headers): string => (headers.get('set-cookie') ?? '').split(';')[0] as string;

describe('the first administrator', () => {
  it('comes by a one-time link, once', async () => {
    const { setupUrl } = await ensureFirstSignIn({ store: api.store, box: api.box, listen: '127.0.0.1:8440' });
    expect(setupUrl).toMatch(/^http:\/\/127\.0\.0\.1:8440\/setup#[\w-]{43}\.$/);
    const older = (setupUrl as string).split('#')[1] as string;
    const link = (await ensureFirstSignIn({ store: api.store, box: api.box })).setupUrl as string;
    const token = link.split('#')[1] as string;
    const use = (given: string) => api.call('POST', '/v1/setup', { as: 'none', body: { token: given, user: 'ana', password } });
    expect((await use(older)).status).toBe(401);
    const done = await use(token);
    expect(done).toMatchObject({ status: 201, body: { user: 'ana', role: 'admin', via: 'session' } });
    expect(done.headers.getSetCookie()).toEqual([
      expect.stringMatching(/^croft_session=[\w-]{43}; Max-Age=43200; Path=\/; HttpOnly; SameSite=Strict$/),
      expect.stringMatching(/^croft_device=[\w-]{43}; Max-Age=2592000; Path=\/v1\/session; HttpOnly; SameSite=Strict$/),
    ]);
    expect((await use(token)).status).toBe(401);
    expect(await ensureFirstSignIn({ store: api.store, box: api.box })).toEqual({});
  });

  it('has its password as argon2id in a Secret, which no text of the store shows', async () => {
    const kept = await api.store.get(secret, 'password-ana', 'croft-system');
    expect(Buffer.from(kept?.spec.data.hash as string, 'base64').toString()).toMatch(/^\$argon2id\$v=19\$m=65536,t=3,p=1\$/);
    for (const file of ['store.db', 'store.db-wal', 'box.db', 'box.db-wal']) {
      expect(readFileSync(join(api.directory, file)).includes(password), file).toBe(false);
    }
  });
});

describe('sessions', () => {
  it('start with the right password only, and say no more', async () => {
    const wrong = await signIn('ana', 'wrong password');
    const nobody = await signIn('nobody', password);
    expect([wrong.status, nobody.status]).toEqual([401, 401]);
    expect(wrong.body.detail).toBe(nobody.body.detail);
    const { status, headers } = await signIn('ana', password);
    expect(status).toBe(201);
    const cookie = cookieOf(headers);
    expect(await api.call('GET', '/v1/session', { as: 'none', headers: { cookie } })).toMatchObject({
      status: 200,
      body: { user: 'ana', role: 'admin' },
    });
  });

  it('change nothing by cookie alone', async () => {
    const cookie = cookieOf((await signIn('ana', password)).headers);
    const send = (headers: Record<string, string>) =>
      api.call('POST', '/v1/networks', {
        as: 'none',
        body: { name: `n${Math.random().toString(36).slice(2)}` },
        headers: { cookie, ...headers },
      });
    expect(await send({})).toMatchObject({ status: 403 });
    expect((await send({ 'x-croft-csrf': '1' })).status).toBe(201);
    expect((await send({ 'sec-fetch-site': 'same-origin' })).status).toBe(201);
    expect((await send({ 'sec-fetch-site': 'cross-site' })).status).toBe(403);
  });

  it('end at sign-out, and when the user is closed', async () => {
    const marked = async () => ({ cookie: cookieOf((await signIn('ben', password)).headers), 'x-croft-csrf': '1' });
    await api.call('POST', '/v1/users', { body: { name: 'ben', role: 'viewer', password } });
    const first = await marked();
    expect((await api.call('DELETE', '/v1/session', { as: 'none', headers: first })).status).toBe(204);
    expect((await api.call('GET', '/v1/session', { as: 'none', headers: first })).status).toBe(401);
    const second = await marked();
    expect((await api.call('PATCH', '/v1/users/ben', { body: { disabled: true }, any: true })).status).toBe(200);
    expect((await api.call('GET', '/v1/session', { as: 'none', headers: second })).status).toBe(401);
    expect((await signIn('ben', password)).status).toBe(401);
  });
});

describe('users and tokens', () => {
  it('an invited user sets the password by link; the last administrator stays', async () => {
    const invited = await api.call('POST', '/v1/users', { body: { name: 'cas', role: 'operator' } });
    expect(invited).toMatchObject({
      status: 201,
      body: { name: 'cas', role: 'operator', setupUrl: expect.stringMatching(/^\/setup#[\w-]{43}\.cas$/) },
    });
    const token = String(invited.body.setupUrl).split('#')[1];
    expect((await api.call('POST', '/v1/setup', { as: 'none', body: { token, password } })).body).toMatchObject({
      user: 'cas',
      role: 'operator',
    });
    expect((await signIn('cas', password)).status).toBe(201);
    expect((await api.call('POST', '/v1/users/cas/reset-password')).body).toMatchObject({
      setupUrl: expect.stringContaining('/setup#'),
    });
    expect(await api.call('DELETE', '/v1/users/ana', { any: true })).toMatchObject({
      status: 409,
      body: { code: 'invalid-state' },
    });
    expect((await api.call('DELETE', '/v1/users/cas', { any: true })).status).toBe(204);
    expect((await signIn('cas', password)).status).toBe(401);
  });

  it('a token is shown once, works until it expires or goes, and no longer', async () => {
    const made = await api.call('POST', '/v1/tokens', { body: { name: 'ci', role: 'viewer', ttlSeconds: 60 } });
    expect(made.status).toBe(201);
    const headers = { authorization: `Bearer ${String(made.body.secret)}` };
    expect((await api.call('GET', '/v1/session', { as: 'none', headers })).body).toMatchObject({ role: 'viewer', via: 'token' });
    expect(JSON.stringify((await api.call('GET', '/v1/tokens/ci')).body)).not.toContain(String(made.body.secret).split('.')[1]);
    expect((await api.call('DELETE', '/v1/tokens/ci', { any: true })).status).toBe(204);
    expect((await api.call('GET', '/v1/session', { as: 'none', headers })).status).toBe(401);
    expect((await api.call('POST', '/v1/tokens', { body: { name: 'old', expiresAt: '2020-01-01T00:00:00Z' } })).status).toBe(400);
    for (const bearer of ['croft_', 'croft_ci.x', `croft_test-admin.${'A'.repeat(43)}`, '💥']) {
      const answer = await api.call('GET', '/v1/vms', {
        as: 'none',
        headers: { authorization: `Bearer ${encodeURIComponent(bearer)}` },
      });
      expect(answer.status).toBe(401);
    }
  });

  it('never repeats a password in an error', async () => {
    const answer = await api.call('POST', '/v1/session', { as: 'none', body: { user: 'ana', password: 12_345_678_901 } });
    expect(answer.status).toBe(400);
    expect(JSON.stringify(answer.body)).not.toContain('12345678901');
  });
});

describe('ways in', () => {
  it('local root needs no sign-in on the unix socket, which is owner-only', async () => {
    expect(JSON.parse((await api.callLocally('GET', '/v1/session')).body)).toEqual({
      user: 'root',
      role: 'admin',
      via: 'socket',
    });
    expect(statSync(api.unixSocket).mode & 0o777).toBe(0o600);
  });

  it('plain HTTP is for loopback only', async () => {
    await expect(listen(api.app, { tcp: { host: '192.0.2.1', port: 0 } })).rejects.toMatchObject({ code: 'invalid-input' });
    expect(parseListen('0.0.0.0:8440').loopback).toBe(false);
  });

  it('TLS works with the certificate it makes, which stays the same', async () => {
    const keys = join(api.directory, 'keys');
    const made = await ensureCertificate(keys, ['box.example']);
    expect(await ensureCertificate(keys)).toEqual(made);
    expect(statSync(join(keys, 'api.key')).mode & 0o777).toBe(0o600);
    const { url } = await listen(api.app, { tcp: { host: '127.0.0.1', port: 0 }, tls: made });
    const { request } = await import('node:https');
    const seen = await new Promise<{ status?: number; fingerprint: string }>((resolve, reject) => {
      const outgoing = request(`${url}/healthz`, { ca: made.cert, servername: 'localhost', agent: false }, (answer) => {
        const { fingerprint256 } = (answer.socket as import('node:tls').TLSSocket).getPeerCertificate();
        answer.resume();
        resolve({ status: answer.statusCode, fingerprint: fingerprint256 });
      });
      outgoing.on('error', reject);
      outgoing.end();
    });
    expect(seen).toEqual({ status: 200, fingerprint: made.fingerprint });
  });

  it('sign-in is rate-limited', async () => {
    const strict = await startApi({ signInsPerMinute: 2 });
    try {
      const attempt = () => strict.call('POST', '/v1/session', { as: 'none', body: { user: 'x', password: 'y' } });
      const answers = [await attempt(), await attempt(), await attempt()];
      expect(answers.map(({ status }) => status)).toEqual([401, 401, 429]);
      expect(answers[2]).toMatchObject({ body: { code: 'too-many-requests' } });
      expect(Number(answers[2]?.headers.get('retry-after'))).toBeGreaterThan(0);
    } finally {
      await strict.stop();
    }
  });
});

describe('wrong passwords for one user', () => {
  // On a busy machine one look at a password takes longer than the first wait.
  beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'], now: Date.now() }));
  afterEach(() => void vi.useRealTimers());
  const attempt = (given: string, cookie?: string, user = 'ana') =>
    api.call('POST', '/v1/session', {
      as: 'none',
      body: { user, password: given },
      ...(cookie === undefined ? {} : { headers: { cookie } }),
    });
  const deviceOf = (headers: Headers): string => (headers.getSetCookie()[1] as string).split(';')[0] as string;

  it('slow strangers down, but not the owner on a device that signed in before', async () => {
    const device = deviceOf((await attempt(password)).headers);
    for (let tries = 0; tries < 5; tries++) expect((await attempt('guess')).status).toBe(401);
    const held = await attempt(password);
    expect(held).toMatchObject({ status: 429, body: { code: 'too-many-requests' } });
    expect(Number(held.headers.get('retry-after'))).toBe(1);
    const owner = await attempt(password, device);
    expect(owner.status).toBe(201);
    // One device, one cookie: the older one is worth nothing any more.
    expect((await attempt(password, device)).status).toBe(429);
    const next = deviceOf(owner.headers);
    for (let tries = 0; tries < 10; tries++) expect((await attempt('guess', next)).status).toBe(401);
    expect((await attempt(password, next)).status).toBe(429);
  });

  it('are told the same of names that nobody has, and are over with a new password by link', async () => {
    for (let tries = 0; tries < 5; tries++) expect((await attempt('guess', undefined, 'nobody-at-all')).status).toBe(401);
    expect((await attempt('guess', undefined, 'nobody-at-all')).status).toBe(429);
    await api.call('POST', '/v1/users', { body: { name: 'dan', role: 'viewer', password } });
    const device = deviceOf((await attempt(password, undefined, 'dan')).headers);
    for (let tries = 0; tries < 5; tries++) await attempt('guess', undefined, 'dan');
    expect((await attempt(password, undefined, 'dan')).status).toBe(429);
    const { body } = await api.call('POST', '/v1/users/dan/reset-password');
    const token = String(body.setupUrl).split('#')[1];
    const renewed = 'another horse entirely';
    expect((await api.call('POST', '/v1/setup', { as: 'none', body: { token, password: renewed } })).status).toBe(201);
    expect((await attempt(renewed, undefined, 'dan')).status).toBe(201);
    // Who knew the old password is a stranger now.
    for (let tries = 0; tries < 5; tries++) await attempt('guess', undefined, 'dan');
    expect((await attempt(renewed, device, 'dan')).status).toBe(429);
  });
});

describe('the certificate', () => {
  it('is one that other software reads as meant', async () => {
    const { cert } = selfSigned({
      commonName: 'Croft box',
      names: [
        { type: 'dns', value: 'localhost' },
        { type: 'ip', value: '127.0.0.1' },
        { type: 'ip', value: 'fd00::1:2' },
        { type: 'ip', value: '::ffff:192.0.2.1' },
      ],
      notBefore: new Date('2026-01-01T00:00:00Z'),
      notAfter: new Date('2060-01-01T00:00:00Z'),
    });
    const read = new X509Certificate(cert);
    expect(read.subjectAltName).toBe(
      'DNS:localhost, IP Address:127.0.0.1, IP Address:FD00:0:0:0:0:0:1:2, IP Address:0:0:0:0:0:FFFF:C000:201',
    );
    expect(read.verify(read.publicKey)).toBe(true);
    expect([read.ca, new Date(read.validFrom).toISOString(), new Date(read.validTo).toISOString()]).toEqual([
      false,
      '2026-01-01T00:00:00.000Z',
      '2060-01-01T00:00:00.000Z',
    ]);
    expect(read.checkIP('127.0.0.1')).toBe('127.0.0.1');
  });
});

describe('audit', () => {
  it('tells who did what from where, refused changes too', async () => {
    await api.call('POST', '/v1/networks', { body: { name: 'audited' } });
    await api.call('DELETE', '/v1/networks/audited', { as: 'viewer', any: true });
    await signIn('ana', 'wrong again');
    const { body } = await api.call<{ items: object[] }>('GET', '/v1/audit?limit=3');
    expect(body.items).toEqual([
      expect.objectContaining({ who: 'ana', verb: 'session.create', result: 'unauthenticated', from: '127.0.0.1' }),
      expect.objectContaining({
        who: 'token:test-viewer',
        verb: 'network.delete',
        target: 'networks/audited',
        result: 'forbidden',
      }),
      expect.objectContaining({
        who: 'token:test-admin',
        verb: 'network.create',
        target: 'networks/audited',
        result: 'ok',
        traceId: expect.any(String),
      }),
    ]);
    expect(JSON.stringify((await api.call('GET', '/v1/audit?limit=1000')).body)).not.toContain(password);
  });
});
