/** The solo box's Kubernetes face: watches, verbs of VMs, and the way there: TLS on loopback and `croft kubeconfig`. */
import { once } from 'node:events';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import WebSocket from 'ws';
import { parse } from 'yaml';
import { network } from '../../appliance/resources/croft-kinds.ts';
import { virtualMachine } from '../../appliance/resources/virtual-machine.ts';
import { createApp } from '../../ui-api/server/app.ts';
import { ensureCertificate } from '../../ui-api/server/certificate.ts';
import { listen } from '../../ui-api/server/listen.ts';
import { runCli } from '../unit/cli/run-cli.ts';
import { startApi, type Call, type Harness } from './harness.ts';

type Json = Record<string, unknown>;
type KubeObject = Json & { metadata: Json; spec: Json & { template: { spec: Json } }; items: KubeObject[] };
type Event = { type: string; object: KubeObject & { rows: { cells: unknown[] }[]; columnDefinitions: unknown[] } };

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

const vms = (rest = '') => `/apis/kubevirt.io/v1/namespaces/${project}/virtualmachines${rest}`;
const call = (method: string, path: string, wish: Call = {}) => api.call<KubeObject>(method, path, wish);
const patch = (path: string, type: string, body: unknown) =>
  call('PATCH', path, { body, headers: { 'content-type': `application/${type}` } });
const vmBody = (name: string, labels: Json = {}) => ({
  metadata: { name, labels },
  spec: { runStrategy: 'Halted', template: { spec: { domain: { devices: {} } } } },
});
const make = (name: string, labels: Json = {}) => call('POST', vms(), { body: vmBody(name, labels) });

/** Opens a watch; `next` gives its events one by one, undefined when it ends. */
async function watch(query: string, { accept = 'application/json', as = 'admin' as 'admin' | 'viewer' } = {}) {
  const gone = new AbortController();
  const answer = await fetch(`${api.base}${vms(`?watch=1${query}`)}`, {
    headers: { authorization: `Bearer ${api.tokens[as]}`, accept },
    signal: gone.signal,
  });
  expect(answer.status).toBe(200);
  const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
  const decoder = new TextDecoder();
  let text = '';
  const next = async (): Promise<Event | undefined> => {
    while (!text.includes('\n')) {
      const { done, value } = await reader.read();
      if (done) return undefined;
      text += decoder.decode(value, { stream: true });
    }
    const line = text.slice(0, text.indexOf('\n'));
    text = text.slice(line.length + 1);
    return JSON.parse(line) as Event;
  };
  return { next, close: () => gone.abort() };
}
const said = (event: Event | undefined) => [event?.type, event?.object.metadata.name];

