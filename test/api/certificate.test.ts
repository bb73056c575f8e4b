/** The box's certificate over `/v1`: shown, replaced while connections stand, refused with what doesn't fit. */
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { selfSigned } from '../../appliance/host/self-signed.ts';
import { ensureCertificate, readCertificate } from '../../ui-api/server/certificate.ts';
import { listen } from '../../ui-api/server/listen.ts';
import { type Harness, startApi } from './harness.ts';

const day = 86_400_000;
const pairOf = (commonName: string, from = -day, to = 30 * day) =>
  selfSigned({
    commonName,
    names: [
      { type: 'dns', value: 'box.example' },
      { type: 'ip', value: '192.0.2.1' },
      { type: 'ip', value: 'fd00::1:2' },
    ],
    notBefore: new Date(Date.now() + from),
    notAfter: new Date(Date.now() + to),
  });

let api: Harness;
let keys: string;
let port: number;
beforeAll(async () => {
  api = await startApi();
  keys = join(api.directory, 'keys');
  const made = await ensureCertificate(keys);
  const { address } = await listen(api.app, { tcp: { host: '127.0.0.1', port: 0 }, tls: made });
  port = address?.port ?? 0;
});
afterAll(() => api.stop());

/** Fingerprint that a new connection is shown. */
const shownNow = (): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().fingerprint256);
      socket.destroy();
    });
    socket.once('error', reject);
  });

const path = '/v1/node/certificate';

describe(path, () => {
  it('tells everybody what it is, and lets administrators alone change it', async () => {
    const { status, body } = await api.call('GET', path, { as: 'viewer' });
    expect(status).toBe(200);
    // The pretended box is configured for loopback, where no TLS is spoken.
    expect(body).toMatchObject({ kind: 'certificate', served: false, origin: 'made', fingerprint: await shownNow() });
    expect(body.names).toContain('localhost');
    expect((await api.call('PUT', path, { as: 'operator', body: pairOf('Mine') })).status).toBe(403);
    expect((await api.call('DELETE', path, { as: 'operator' })).status).toBe(403);
  });

  it('an own one is served from the next connection on, kept, and in the audit log without its key', async () => {
    const mine = pairOf('Mine');
    const { status, body } = await api.call('PUT', path, { body: mine });
    expect(status).toBe(200);
    expect(body).toMatchObject({ origin: 'own', subject: 'CN=Mine', names: ['box.example', '192.0.2.1', 'fd00::1:2'] });
    expect(await shownNow()).toBe(body.fingerprint);
    expect((await ensureCertificate(keys)).fingerprint).toBe(body.fingerprint);
    expect(statSync(join(keys, 'api.key')).mode & 0o777).toBe(0o600);
    const audit = await api.call<{ items: { verb: string }[] }>('GET', '/v1/audit');
    expect(audit.body.items[0]).toMatchObject({ verb: 'node.certificate.update', result: 'ok' });
    expect(JSON.stringify(audit.body)).not.toContain('PRIVATE');
    const back = await api.call('DELETE', path);
    expect(back.body).toMatchObject({ origin: 'made' });
    expect(await shownNow()).toBe(back.body.fingerprint);
  });

  it('a chain is kept behind its certificate; what stands in another order is named', async () => {
    const mine = pairOf('Mine');
    const chain = `${mine.cert}${pairOf('Authority').cert}`;
    expect((await api.call('PUT', path, { body: { key: mine.key, cert: chain } })).status).toBe(200);
    expect(readFileSync(join(keys, 'api.crt'), 'utf8').match(/BEGIN/g)).toHaveLength(2);
    const turned = `${pairOf('Authority').cert}${mine.cert}`;
    const refused = await api.call('PUT', path, { body: { key: mine.key, cert: turned } });
    expect(refused.body).toMatchObject({ errors: [{ pointer: '/cert', detail: expect.stringContaining('certificate 2') }] });
  });

  it.each([
    ['no certificate', { ...pairOf('a'), cert: 'hello' }, '/cert', 'holds no certificate'],
    ['no key', { ...pairOf('a'), key: 'hello' }, '/key', 'no private key'],
    ['another key', { ...pairOf('a'), key: pairOf('b').key }, '/key', 'another certificate'],
    ['one that ended', pairOf('a', -2 * day, -day), '/cert', 'It ended on'],
    ['one of the future', pairOf('a', day, 2 * day), '/cert', 'valid from'],
    [
      'a key with a passphrase',
      {
        cert: pairOf('a').cert,
        key: generateKeyPairSync('ec', { namedCurve: 'P-256' })
          .privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' })
          .toString(),
      },
      '/key',
      'encrypted',
    ],
  ])('refuses %s', async (_what, body, pointer, words) => {
    const before = await shownNow();
    const { status, body: problem } = await api.call('PUT', path, { body });
    expect(status).toBe(400);
    expect(problem).toMatchObject({ errors: [{ pointer, detail: expect.stringContaining(words) }] });
    expect(await shownNow()).toBe(before);
  });

  it('a replacement that a power cut ended half-way is brought to its end', async () => {
    const next = pairOf('Next');
    // The key alone was written: without the pending pair, key and certificate would not fit each other.
    writeFileSync(join(keys, 'api.pending'), JSON.stringify(next));
    writeFileSync(join(keys, 'api.key'), next.key);
    expect((await readCertificate(keys))?.cert).toBe(next.cert);
    expect(existsSync(join(keys, 'api.pending'))).toBe(false);
  });
});

it('/v1/node/nics names what uplinks can be made of', async () => {
  const { body } = await api.call('GET', '/v1/node/nics', { as: 'viewer' });
  expect(body).toMatchObject({
    items: [
      { name: 'eth0', refusal: expect.any(String) },
      { name: 'eth1', speed: 10_000 },
    ],
  });
});
