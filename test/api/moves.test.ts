/** Moving volumes, and VMs between boxes, by REST: what is stored, what is refused, and what cancelling does. The box is pretended. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { virtualMachineInstanceMigration } from '../../appliance/resources/migration.ts';
import { virtualMachine, virtualMachineInstance } from '../../appliance/resources/virtual-machine.ts';
import { node, storagePool } from '../../appliance/resources/croft-kinds.ts';
import { moveAnnotation, persistentVolumeClaim } from '../../appliance/resources/data-volume.ts';
import { volumeMove } from '../../appliance/resources/volume-move.ts';
import { editObject, editStatus } from '../../appliance/store/edit.ts';
import { startApi, type Harness } from './harness.ts';

let api: Harness;
const key = { name: 'data', namespace: 'default' };

beforeAll(async () => {
  api = await startApi();
  for (const name of ['fast', 'slow']) await api.store.create(storagePool, { metadata: { name }, spec: { driver: 'local' } });
  await api.store.create(persistentVolumeClaim, {
    metadata: key,
    spec: { storageClassName: 'croft-slow', resources: { requests: { storage: '1Gi' } } },
  });
});
afterAll(() => api.stop());

const move = (body: object, query = '') => api.call('POST', `/v1/volumes/data/move${query}`, { body });
const ended = async (id: string) => (await api.call('GET', `/v1/tasks/${id}`, { headers: { prefer: 'wait=5' } })).body;

describe('moving a volume', () => {
  it('is one object; the answer is its task, which follows it', async () => {
    expect(await move({ pool: 'fast' }, '?dryRun=true')).toMatchObject({ status: 200, body: { dryRun: true } });
    const answer = await move({ pool: 'fast', bandwidth: '10Mi' });
    expect(answer).toMatchObject({
      status: 202,
      body: { verb: 'volume.move', cancellable: true, target: { kind: 'Volume', name: 'data' } },
    });
    const [wish] = (await api.store.list(volumeMove)).items;
    expect(wish?.spec).toEqual({ claimName: 'data', pool: 'fast', bandwidth: 10 * 2 ** 20 });
    await editStatus(api.store, volumeMove, { name: wish?.metadata.name ?? '', namespace: 'default' }, (draft) => {
      draft.status = { phase: 'Succeeded', progress: 1, croft: { endedAt: new Date().toISOString() } };
    });
    expect(await ended(answer.body.id as string)).toMatchObject({ state: 'succeeded' });
  });

  it('is cancelled by deleting the wish, and over when that is gone', async () => {
    const { body } = await move({ pool: 'fast' });
    expect(await api.call('POST', `/v1/tasks/${body.id}/cancel`, { body: {} })).toMatchObject({ body: { id: body.id } });
    expect(await ended(body.id as string)).toMatchObject({ state: 'cancelled' });
    const left = (await api.store.list(volumeMove)).items.filter(({ status }) => status?.phase !== 'Succeeded');
    expect(left).toEqual([]);
  });

  it('is refused where it makes no sense', async () => {
    expect(await move({ pool: 'slow' })).toMatchObject({
      status: 409,
      body: { detail: 'pool: volume data is in pool slow already.' },
    });
    expect(await move({ pool: 'nope' })).toMatchObject({ status: 404 });
    await editObject(api.store, persistentVolumeClaim, key, (draft) => {
      draft.metadata.annotations = { [moveAnnotation]: 'x' };
    });
    expect(await move({ pool: 'fast' })).toMatchObject({ status: 409, body: { code: 'busy' } });
  });
});

describe('migrating a VM', () => {
  it('is refused in one sentence on a box alone, and of a VM that does not run', async () => {
    await api.store.create(virtualMachine, {
      metadata: { name: 'm', namespace: 'default' },
      spec: { runStrategy: 'Always', template: { spec: { domain: { devices: {} } } } },
    });
    const only = (await api.store.list(node)).items[0]?.metadata.name as string;
    const migrate = (body: object) => api.call('POST', '/v1/vms/m/migrate', { body });
    expect(await migrate({})).toMatchObject({ status: 409, body: { detail: 'VM m does not run: there is nothing to migrate.' } });
    await api.store.create(virtualMachineInstance, {
      metadata: { name: 'm', namespace: 'default' },
      spec: { domain: { devices: {} } },
    });
    await editStatus(api.store, virtualMachineInstance, { name: 'm', namespace: 'default' }, (draft) => {
      draft.status = { phase: 'Running', nodeName: only };
    });
    expect(await migrate({})).toMatchObject({
      status: 409,
      body: { detail: `${only} is the only box: a VM can migrate when another one has joined.` },
    });
    await api.store.create(node, { metadata: { name: 'box-2' }, spec: {} });
    expect(await migrate({ node: only })).toMatchObject({ status: 409 });
    expect(await migrate({ node: 'box-2' })).toMatchObject({ status: 202, body: { verb: 'vm.migrate', cancellable: true } });
    expect((await api.store.list(virtualMachineInstanceMigration)).items[0]?.spec).toEqual({
      vmiName: 'm',
      addedNodeSelector: { 'kubernetes.io/hostname': 'box-2' },
    });
  });
});