describe('watches', () => {
  it('tell what is there, then what happens, to whom the selector says', async () => {
    await make('old', { app: 'x' });
    await make('other');
    const open = await watch('&labelSelector=app');
    expect(said(await open.next())).toEqual(['ADDED', 'old']);
    await make('new', { app: 'y' });
    expect(said(await open.next())).toEqual(['ADDED', 'new']);
    await patch(vms('/new'), 'merge-patch+json', { metadata: { labels: { app: null } } });
    expect(said(await open.next())).toEqual(['DELETED', 'new']);
    await call('DELETE', vms('/old'));
    expect(said(await open.next())).toEqual(['DELETED', 'old']);
    open.close();
  });

  it('begin after a version, and of one object only', async () => {
    const { resourceVersion } = (await make('a')).body.metadata;
    await make('b');
    const open = await watch(`&resourceVersion=${String(resourceVersion)}&fieldSelector=metadata.name%3Da`);
    await patch(vms('/a'), 'merge-patch+json', { metadata: { labels: { x: 'y' } } });
    expect(said(await open.next())).toEqual(['MODIFIED', 'a']);
    open.close();
  });

  it('with sendInitialEvents mark the end of what was there: kubectl wait waits for it', async () => {
    await make('a');
    const open = await watch('&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true');
    expect(said(await open.next())).toEqual(['ADDED', 'a']);
    const end = await open.next();
    expect(end).toMatchObject({
      type: 'BOOKMARK',
      object: { kind: 'VirtualMachine', metadata: { annotations: { 'k8s.io/initial-events-end': 'true' } } },
    });
    expect(end?.object.metadata.resourceVersion).toMatch(/^\d+$/);
    await make('b');
    expect(said(await open.next())).toEqual(['ADDED', 'b']);
    open.close();
  });

  it('end with 410 where the version is too old', async () => {
    const open = await watch('&resourceVersion=999999');
    expect(await open.next()).toMatchObject({ type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } });
    expect(await open.next()).toBeUndefined();
  });

  it('show tables, with headers once', async () => {
    await make('a');
    const open = await watch('', { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' });
    const first = await open.next();
    expect(first).toMatchObject({
      type: 'ADDED',
      object: { kind: 'Table', rows: [{ cells: ['a', null, null, expect.any(String)] }] },
    });
    expect(first?.object.columnDefinitions).toHaveLength(4);
    await make('b');
    expect((await open.next())?.object.columnDefinitions).toEqual([]);
    open.close();
  });

  it('end when their time is up', async () => {
    const open = await watch('&timeoutSeconds=1');
    expect(await open.next()).toBeUndefined();
  });

  it('of a quiet kind get bookmarks that keep their place', async () => {
    const ended = new AbortController();
    const seen: string[] = [];
    const from = (await api.store.list(network)).resourceVersion;
    const events = api.store.watch(network, { resourceVersion: from, signal: ended.signal, bookmarkAfter: 50 });
    await make('elsewhere');
    for await (const { type, object } of events) {
      seen.push(type);
      expect(Number(object.metadata.resourceVersion)).toBeGreaterThan(Number(from));
      ended.abort();
    }
    expect(seen).toEqual(['BOOKMARK']);
  });
});

describe('verbs of VMs', () => {
  const path = (rest: string, kind = 'virtualmachines') =>
    `/apis/subresources.kubevirt.io/v1/namespaces/${project}/${kind}/web/${rest}`;

  it('start changes the wish, volumes are plugged, types written out; each is audited by its name', async () => {
    await make('web');
    expect(await call('PUT', path('start'), { as: 'viewer' })).toMatchObject({ status: 403 });
    await patch(vms('/web/status'), 'merge-patch+json', { status: { printableStatus: 'Stopped' } });
    expect((await call('PUT', path('start'), { body: {} })).status).toBe(202);
    expect((await api.store.get(virtualMachine, 'web', project))?.spec.runStrategy).toBe('Always');
    expect(api.box.audit.list({ limit: 1 })[0]).toMatchObject({
      verb: 'virtualmachine.start',
      target: `virtualmachines/web?project=${project}`,
    });
    const volumes = `/apis/cdi.kubevirt.io/v1beta1/namespaces/${project}/datavolumes`;
    await call('POST', volumes, { body: { metadata: { name: 'data' }, spec: { source: { blank: {} } } } });
    // Word for word what virtctl addvolume sends.
    const volume = {
      name: 'data',
      disk: { name: '', disk: { bus: 'scsi' }, serial: 'data' },
      volumeSource: { dataVolume: { name: 'data', hotpluggable: true } },
    };
    const plugged = await call('PUT', path('addvolume', 'virtualmachineinstances'), { body: volume });
    expect(plugged.headers.get('warning')).toContain('--persist');
    const domainOf = async () => (await call('GET', vms('/web'))).body.spec.template.spec as Json & { domain: { devices: Json } };
    expect((await domainOf()).domain.devices.disks).toEqual([{ name: 'data', disk: { bus: 'scsi' }, serial: 'data' }]);
    expect(await call('PUT', path('addvolume'), { body: volume })).toMatchObject({ status: 409 });
    expect((await call('PUT', path('removevolume'), { body: { name: 'data' } })).status).toBe(202);
    expect((await domainOf()).volumes).toEqual([]);
    expect((await call('GET', path('expand-spec'))).body.kind).toBe('VirtualMachine');
    const given = vmBody('new') as Json & { spec: Json };
    given.spec.instancetype = { name: 'tiny' };
    const expanded = await call('PUT', `/apis/subresources.kubevirt.io/v1/namespaces/${project}/expand-vm-spec`, { body: given });
    expect(expanded.body.spec).not.toHaveProperty('instancetype');
    expect(expanded.body.spec.template.spec).toMatchObject({ domain: { memory: { guest: '256Mi' } } });
  });

  it('are shown by events, as kubectl describe asks', async () => {
    const about = { kind: 'VirtualMachine', name: 'web', project };
    api.box.events.record({ type: 'Normal', reason: 'Started', message: 'So it is.', about });
    const selector = `involvedObject.name=web,involvedObject.namespace=${project},involvedObject.kind=VirtualMachine,involvedObject.uid=x`;
    const { body } = await call('GET', `/api/v1/namespaces/${project}/events?fieldSelector=${encodeURIComponent(selector)}`);
    expect(body.items).toMatchObject([{ reason: 'Started', message: 'So it is.', involvedObject: { name: 'web' } }]);
  });
});

describe('streams of VMs', () => {
  it('console speaks plain.kubevirt.io to operators, and is a plain refusal where it cannot be', async () => {
    await make('web');
    const url = `${api.base.replace('http', 'ws')}/apis/subresources.kubevirt.io/v1/namespaces/${project}/virtualmachineinstances/web/console`;
    const open = (as: 'viewer' | 'operator') =>
      new WebSocket(url, ['plain.kubevirt.io'], { headers: { authorization: `Bearer ${api.tokens[as]}` } });
    const refusal = async (socket: WebSocket): Promise<number> => {
      const [, answer] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode: number; resume(): void }];
      answer.resume();
      return answer.statusCode;
    };
    expect(await refusal(open('viewer'))).toBe(403);
    expect(await refusal(open('operator'))).toBe(409);
    await patch(vms('/web/status'), 'merge-patch+json', { status: { printableStatus: 'Running' } });
    const socket = open('operator');
    await once(socket, 'open');
    expect(socket.protocol).toBe('plain.kubevirt.io');
    socket.send(Buffer.from('hello'));
    const [bytes] = (await once(socket, 'message')) as [Buffer];
    expect(String(bytes)).toBe('hello');
    socket.close();
    await once(socket, 'close');
  });
});

