/** Boxes by REST: maintenance with its plan and what refuses it, and what the balancer would do. The boxes are pretended. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { idLabel, newId } from '../../appliance/resources/identity.ts';
import { node } from '../../appliance/resources/croft-kinds.ts';
import { virtualMachineInstance } from '../../appliance/resources/virtual-machine.ts';
import { editObject, editStatus } from '../../appliance/store/edit.ts';
import { startApi, type Harness } from './harness.ts';

let api: Harness;
const gib = 2 ** 30;
const condition = (type: string, reason = 'R', message = '') => ({
  type,
  status: 'True' as const,
  reason,
  message,
  lastTransitionTime: '2026-01-01T00:00:00Z',
});

async function box(name: string, role: 'voter' | 'agent', witness = false): Promise<void> {
  await api.store.create(node, { metadata: { name, labels: { [idLabel]: newId() } }, spec: {} });
  await editStatus(api.store, node, { name }, (draft) => {
    const peer = { address: '10.0.0.1', role, witness };
    draft.status = { cpus: 8, memory: 8 * gib, memoryReserved: 0, peer, conditions: [condition('Ready')] };
  });
}
const maintenance = (name: string, on: boolean, query = '') =>
  api.call('POST', `/v1/nodes/${name}/maintenance${query}`, { body: { on } });
const wished = async (name: string) => (await api.store.get(node, name))?.spec.maintenance;

beforeAll(async () => {
  api = await startApi();
  // The pretended box has reported itself as well: it is none of these.
  for (const { metadata } of (await api.store.list(node)).items) await api.store.delete(node, metadata.name);
  await box('box-1', 'voter');
  for (const name of ['one', 'two', 'three']) {
    await api.store.create(virtualMachineInstance, {
      metadata: { name, namespace: 'default', labels: { [idLabel]: newId() } },
      spec: { domain: { memory: { guest: '1500Mi' }, devices: {} } },
    });
    await editStatus(api.store, virtualMachineInstance, { name, namespace: 'default' }, (draft) => {
      draft.status = { ...draft.status, nodeName: 'box-1', phase: 'Running' };
    });
  }
});
afterAll(() => api.stop());

it('a box alone is not emptied', async () => {
  expect(await maintenance('box-1', true)).toMatchObject({
    status: 409,
    body: { detail: expect.stringContaining('the only box') },
  });
  expect(await maintenance('box-9', true)).toMatchObject({ status: 404 });
});

it('a sole voter neither: nobody could decide anything without it', async () => {
  await box('box-2', 'agent');
  expect(await maintenance('box-1', true)).toMatchObject({
    status: 409,
    body: { detail: expect.stringContaining('votes alone') },
  });
});

it('says who goes where, and with dryRun only that', async () => {
  await editStatus(api.store, node, { name: 'box-2' }, (draft) => {
    draft.status = { ...draft.status, peer: { address: '10.0.0.2', role: 'voter' } };
  });
  await box('box-3', 'voter', true);
  const planned = await maintenance('box-1', true, '?dryRun=true');
  expect(planned.body).toMatchObject({
    dryRun: true,
    result: { departures: [{ to: 'box-2' }, { to: 'box-2' }, { to: 'box-2' }] },
  });
  expect(await wished('box-1')).toBeUndefined();
  expect(await maintenance('box-1', true)).toMatchObject({ status: 200, body: { on: true, node: 'box-1' } });
  expect(await wished('box-1')).toBe(true);
});

it('not two voters at once, and out of it again', async () => {
  expect(await maintenance('box-2', true)).toMatchObject({
    status: 409,
    body: { detail: expect.stringContaining('box-1 is away') },
  });
  const conditions = [condition('Ready'), condition('Maintenance', 'Evacuating', '3 VMs are left.')];
  await editStatus(api.store, node, { name: 'box-1' }, (draft) => {
    draft.status = { ...draft.status, conditions };
  });
  const { body } = await api.call<{ items: { name: string; state: string }[] }>('GET', '/v1/nodes');
  expect(body.items.find(({ name }) => name === 'box-1')?.state).toBe('evacuating');
  expect(await maintenance('box-1', false)).toMatchObject({ status: 200, body: { on: false, departures: [] } });
  expect(await wished('box-1')).toBeUndefined();
});

it('shows what would even the boxes out', async () => {
  await editObject(api.store, node, { name: 'box-3' }, (draft) => {
    draft.spec.maintenance = true;
  });
  expect((await api.call('GET', '/v1/nodes/balance')).body).toMatchObject({
    boxes: [
      { box: 'box-1', pressure: 0.573 },
      { box: 'box-2', pressure: 0 },
    ],
    moves: [{ from: 'box-1', to: 'box-2' }],
  });
});

it('says for each box what its death would do', async () => {
  const { body } = await api.call('GET', '/v1/nodes/losses');
  expect(body).toMatchObject({
    boxes: [
      { box: 'box-1', survived: true, departures: [{ to: 'box-2' }, { to: 'box-2' }, { to: 'box-2' }] },
      { box: 'box-2', survived: true, departures: [] },
    ],
  });
  await editStatus(api.store, node, { name: 'box-2' }, (draft) => {
    draft.status = { ...draft.status, memory: 3 * gib, peer: { address: '10.0.0.2', role: 'agent' } };
  });
  expect((await api.call('GET', '/v1/nodes/losses')).body).toMatchObject({
    manual: expect.stringContaining('2 of 3 voters'),
    boxes: [{ survived: false, departures: [{ to: 'box-2' }, { stays: expect.stringContaining('needs') }, {}] }, {}],
  });
});
