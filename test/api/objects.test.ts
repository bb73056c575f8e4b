import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openApiText } from '../../ui-api/server/write-openapi.ts';
import { virtualMachine } from '../../appliance/resources/virtual-machine.ts';
import { startApi, type Harness } from './harness.ts';

let api: Harness;
beforeAll(async () => {
  api = await startApi();
  await api.call('POST', '/v1/images', { body: { name: 'tiny', source: { build: 'tiny' } } });
});
afterAll(() => api.stop());

describe('images, networks, pools, volumes, node', () => {
  it('images want exactly one source', async () => {
    expect((await api.call('GET', '/v1/images/tiny')).body).toMatchObject({
      kind: 'image',
      state: 'pending',
      source: { build: 'tiny' },
      id: expect.any(String),
    });
    for (const [path, body] of [
      ['/v1/images', { name: 'a', source: { file: '/etc/shadow' } }],
      ['/v1/apply', { kind: 'image', name: 'a', source: { file: '/etc/shadow' } }],
      [
        '/v1/apply',
        { apiVersion: 'croft.io/v1', kind: 'Image', metadata: { name: 'a' }, spec: { source: { file: '/etc/shadow' } } },
      ],
    ] as const)
      expect((await api.call('POST', path, { body, as: 'operator' })).status).toBe(403);
    expect((await api.call('POST', '/v1/images', { body: { name: 'a', source: {} } })).body.detail).toMatch(
      /give exactly one of build, catalogue, url, file or upload/,
    );
    expect((await api.call('POST', '/v1/images', { body: { name: 'a', source: { url: 'ftp://x/y' } } })).body.detail).toMatch(
      /"ftp:\/\/x\/y" must be an http or https address/,
    );
    expect(
      (await api.call('POST', '/v1/images', { body: { name: 'a', source: { catalogue: 'debian-3' } } })).body.detail,
    ).toMatch(/source.catalogue: "debian-3" is not known; there are debian-13/);
    const { body } = await api.call<{ items: { name: string; url: string }[] }>('GET', '/v1/image-catalogue', { as: 'viewer' });
    expect(body.items.find(({ name }) => name === 'debian-13')?.url).toMatch(/^https:.*\/debian-13-generic-amd64.qcow2$/);
    expect(
      (await api.call('POST', '/v1/images', { body: { name: 'a', source: { url: 'https://x/y' }, checksum: 'md5:1' } })).body
        .detail,
    ).toMatch(/must be sha256:/);
  });

  it('networks are checked as a whole, patched, and kept while used', async () => {
    expect((await api.call('POST', '/v1/networks', { body: { name: 'prod', vlan: 20 } })).body).toMatchObject({
      kind: 'network',
      vlan: 20,
      state: 'pending',
      leases: [],
    });
    expect((await api.call('POST', '/v1/networks', { body: { name: 'bad', vlan: 5000 } })).status).toBe(400);
    expect((await api.call('POST', '/v1/networks', { body: { name: 'bad', dhcp: true } })).body.detail).toMatch(
      /dhcp: needs the box's own address/,
    );
    expect((await api.call('PATCH', '/v1/networks/prod', { body: { vlan: null, trunk: [1, 2] }, any: true })).body).toMatchObject(
      { trunk: [1, 2] },
    );
    await api.call('POST', '/v1/vms', { body: { name: 'on-prod', image: 'tiny', size: 'tiny', network: 'prod' } });
    expect((await api.call('DELETE', '/v1/networks/prod', { any: true })).body.detail).toBe(
      'Network prod is used by 1 VM: on-prod. Move their NICs first.',
    );
  });

  it('volumes grow and never shrink', async () => {
    expect((await api.call('POST', '/v1/volumes', { body: { name: 'v1', size: '1Gi' } })).body).toMatchObject({
      kind: 'volume',
      size: 2 ** 30,
      pool: 'local',
      state: 'pending',
      project: 'default',
    });
    expect((await api.call('PATCH', '/v1/volumes/v1', { body: { size: '2Gi' }, any: true })).body).toMatchObject({
      size: 2 ** 31,
    });
    expect((await api.call('PATCH', '/v1/volumes/v1', { body: { size: '1Gi' }, any: true })).body.detail).toMatch(
      /less than the present 2 GiB/,
    );
  });

  it('pools are the administrator’s, the node says its free memory', async () => {
    expect(
      (await api.call('POST', '/v1/pools', { body: { name: 'fast', path: '/srv/fast', reserve: '1Gi' } })).body,
    ).toMatchObject({ driver: 'local', reserve: 2 ** 30 });
    expect((await api.call('POST', '/v1/pools', { body: { name: 'more' }, as: 'operator' })).status).toBe(403);
    expect((await api.call('GET', '/v1/node')).body).toMatchObject({ kind: 'node', name: 'n1', cpus: 2, memoryFree: 2 ** 31 });
  });
});