describe('the way there', () => {
  it('TLS and plain HTTP share the port of loopback', async () => {
    const { port } = new URL(api.base);
    const ca = (await call('GET', '/v1/kubernetes')).body.ca as string;
    for (let round = 0; round < 2; round++) {
      const status = await new Promise((resolve, reject) => {
        const request = httpsRequest({ host: '127.0.0.1', port, path: '/healthz', ca }, (answer) => {
          answer.resume();
          resolve(answer.statusCode);
        });
        request.on('error', reject).end();
      });
      expect(status).toBe(200);
      expect((await call('GET', '/healthz')).status).toBe(200);
    }
  });

  it('a client that says nothing, or stops amid its handshake, does not keep the service from ending', async () => {
    const app = createApp({ ...api.app.croft.context, startNotifications: false });
    const loopbackTls = () => ensureCertificate(join(api.directory, 'keys'));
    const { address } = await listen(app, { tcp: { host: '127.0.0.1', port: 0 }, loopbackTls });
    const sockets = ['', '\x16\x03\x01'].map((text) => {
      const socket = connect(address?.port ?? 0, '127.0.0.1', () => socket.write(text));
      return socket.on('error', () => undefined);
    });
    await Promise.all(sockets.map((socket) => once(socket, 'connect')));
    const from = performance.now();
    await Promise.all([app.close(), ...sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve)))]);
    expect(performance.now() - from).toBeLessThan(10_000);
  });

  it('croft kubeconfig makes a token of the role asked for and says where the box is', async () => {
    const env = { CROFT_HOST: api.base, CROFT_TOKEN: api.tokens.admin };
    const { stdout, stderr } = await runCli(['kubeconfig', '--role', 'viewer', '--ttl', '1h'], { env });
    const config = parse(stdout) as { clusters: { cluster: { server: string } }[]; users: { user: { token: string } }[] };
    expect(config).toMatchObject({
      kind: 'Config',
      'current-context': 'croft',
      contexts: [{ context: { namespace: 'default' } }],
    });
    expect(config.clusters[0]?.cluster.server).toBe(api.base.replace('http:', 'https:'));
    expect(stderr).toMatch(/Token kubectl-\S+ \(viewer\) is made/);
    const headers = { authorization: `Bearer ${config.users[0]?.user.token}` };
    expect((await call('GET', vms(), { as: 'none', headers })).status).toBe(200);
    expect((await call('POST', vms(), { as: 'none', headers, body: vmBody('x') })).status).toBe(403);
  });

  it('who may make no token gets the one they have', async () => {
    const env = { CROFT_HOST: api.base, CROFT_TOKEN: api.tokens.operator };
    const { stdout, stderr } = await runCli(['kubeconfig'], { env });
    expect(stdout).toContain(api.tokens.operator);
    expect(stderr).toMatch(/makes no tokens/);
  });
});
