/** Snapshots, restore, clone and growing a disk by REST: what is stored, and what is refused. The box's part is pretended. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { image } from '../../appliance/resources/croft-kinds.ts';
import { dataVolume } from '../../appliance/resources/data-volume.ts';
import {
  startAnnotation,
  virtualMachineClone,
  virtualMachineRestore,
  virtualMachineSnapshot,
} from '../../appliance/resources/snapshot.ts';
import { editStatus } from '../../appliance/store/edit.ts';
import { startApi, type Harness } from './harness.ts';

let api: Harness;
const path = '/v1/vms/a/snapshots';

beforeAll(async () => {
  api = await startApi();
  await api.store.create(image, { metadata: { name: 'tiny' }, spec: { source: { build: 'tiny' } } });
  await api.call('POST', '/v1/vms', { body: { name: 'a', image: 'tiny', cpus: 1, memory: '128Mi' } });
});
afterAll(() => api.stop());

const succeed = () =>
  editStatus(api.store, virtualMachineSnapshot, { name: 'a.s1', namespace: 'default' }, (draft) => {
    draft.status = { phase: 'Succeeded', readyToUse: true, indications: ['Online', 'GuestAgent'] };
  });

describe('snapshots', () => {
  it('are made under the VM’s name, with a task that follows them', async () => {
    const made = await api.call('POST', path, { body: { name: 's1' } });
    expect(made).toMatchObject({ status: 201, body: { kind: 'snapshot', name: 's1', vm: 'a', state: 'creating' } });
    expect(made.headers.get('location')).toBe('/v1/vms/a/snapshots/s1?project=default');
    expect(await api.call('POST', path, { body: { name: 's1' } })).toMatchObject({
      status: 409,
      body: { code: 'already-exists' },
    });
    expect(api.box.tasks.list({ state: 'running' })).toMatchObject([{ verb: 'vm.snapshot', target: { name: 'a' } }]);
    expect(await api.call('POST', `${path}/s1/restore`, { body: {} })).toMatchObject({
      status: 409,
      body: { code: 'invalid-state' },
    });
    await succeed();
    expect(await api.call('GET', `${path}/s1`)).toMatchObject({ body: { state: 'ready', consistency: 'guest' } });
    expect(await api.call('GET', path)).toMatchObject({ body: { items: [{ name: 's1' }] } });
    const [task] = api.box.tasks.list();
    const ended = await api.call('GET', `/v1/tasks/${task?.id}`, { headers: { prefer: 'wait=5' } });
    expect(ended.body).toMatchObject({ state: 'succeeded', progress: 1 });
  });

  it('are restored by one object; the answer is its task', async () => {
    const planned = await api.call('POST', `${path}/s1/restore?dryRun=true`, { body: {} });
    expect(planned).toMatchObject({ status: 200, body: { dryRun: true } });
    const answer = await api.call('POST', `${path}/s1/restore`, { body: { start: false } });
    expect(answer).toMatchObject({ status: 202, body: { kind: 'task', verb: 'vm.restore', state: 'running' } });
    expect(answer.headers.get('location')).toBe(`/v1/tasks/${answer.body.id}`);
    const [restore] = (await api.store.list(virtualMachineRestore)).items;
    expect(restore?.spec).toEqual({
      target: { apiGroup: 'kubevirt.io', kind: 'VirtualMachine', name: 'a' },
      virtualMachineSnapshotName: 'a.s1',
    });
    expect(restore?.metadata.annotations?.[startAnnotation]).toBe('false');
  });

  it('become VMs', async () => {
    expect(await api.call('POST', '/v1/vms/a/clone', { body: { name: 'a' } })).toMatchObject({ status: 409 });
    expect(await api.call('POST', '/v1/vms/a/clone', { body: { name: 'b', snapshot: 'nope' } })).toMatchObject({ status: 404 });
    expect(await api.call('POST', '/v1/vms/a/clone', { body: { name: 'b', snapshot: 's1' } })).toMatchObject({ status: 202 });
    const [clone] = (await api.store.list(virtualMachineClone)).items;
    expect(clone?.spec).toMatchObject({ source: { kind: 'VirtualMachineSnapshot', name: 'a.s1' }, target: { name: 'b' } });
  });

  it('go', async () => {
    expect(await api.call('DELETE', `${path}/s1`)).toMatchObject({ status: 428 });
    expect(await api.call('DELETE', `${path}/s1`, { any: true })).toMatchObject({ status: 204 });
    expect(await api.call('GET', `${path}/s1`)).toMatchObject({ status: 404, body: { code: 'not-found' } });
  });
});

describe('a disk', () => {
  it('grows, and never shrinks', async () => {
    await api.store.create(dataVolume, {
      metadata: { name: 'a-root', namespace: 'default' },
      spec: { source: { blank: {} }, storage: { resources: { requests: { storage: '1Gi' } } } },
    });
    expect(await api.call('PUT', '/v1/vms/a/disks/root', { body: { size: '2Gi' } })).toMatchObject({ status: 200 });
    const grown = await api.store.get(dataVolume, 'a-root', 'default');
    expect(grown?.spec.storage?.resources?.requests?.storage).toBe('2Gi');
    expect(await api.call('PUT', '/v1/vms/a/disks/root', { body: { size: '1Gi' } })).toMatchObject({ status: 400 });
    expect(await api.call('PUT', '/v1/vms/a/disks/none', { body: { size: '4Gi' } })).toMatchObject({ status: 404 });
  });
});
