/** Who gets past the listener for the API server: only its own certificate, under an allowed name, naming a user. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../../../appliance/host/exec.ts';
import { silentLogger } from '../../../appliance/host/logger.ts';
import { listenForFrontProxy, type FrontProxy } from '../../../ui-api/server/kube/front-proxy.ts';
import type { SubresourceContext } from '../../../ui-api/server/kube/subresources.ts';
import { selfSigned } from '../../../appliance/host/self-signed.ts';

let directory: string;
let listener: FrontProxy;
const file = (name: string) => join(directory, name);
const server = selfSigned({
  commonName: 'croft',
  names: [{ type: 'dns', value: 'localhost' }],
  notBefore: new Date(Date.now() - 1000),
  notAfter: new Date(Date.now() + 3600_000),
});

async function authority(name: string): Promise<void> {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', file(`${name}.key`)];
  await run(['openssl', 'req', '-x509', ...key, '-out', file(`${name}.crt`), '-days', '1', '-subj', `/CN=${name}`]);
}

async function client(ca: string, commonName: string): Promise<{ key: Buffer; cert: Buffer }> {
  const base = file(`${ca}-${commonName}`);
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${base}.key`];
  await run(['openssl', 'req', ...key, '-out', `${base}.csr`, '-subj', `/CN=${commonName}`]);
  const by = ['-CA', file(`${ca}.crt`), '-CAkey', file(`${ca}.key`), '-CAcreateserial', '-days', '1'];
  await run(['openssl', 'x509', '-req', '-in', `${base}.csr`, '-out', `${base}.crt`, ...by]);
  return { key: readFileSync(`${base}.key`), cert: readFileSync(`${base}.crt`) };
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'croft-front-'));
  await authority('front');
  await authority('stranger');
  listener = await listenForFrontProxy({
    host: '127.0.0.1',
    port: 0,
    tls: server,
    requestHeader: { ca: readFileSync(file('front.crt'), 'utf8'), allowedNames: ['front-proxy-client'] },
    // No verb is reached in these tests.
    context: { version: '1' } as SubresourceContext,
    logger: silentLogger(),
  });
});
afterAll(async () => {
  await listener?.close();
  rmSync(directory, { recursive: true });
});

type Call = { method?: string; headers?: Record<string, string>; credentials?: { key: Buffer; cert: Buffer } };

const call = ({ method = 'GET', headers = {}, credentials }: Call): Promise<number> =>
  new Promise((resolve, reject) => {
    const path = '/apis/subresources.kubevirt.io/v1';
    const options = {
      method,
      headers,
      path,
      host: '127.0.0.1',
      port: listener.port,
      servername: 'localhost',
      ca: server.cert,
      ...credentials,
    };
    const sent = request(options, (response) => {
      response.resume();
      response.once('end', () => resolve(response.statusCode ?? 0));
    });
    sent.once('error', reject);
    sent.end();
  });

const forged = { 'X-Remote-User': 'admin', 'X-Remote-Group': 'system:masters' };

describe('the listener', () => {
  it('lets the API server in', async () => {
    expect(await call({ credentials: await client('front', 'front-proxy-client') })).toBe(200);
  });

  it('lets nobody in without a certificate, whatever the headers say', async () => {
    await expect(call({ headers: forged })).rejects.toThrow();
  });

  it('lets nobody in with another authority’s certificate of the same name', async () => {
    await expect(call({ headers: forged, credentials: await client('stranger', 'front-proxy-client') })).rejects.toThrow();
  });

  it('refuses the right authority’s certificate of another name', async () => {
    expect(await call({ headers: forged, credentials: await client('front', 'somebody') })).toBe(403);
  });

  it('changes nothing for a caller that is not named', async () => {
    expect(await call({ method: 'PUT', credentials: await client('front', 'front-proxy-client') })).toBe(401);
  });
});
