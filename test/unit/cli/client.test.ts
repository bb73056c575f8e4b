import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { run } from '../../../appliance/host/exec.ts';
import { shownCertificate } from '../../../ui-api/cli/trust.ts';
import { createClient } from '../../../ui-api/client/client.ts';
import { createNodeClient } from '../../../ui-api/client/node.ts';
import { ApiProblem, Unreachable } from '../../../ui-api/client/problem.ts';
import { parseServerEvents } from '../../../ui-api/client/server-events.ts';
import { json, problem, startFakeApi, vmNamed, type FakeApi } from './fake-api.ts';

let api: FakeApi;
beforeEach(async () => {
  api = await startFakeApi();
});
afterEach(() => api.close());

const transports = {
  node: () => createNodeClient({ baseUrl: api.url, token: 't' }),
  fetch: () => createClient({ baseUrl: api.url, token: 't' }),
};

describe.each(Object.entries(transports))('client over %s', (_name, make) => {
  it('sends the token, an idempotency key and JSON', async () => {
    await make().vms.create({ name: 'a', cpus: 1 }, { project: 'p' });
    const [seen] = api.seen;
    expect(seen).toMatchObject({ method: 'POST', path: '/v1/vms', query: { project: 'p' }, body: { name: 'a', cpus: 1 } });
    expect(seen?.headers.authorization).toBe('Bearer t');
    expect(seen?.headers['idempotency-key']).toMatch(/^[0-9a-f-]{36}$/);
    expect(seen?.headers['content-type']).toBe('application/json');
  });

  it('patches as merge patch with If-Match', async () => {
    api.objects.vms = [vmNamed('a')];
    await make().vms.patch('a', { cpus: 2 }, {}, '"tag"');
    expect(api.seen[0]?.headers).toMatchObject({ 'if-match': '"tag"', 'content-type': 'application/merge-patch+json' });
  });

  it('turns problems into ApiProblem', async () => {
    api.routes['GET /v1/vms/a'] = (_request, response) => problem(response, 409, 'busy', 'VM a is busy.', { fix: ['Wait.'] });
    const error: unknown = await make()
      .vms.get('a')
      .catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ApiProblem);
    expect(error).toMatchObject({
      status: 409,
      code: 'busy',
      message: 'VM a is busy.',
      path: '/v1/vms/a',
      problem: { traceId: 'trace-1' },
    });
  });

  it('copes with an answer that is no problem document', async () => {
    api.routes['GET /v1/vms/a'] = (_request, response) =>
      response.writeHead(502, { 'content-type': 'text/plain' }).end('bad gateway');
    await expect(make().vms.get('a')).rejects.toMatchObject({ status: 502, code: 'http-502', message: 'bad gateway' });
  });

  it('follows pages', async () => {
    api.routes['GET /v1/vms'] = ({ query }, response) =>
      json(
        response,
        200,
        query.pageToken === 'two' ? { items: [{ name: 'b' }] } : { items: [{ name: 'a' }], nextPageToken: 'two' },
      );
    expect((await make().vms.list()).map(({ name }) => name)).toEqual(['a', 'b']);
  });

  it('streams events and resumes', async () => {
    const stop = new AbortController();
    const got: unknown[] = [];
    const reading = (async () => {
      for await (const event of make().events({ lastEventId: 'b-1' }, stop.signal)) {
        got.push(event);
        stop.abort();
      }
    })().catch((error: unknown) => error);
    await expect.poll(() => api.seen.length).toBe(1);
    await expect.poll(() => (api.sendEvent('id: b-2\nevent: vm\ndata: {}\n\n'), got.length)).toBeGreaterThan(0);
    expect(got[0]).toEqual({ event: 'vm', id: 'b-2', data: '{}' });
    expect(api.seen[0]?.headers['last-event-id']).toBe('b-1');
    expect(await reading).toMatchObject({ name: 'AbortError' });
  });

  it('says Unreachable when nobody listens', async () => {
    const gone = make();
    await api.close();
    const error: unknown = await gone.vms.list().catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(Unreachable);
    expect(error).toMatchObject({ code: 'ECONNREFUSED' });
    api = await startFakeApi();
  });
});

describe('the unix socket', () => {
  it('carries requests', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'croft-cli-'));
    const socketPath = join(directory, 'api.sock');
    const local = await startFakeApi({ socketPath });
    try {
      local.objects.vms = [vmNamed('a')];
      expect((await createNodeClient({ socketPath }).vms.get('a')).name).toBe('a');
    } finally {
      await local.close();
      rmSync(directory, { recursive: true });
    }
    await expect(createNodeClient({ socketPath }).vms.list()).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('TLS', () => {
  async function selfSigned() {
    const files = { key: join(directory, 'key.pem'), cert: join(directory, 'cert.pem') };
    const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=croft'];
    await run(['openssl', 'req', ...kind, '-keyout', files.key, '-out', files.cert]);
    return { key: readFileSync(files.key), cert: readFileSync(files.cert) };
  }
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'croft-cli-'));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  it('trusts exactly the pinned certificate and sends nothing to another', async () => {
    let requests = 0;
    const server = createServer(await selfSigned(), (_request, response) => {
      requests += 1;
      json(response, 200, { items: [] });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const baseUrl = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    try {
      const { fingerprint, pem, trusted } = await shownCertificate(baseUrl);
      expect(trusted).toBe(false);
      expect(await createNodeClient({ baseUrl, ca: pem, fingerprint }).vms.list()).toEqual([]);
      await expect(createNodeClient({ baseUrl }).vms.list()).rejects.toBeInstanceOf(Unreachable);
      const wrong = fingerprint.replace(/^../, fingerprint.startsWith('00') ? '11' : '00');
      await expect(createNodeClient({ baseUrl, token: 'secret', ca: pem, fingerprint: wrong }).vms.list()).rejects.toThrow(
        'not the trusted',
      );
      expect(requests).toBe(1);
    } finally {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });
});

describe('server-sent events', () => {
  const parse = async (...texts: string[]) => {
    async function* chunks() {
      for (const text of texts) yield new TextEncoder().encode(text);
    }
    const events = [];
    for await (const event of parseServerEvents(chunks())) events.push(event);
    return events;
  };
  it('survive any cut, join data lines, skip comments, drop an unfinished end', async () => {
    expect(await parse(': hi\n\nid: 1\nev', 'ent: vm\ndata: a\nda', 'ta:b\r', '\n\r\ndata: lost')).toEqual([
      { event: 'vm', id: '1', data: 'a\nb' },
    ]);
  });
});