describe('apply', () => {
  type Applied = { items: { result: string }[] };
  const apply = (text: string, path = '/v1/apply') =>
    api.call<Applied>('POST', path, { body: text, headers: { 'content-type': 'application/yaml' } });

  it('makes flat objects and manifests; again it changes nothing', async () => {
    const flat = 'kind: network\nname: dmz\nvlan: 30\n---\nkind: vm\nname: web\nimage: tiny\nsize: small\nnetwork: dmz\n';
    expect((await apply(flat)).body.items.map(({ result }) => result)).toEqual(['created', 'created']);
    const shown = (await api.call('GET', '/v1/vms/web')).body;
    expect((await apply(JSON.stringify(shown))).body.items).toEqual([
      { kind: 'vm', name: 'web', project: 'default', result: 'unchanged' },
    ]);
    const changed = await apply(JSON.stringify({ ...shown, size: 'medium' }));
    expect(changed.body.items[0]?.result).toBe('changed');
    expect((await api.call('GET', '/v1/vms/web')).body).toMatchObject({ cpus: 2, size: 'medium' });

    const { status: _status, ...manifest } = (await api.store.get(virtualMachine, 'web', 'default')) as object as Record<
      string,
      unknown
    >;
    expect((await apply(JSON.stringify(manifest))).body.items[0]?.result).toBe('unchanged');
    expect((await apply(JSON.stringify({ ...manifest, spec: { ...(manifest.spec as object), nodeSelector: {} } }))).status).toBe(
      400,
    );
    expect((await apply('kind: pod\nname: x\n')).status).toBe(400);
    expect((await apply('a: [1')).status).toBe(400);
  });

  it('plans', async () => {
    const plan = await api.call('POST', '/v1/apply?dryRun=true', { body: { kind: 'network', name: 'dmz', vlan: 31 } });
    expect(plan.body).toMatchObject({
      dryRun: true,
      plan: [{ verb: 'update', changes: [{ path: 'spec.vlan', from: 30, to: 31 }] }],
    });
    expect((await api.call('GET', '/v1/networks/dmz')).body.vlan).toBe(30);
  });
});

describe('what is not an object', () => {
  it('has a state page that tells strangers nothing', async () => {
    const open = await api.call<string>('GET', '/', { as: 'none' });
    expect(open.headers.get('content-type')).toMatch(/^text\/html/);
    expect(open.headers.get('content-security-policy')).toContain("default-src 'self'");
    expect(open.body).toContain('Croft 0.0.0-test');
    expect(open.body).not.toContain('on-prod');
    expect((await api.call<string>('GET', '/')).body).toContain('on-prod');
    expect((await api.call<string>('GET', '/setup', { as: 'none' })).status).toBe(200);
  });

  it('says health, version and metrics', async () => {
    expect((await api.call('GET', '/healthz', { as: 'none' })).body).toEqual({ status: 'ok' });
    expect((await api.call('GET', '/readyz', { as: 'none' })).body).toEqual({ status: 'ready' });
    expect((await api.call('GET', '/v1/version', { as: 'none' })).body).toMatchObject({ version: '0.0.0-test', api: 'v1' });
    const { body } = await api.call<string>('GET', '/metrics', { as: 'viewer' });
    expect(body).toContain(
      'kubevirt_vm_info{name="on-prod",namespace="default",status="Provisioning",status_group="starting",machine_type=""} 1',
    );
    expect(body).toContain(
      'kubevirt_vm_resource_requests{name="web",namespace="default",resource="memory",unit="bytes",source="domain"} 4294967296',
    );
  });

  it('answers unknown paths and broken requests with problems', async () => {
    for (const [method, path, body, status] of [
      ['GET', '/v1/nope', undefined, 404],
      ['GET', '/v1/%zz', undefined, 400],
      ['POST', '/v1/vms', '{"name":', 400],
      ['POST', '/v1/vms', '{"__proto__":{"a":1}}', 400],
      ['POST', '/v1/vms', `"${'x'.repeat(3 * 2 ** 20)}"`, 413],
    ] as const) {
      const answer = await api.call(method, path, { body });
      expect(answer.status, path).toBe(status);
      expect(answer.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
    }
    expect(await api.call('POST', '/v1/vms', { body: 'a=1', headers: { 'content-type': 'text/plain' } })).toMatchObject({
      status: 415,
    });
  });

  it('has a checked-in OpenAPI description that is what the routes say', async () => {
    const checkedIn = await readFile(new URL('../../ui-api/openapi.json', import.meta.url), 'utf8');
    expect(checkedIn === (await openApiText()), 'run node ui-api/server/write-openapi.ts').toBe(true);
  });
});
