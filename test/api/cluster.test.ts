import { afterEach, beforeEach, expect, it } from 'vitest';
import { CroftError } from '../../appliance/errors.ts';
import type { ClusterStatus, InitRequest } from '../../appliance/ports.ts';
import { newId } from '../../appliance/resources/identity.ts';
import { startApi, type Harness } from './harness.ts';

let api: Harness;
let asked: InitRequest[];
let status: ClusterStatus;
let refusal: CroftError | undefined;

beforeEach(async () => {
  asked = [];
  status = { state: 'none', words: 'This box works alone: its resources are in its own database.' };
  refusal = undefined;
  api = await startApi();
  api.app.croft.context.port.cluster = {
    status: async () => status,
    init: async (request) => {
      if (refusal) throw refusal;
      asked.push(request);
      const id = newId();
      void api.box.tasks.run({ id, verb: 'cluster.init', target: { kind: 'Cluster', name: 'n1' } }, async () => {});
      return id;
    },
  };
});
afterEach(() => api.stop());

it('says how the cluster is, to administrators', async () => {
  expect((await api.call('GET', '/v1/cluster')).body).toEqual({ kind: 'cluster', ...status });
  expect((await api.call('GET', '/v1/cluster', { as: 'operator' })).status).toBe(403);
});

it('begins, and names the task', async () => {
  const { status: code, headers, body } = await api.call('POST', '/v1/cluster/init', { body: { address: '192.0.2.1' } });
  expect(code).toBe(202);
  expect(headers.get('location')).toBe(`/v1/tasks/${String(body.id)}`);
  expect(body).toMatchObject({ kind: 'task', verb: 'cluster.init' });
  expect(asked).toEqual([{ address: '192.0.2.1' }]);
});

it.each([{ k3s: '/tmp/k3s' }, { images: ['/tmp/x.tar'] }, { kubeletArgs: ['v=2'] }])(
  'takes %j from root on the box only: it would run as root',
  async (body) => {
    const answer = await api.call('POST', '/v1/cluster/init', { body });
    expect([answer.status, answer.body.code]).toEqual([403, 'forbidden']);
    expect(asked).toEqual([]);
  },
);

it('refuses what can never be right, a dry run too', async () => {
  for (const body of [{ k3s: 'k3s' }, { address: 'box' }, { kubeletArgs: ['--v 2'] }, { more: 1 }]) {
    expect((await api.call('POST', '/v1/cluster/init', { body })).status).toBe(400);
  }
  expect((await api.call('POST', '/v1/cluster/init?dryRun=true', { body: {} })).status).toBe(400);
});

it('hands on what the box says', async () => {
  refusal = new CroftError('missing-component', 'No k3s release is pinned here.');
  expect((await api.call('POST', '/v1/cluster/init', { body: {} })).body).toMatchObject({ code: 'missing-component' });
});

it('a simulated box says that it has nothing to run Kubernetes on', async () => {
  delete api.app.croft.context.port.cluster;
  expect((await api.call('GET', '/v1/cluster')).status).toBe(503);
});
