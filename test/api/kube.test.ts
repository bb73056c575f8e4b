/** The solo box's Kubernetes face: objects, as kubectl and other clients of a kube-apiserver ask for them. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { secret, systemNamespace } from '../../appliance/resources/core-kinds.ts';
import { network } from '../../appliance/resources/croft-kinds.ts';
import { startApi, type Call, type Harness } from './harness.ts';

type Json = Record<string, unknown>;
type Meta = Record<string, unknown> & { labels?: Record<string, string> };
type KubeObject = Json & { metadata: Meta; spec: Json & { template: { spec: Json } }; items: KubeObject[] };

let api: Harness;
let project: string;
let count = 0;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.stop());
beforeEach(() => {
  project = `p${++count}`;
});

const vmsOf = (where: string) => `/apis/kubevirt.io/v1/namespaces/${where}/virtualmachines`;
const vms = (rest = '') => `${vmsOf(project)}${rest}`;
const call = (method: string, path: string, wish: Call = {}) => api.call<KubeObject>(method, path, wish);
const patch = (path: string, type: string, body: unknown, wish: Call = {}) =>
  call('PATCH', path, { body, headers: { 'content-type': `application/${type}` }, ...wish });
const vmBody = (name: string, spec: Json = {}, metadata: Json = {}) => ({
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachine',
  metadata: { name, ...metadata },
  spec: { runStrategy: 'Halted', template: { spec: { domain: { devices: {}, ...spec } } } },
});
const make = (name: string, metadata: Json = {}) => call('POST', vms(), { body: vmBody(name, {}, metadata) });

describe('discovery', () => {
  it('lists groups, versions and resources, plain and aggregated', async () => {
    expect((await call('GET', '/api')).body).toMatchObject({ kind: 'APIVersions', versions: ['v1'] });
    const groups = (await call('GET', '/apis')).body.groups as { name: string }[];
    expect(groups.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['kubevirt.io', 'cdi.kubevirt.io', 'croft.io', 'subresources.kubevirt.io']),
    );
    const { resources } = (await call('GET', '/apis/kubevirt.io/v1')).body as unknown as { resources: Json[] };
    expect(resources).toContainEqual(
      expect.objectContaining({
        name: 'virtualmachines',
        kind: 'VirtualMachine',
        shortNames: ['vm', 'vms'],
        categories: ['all'],
      }),
    );
    const accept = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json';
    const { headers, body } = await call('GET', '/apis', { headers: { accept } });
    expect(headers.get('content-type')).toMatch(/as="?APIGroupDiscoveryList/);
    const kubevirt = body.items.find(({ metadata }) => metadata.name === 'kubevirt.io') as unknown as {
      versions: { resources: Json[] }[];
    };
    expect(kubevirt.versions[0]?.resources).toContainEqual(
      expect.objectContaining({
        resource: 'virtualmachines',
        scope: 'Namespaced',
        responseKind: { group: 'kubevirt.io', version: 'v1', kind: 'VirtualMachine' },
        subresources: [expect.objectContaining({ subresource: 'status' })],
      }),
    );
    expect((await call('GET', '/version')).body.gitVersion).toMatch(/^v1\.\d+\.0\+croft/);
  });

  it('describes each kind by OpenAPI v3, with a PATCH that takes fieldValidation', async () => {
    const { paths } = (await call('GET', '/openapi/v3')).body as unknown as {
      paths: Record<string, { serverRelativeURL: string }>;
    };
    for (const { serverRelativeURL } of Object.values(paths)) {
      const { body } = await call('GET', serverRelativeURL);
      expect(Object.keys((body.components as { schemas: Json }).schemas).length).toBeGreaterThan(1);
    }
    const { body } = await call('GET', paths['apis/kubevirt.io/v1']?.serverRelativeURL as string);
    const found = (body.paths as Record<string, { patch: { parameters: Json[] } }>)[
      '/apis/kubevirt.io/v1/namespaces/{namespace}/virtualmachines/{name}'
    ];
    expect(found?.patch.parameters).toContainEqual(expect.objectContaining({ name: 'fieldValidation', in: 'query' }));
    expect(JSON.stringify(body)).toContain('"terminationGracePeriodSeconds":{');
  });

  it('says of the rest that it is not there, as Kubernetes does', async () => {
    for (const path of ['/openapi/v2', '/apis/apps/v1/deployments', '/api/v1/pods'])
      expect(await call('GET', path), path).toMatchObject({ status: 404, body: { kind: 'Status', reason: 'NotFound' } });
  });
});

describe('objects', () => {
  it('are made, read, replaced and deleted', async () => {
    const made = await make('web', { labels: { app: 'web' } });
    expect(made).toMatchObject({
      status: 201,
      body: { kind: 'VirtualMachine', metadata: { namespace: project, generation: 1 } },
    });
    expect(await make('web')).toMatchObject({
      status: 409,
      body: { reason: 'AlreadyExists', details: { kind: 'virtualmachines' } },
    });
    const { body } = await call('GET', vms('/web'));
    expect(body).toEqual(made.body);
    body.spec.runStrategy = 'Manual';
    expect(await call('PUT', vms('/web'), { body })).toMatchObject({ status: 200, body: { metadata: { generation: 2 } } });
    expect(await call('PUT', vms('/web'), { body })).toMatchObject({ status: 409, body: { reason: 'Conflict' } });
    expect(await call('PUT', vms('/other'), { body })).toMatchObject({ status: 404 });
    expect(await call('DELETE', vms('/web'))).toMatchObject({
      status: 200,
      body: { status: 'Success', details: { name: 'web' } },
    });
    expect(await call('GET', vms('/web'))).toMatchObject({
      status: 404,
      body: { kind: 'Status', status: 'Failure', code: 404, details: { name: 'web', group: 'kubevirt.io' } },
    });
  });

  it('take generateName, and leave out what is null', async () => {
    const body = { ...vmBody(''), metadata: { generateName: 'web-', creationTimestamp: null }, status: null };
    const { body: made } = await call('POST', vms(), { body });
    expect(made.metadata.name).toMatch(/^web-[a-z0-9]{5}$/);
    expect(made.metadata).not.toHaveProperty('generateName');
  });

  it('keep the id that a replacement leaves out', async () => {
    const id = '0193e7a2-1111-7222-8333-444455556666';
    await make('web', { labels: { 'croft.io/id': id } });
    const replaced = await call('PUT', vms('/web'), { body: vmBody('web', {}, { labels: { app: 'x' } }) });
    expect(replaced.body.metadata.labels).toEqual({ app: 'x', 'croft.io/id': id });
  });

  it('of another place than the address are refused', async () => {
    expect(await call('POST', vms(), { body: vmBody('a', {}, { namespace: 'elsewhere' }) })).toMatchObject({
      status: 422,
      body: { message: expect.stringContaining('elsewhere') },
    });
    await make('web');
    expect(await call('PUT', vms('/web'), { body: vmBody('other') })).toMatchObject({ status: 422 });
  });

  it('are selected by labels and fields, and come in pages', async () => {
    for (const name of ['a', 'b', 'c']) await make(name, { labels: { odd: name === 'b' ? 'no' : 'yes' } });
    const names = ({ items }: KubeObject) => items.map(({ metadata }) => metadata.name);
    expect(names((await call('GET', vms('?labelSelector=odd%3Dyes'))).body)).toEqual(['a', 'c']);
    expect(names((await call('GET', vms('?fieldSelector=metadata.name%3Db'))).body)).toEqual(['b']);
    expect(await call('GET', vms('?fieldSelector=status.phase%3Dx'))).toMatchObject({ status: 422 });
    const first = (await call('GET', vms('?limit=2'))).body;
    expect(names(first)).toEqual(['a', 'b']);
    const next = await call('GET', vms(`?limit=2&continue=${String(first.metadata.continue)}`));
    expect(names(next.body)).toEqual(['c']);
    expect(next.body.metadata.resourceVersion).toBe(first.metadata.resourceVersion);
    expect(names((await call('GET', '/apis/kubevirt.io/v1/virtualmachines')).body).length).toBeGreaterThanOrEqual(3);
    expect(await call('GET', vms('?resourceVersion=1&resourceVersionMatch=Exact'))).toMatchObject({
      status: 410,
      body: { reason: 'Expired' },
    });
  });

  it('are shown as tables and as metadata alone', async () => {
    await make('web');
    const as = (what: string) => ({ headers: { accept: `application/json;as=${what};v=v1;g=meta.k8s.io,application/json` } });
    const { body } = await call('GET', vms(), as('Table'));
    expect(body).toMatchObject({
      kind: 'Table',
      rows: [{ cells: ['web', null, null, expect.stringMatching(/^\d+s$/)], object: { kind: 'PartialObjectMetadata' } }],
    });
    expect((body.columnDefinitions as { name: string }[]).map(({ name }) => name)).toEqual(['Name', 'Status', 'Ready', 'Age']);
    expect((await call('GET', vms('/web?includeObject=Object'), as('Table'))).body).toMatchObject({
      rows: [{ object: { spec: { runStrategy: 'Halted' } } }],
    });
    const { body: list } = await call('GET', vms(), as('PartialObjectMetadataList'));
    expect(list).toMatchObject({ kind: 'PartialObjectMetadataList', items: [{ metadata: { name: 'web' } }] });
    expect(list.items[0]).not.toHaveProperty('spec');
  });
});

describe('field validation', () => {
  const unknown = vmBody('web', { memry: { guest: '1Gi' } });
  const path = 'spec.template.spec.domain.memry';

  it('Strict refuses what nobody knows, Warn says it, Ignore drops it', async () => {
    const strict = await call('POST', vms('?fieldValidation=Strict'), { body: unknown });
    expect(strict).toMatchObject({ status: 400, body: { message: `strict decoding error: unknown field "${path}"` } });
    const warned = await call('POST', vms('?fieldValidation=Warn'), { body: unknown });
    expect(warned.headers.get('warning')).toContain(path);
    expect(JSON.stringify(warned.body)).not.toContain('memry');
    const ignored = await call('POST', vms('?fieldValidation=Ignore'), { body: { ...unknown, metadata: { name: 'two' } } });
    expect(ignored.status).toBe(201);
    expect(ignored.headers.get('warning')).toBeNull();
    const odd = await call('POST', vms(), { body: { ...vmBody('odd'), constructor: 0 } });
    expect(odd.headers.get('warning')).toContain('constructor');
    expect(await call('POST', vms('?fieldValidation=Maybe'), { body: unknown })).toMatchObject({ status: 400 });
  });

  it('refuses in every mode what KubeVirt has and Croft does not support, and what is of the wrong kind', async () => {
    for (const mode of ['Strict', 'Warn', 'Ignore']) {
      const refused = await call('POST', vms(`?fieldValidation=${mode}`), {
        body: vmBody('web', { devices: { sound: { name: 'x' } } }),
      });
      expect(refused, mode).toMatchObject({
        status: 422,
        body: {
          reason: 'Invalid',
          details: { name: 'web', kind: 'VirtualMachine', causes: [{ field: 'spec.template.spec.domain.devices.sound' }] },
        },
      });
    }
    const body = vmBody('web');
    body.spec.runStrategy = 'Sometimes';
    expect(await call('POST', vms(), { body })).toMatchObject({
      status: 422,
      body: { details: { causes: [{ field: 'spec.runStrategy' }] } },
    });
  });

  it('asks what /v1 asks beyond the schema: types that are there, networks that make sense, nothing in use deleted', async () => {
    const body = vmBody('web') as Json & { spec: Json };
    body.spec.instancetype = { name: 'nowhere' };
    expect((await call('POST', vms(), { body })).body.message).toMatch(/no VirtualMachineClusterInstancetype nowhere/);
    const file = { metadata: { name: 'root' }, spec: { source: { file: '/etc/shadow' } } };
    const asOperator = { body: file, as: 'operator' } as const;
    expect(await call('POST', '/apis/croft.io/v1/images', asOperator)).toMatchObject({ status: 403 });
    const networks = '/apis/croft.io/v1/networks';
    const wrong = { metadata: { name: 'n1' }, spec: { vlan: 3, trunk: [4] } };
    expect(await call('POST', networks, { body: wrong })).toMatchObject({ status: 422 });
    await api.store.create(network, { metadata: { name: 'n2' }, spec: { vlan: 5 } });
    const domain = { devices: { interfaces: [{ name: 'a', bridge: {} }] } };
    const user = vmBody('user', domain) as unknown as KubeObject;
    user.spec.template.spec.networks = [{ name: 'a', multus: { networkName: 'n2' } }];
    await call('POST', vms(), { body: user });
    expect(await call('DELETE', `${networks}/n2`)).toMatchObject({
      status: 409,
      body: { message: expect.stringContaining('used by 1 VM') },
    });
  });
});

describe('patches', () => {
  beforeEach(() => make('web', { labels: { app: 'web' } }));

  it('merge and JSON patches change it; a version in them is held to', async () => {
    const merged = await patch(vms('/web'), 'merge-patch+json', { metadata: { labels: { app: null, tier: 'db' } } });
    expect(merged.body.metadata.labels).toEqual({ tier: 'db' });
    const operations = [
      { op: 'test', path: '/spec/runStrategy', value: 'Halted' },
      { op: 'replace', path: '/spec/runStrategy', value: 'Manual' },
      { op: 'add', path: '/metadata/labels/a~1b', value: 'c' },
      { op: 'copy', from: '/metadata/labels/tier', path: '/metadata/labels/copied' },
      { op: 'move', from: '/metadata/labels/tier', path: '/metadata/labels/moved' },
    ];
    const patched = await patch(vms('/web'), 'json-patch+json', operations);
    expect(patched.body).toMatchObject({ spec: { runStrategy: 'Manual' }, metadata: { generation: 2 } });
    expect(patched.body.metadata.labels).toEqual({ 'a/b': 'c', copied: 'db', moved: 'db' });
    const { resourceVersion } = merged.body.metadata;
    expect(await patch(vms('/web'), 'merge-patch+json', { metadata: { resourceVersion } })).toMatchObject({ status: 409 });
  });

  it.each([
    ['a test that fails', [{ op: 'test', path: '/spec/runStrategy', value: 'Always' }]],
    ['a path that is not there', [{ op: 'remove', path: '/spec/nothing' }]],
    ['no operation', [{ op: 'twist', path: '/spec' }]],
    ['no list', { op: 'remove', path: '/spec' }],
    ['the prototype', [{ op: 'add', path: '/metadata/labels/__proto__', value: {} }]],
  ])('a JSON patch with %s changes nothing', async (_what, operations) => {
    const before = (await call('GET', vms('/web'))).body;
    expect((await patch(vms('/web'), 'json-patch+json', operations)).status).toBeGreaterThanOrEqual(400);
    expect((await call('GET', vms('/web'))).body).toEqual(before);
  });

  it('many at once all arrive', async () => {
    const all = Array.from({ length: 6 }, (_, index) =>
      patch(vms('/web'), 'merge-patch+json', { metadata: { annotations: { [`a${index}`]: 'x' } } }),
    );
    for (const { status } of await Promise.all(all)) expect(status).toBe(200);
    expect(Object.keys((await call('GET', vms('/web'))).body.metadata.annotations as Json)).toHaveLength(6);
  });

  it.each([
    ['strategic-merge-patch+json', /--type merge/],
    ['apply-patch+yaml', /Server-side apply is not supported/],
    ['vnd.kubernetes.protobuf', /Protobuf is not read/],
  ])('%s is refused with a sentence', async (type, sentence) => {
    const refused = await patch(vms('/web'), type, { spec: {} });
    expect(refused).toMatchObject({ status: 415, body: { kind: 'Status', reason: 'UnsupportedMediaType' } });
    expect(refused.body.message).toMatch(sentence);
  });
});

describe('dry run', () => {
  it('answers as if it were done, keeps nothing and writes no audit', async () => {
    await make('there');
    const seen = () => api.box.audit.list({ limit: 1 })[0]?.seq;
    const before = seen();
    expect(await call('POST', vms('?dryRun=All'), { body: vmBody('web') })).toMatchObject({
      status: 201,
      body: { metadata: { name: 'web' } },
    });
    expect(await call('GET', vms('/web'))).toMatchObject({ status: 404 });
    const patched = await patch(vms('/there?dryRun=All'), 'merge-patch+json', { spec: { runStrategy: 'Always' } });
    expect(patched.body.spec.runStrategy).toBe('Always');
    await call('DELETE', vms('/there'), { body: { dryRun: ['All'] } });
    expect((await call('GET', vms('/there'))).body.spec.runStrategy).toBe('Halted');
    expect(seen()).toBe(before);
    expect(await call('POST', vms('?dryRun=true'), { body: vmBody('web') })).toMatchObject({ status: 400 });
  });
});

describe('deletion', () => {
  it('holds to its preconditions', async () => {
    const { metadata } = (await make('web')).body;
    const wrong = (preconditions: Json) => call('DELETE', vms('/web'), { body: { preconditions } });
    expect(await wrong({ uid: 'another' })).toMatchObject({ status: 409 });
    expect(await wrong({ resourceVersion: '1' })).toMatchObject({ status: 409 });
    expect(await wrong({ uid: metadata.uid, resourceVersion: metadata.resourceVersion })).toMatchObject({ status: 200 });
  });

  it('waits for finalizers, which can be taken away whatever else is wrong', async () => {
    await make('web', { finalizers: ['croft.io/test'] });
    const waiting = await call('DELETE', vms('/web'), { body: { propagationPolicy: 'Background' } });
    expect(waiting.body.metadata.deletionTimestamp).toBeDefined();
    await patch(vms('/web'), 'merge-patch+json', { metadata: { finalizers: null } });
    expect(await call('GET', vms('/web'))).toMatchObject({ status: 404 });
  });

  it('Orphan lets what it owns stay, otherwise that goes with it', async () => {
    const volumes = `/apis/cdi.kubevirt.io/v1beta1/namespaces/${project}/datavolumes`;
    for (const [name, policy] of [
      ['kept', 'Orphan'],
      ['gone', 'Background'],
    ] as const) {
      const { uid } = (await make(name)).body.metadata;
      const ownerReferences = [{ apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachine', name, uid }];
      await call('POST', volumes, { body: { metadata: { name, ownerReferences }, spec: { source: { blank: {} } } } });
      await call('DELETE', vms(`/${name}?propagationPolicy=${policy}`));
    }
    expect((await call('GET', `${volumes}/kept`)).body.metadata.ownerReferences).toBeUndefined();
    await expect.poll(async () => (await call('GET', `${volumes}/gone`)).status).toBe(404);
    expect(await call('DELETE', vms('/x?propagationPolicy=Sideways'))).toMatchObject({ status: 404 });
  });

  it('of a collection takes what the selector says', async () => {
    for (const name of ['a', 'b']) await make(name, { labels: { name } });
    expect((await call('DELETE', vms('?labelSelector=name%3Da'))).body.items).toHaveLength(1);
    expect((await call('GET', vms())).body.items.map(({ metadata }) => metadata.name)).toEqual(['b']);
  });
});

describe('status, namespaces, secrets', () => {
  it('status is written apart, by administrators', async () => {
    await make('web');
    const body = { status: { printableStatus: 'Stopped' }, spec: { runStrategy: 'Always' } };
    expect(await patch(vms('/web/status'), 'merge-patch+json', body, { as: 'operator' })).toMatchObject({ status: 403 });
    expect((await patch(vms('/web/status'), 'merge-patch+json', body)).body).toMatchObject({
      status: { printableStatus: 'Stopped' },
      spec: { runStrategy: 'Halted' },
    });
    const { body: after } = await patch(vms('/web'), 'merge-patch+json', { status: { printableStatus: 'Running' } });
    expect(after.status).toEqual({ printableStatus: 'Stopped' });
  });

  it('a namespace is there with its first object', async () => {
    const namespaces = '/api/v1/namespaces';
    expect(await call('GET', `${namespaces}/${project}`)).toMatchObject({ status: 404 });
    expect(await call('POST', namespaces, { body: { metadata: { name: project } } })).toMatchObject({ status: 201 });
    await make('web');
    expect(await call('GET', `${namespaces}/${project}`)).toMatchObject({ status: 200, body: { status: { phase: 'Active' } } });
    const names = (await call('GET', namespaces)).body.items.map(({ metadata }) => metadata.name);
    expect(names).toEqual(expect.arrayContaining(['default', project]));
    expect(names).not.toContain(systemNamespace);
    expect(await call('POST', namespaces, { body: { metadata: { name: 'No Good' } } })).toMatchObject({ status: 400 });
  });

  it('secrets have their fields where kubectl has them; a second apply merges', async () => {
    const secrets = `/api/v1/namespaces/${project}/secrets`;
    const body = { metadata: { name: 's' }, type: 'Opaque', data: { a: 'YQ==' }, stringData: { b: 'b' } };
    expect((await call('POST', secrets, { body })).body).toMatchObject({ type: 'Opaque', data: { a: 'YQ==', b: 'Yg==' } });
    expect((await api.store.get(secret, 's', project))?.spec.data).toEqual({ a: 'YQ==', b: 'Yg==' });
    const merged = await patch(`${secrets}/s`, 'strategic-merge-patch+json', { data: { a: null }, stringData: { c: 'c' } });
    expect(merged.body.data).toEqual({ b: 'Yg==', c: 'Yw==' });
    expect(await patch(`${secrets}/s`, 'strategic-merge-patch+json', { $patch: 'delete' })).toMatchObject({ status: 415 });
    expect(await call('GET', secrets, { as: 'viewer' })).toMatchObject({ status: 403, body: { reason: 'Forbidden' } });
    expect(await call('POST', secrets, { body: { ...body, metadata: { name: 't' }, immutable: true } })).toMatchObject({
      status: 400,
    });
  });

  it('Croft’s own are not served to anybody', async () => {
    const secrets = `/api/v1/namespaces/${systemNamespace}/secrets`;
    for (const path of [secrets, `${secrets}/token-test-admin`, `${secrets}?watch=1`])
      expect(await call('GET', path), path).toMatchObject({ status: 403 });
    expect(await call('POST', secrets, { body: { metadata: { name: 'token-x' }, data: {} } })).toMatchObject({ status: 403 });
    expect(await call('DELETE', `${secrets}/token-test-admin`)).toMatchObject({ status: 403 });
    expect(JSON.stringify((await call('GET', '/api/v1/secrets')).body)).not.toContain(systemNamespace);
  });

  it('users and tokens are read by administrators, and written through /v1 only', async () => {
    expect(await call('GET', '/apis/croft.io/v1/tokens', { as: 'operator' })).toMatchObject({ status: 403 });
    expect((await call('GET', '/apis/croft.io/v1/tokens')).body.items.length).toBeGreaterThan(2);
    expect(await call('DELETE', '/apis/croft.io/v1/tokens/test-viewer')).toMatchObject({ status: 404 });
  });
});
