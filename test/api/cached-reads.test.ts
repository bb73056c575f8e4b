/** Reads come out of memory; nothing that was changed, revoked or closed may be seen in it a moment longer. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { secret, systemNamespace } from '../../appliance/resources/core-kinds.ts';
import { image, token, user } from '../../appliance/resources/croft-kinds.ts';
import { persistentVolumeClaim } from '../../appliance/resources/data-volume.ts';
import { virtualMachine, virtualMachineInstance } from '../../appliance/resources/virtual-machine.ts';
import { editObject, editStatus } from '../../appliance/store/edit.ts';
import { viewVm } from '../../ui-api/server/views.ts';
import { issueTokenSecret } from '../../ui-api/auth/tokens.ts';
import { startApi, type Harness } from './harness.ts';

let api: Harness;
beforeAll(async () => {
  api = await startApi();
  await api.store.create(image, { metadata: { name: 'tiny' }, spec: { source: { build: 'tiny' } } });
});
afterAll(() => api.stop());

/** Asks twice, so that the second answer is one that was verified before. */
async function statusOf(bearer: string): Promise<number[]> {
  const headers = { authorization: `Bearer ${bearer}` };
  const ask = async () => (await api.call('GET', '/v1/vms', { as: 'none', headers })).status;
  return [await ask(), await ask()];
}

async function newToken(name: string, spec: { user?: string; expiresAt?: string } = {}): Promise<string> {
  await api.store.create(token, { metadata: { name }, spec: { role: 'operator', ...spec } });
  return await issueTokenSecret(api.store, name);
}

describe('a token that was verified', () => {
  it('is refused by the next request after it was deleted', async () => {
    const bearer = await newToken('gone');
    expect(await statusOf(bearer)).toEqual([200, 200]);
    expect((await api.call('DELETE', '/v1/tokens/gone', { any: true })).status).toBe(204);
    expect(await statusOf(bearer)).toEqual([401, 401]);
  });

  it('is refused once its secret is another, and one made anew under its name is not it', async () => {
    const bearer = await newToken('renewed');
    expect(await statusOf(bearer)).toEqual([200, 200]);
    const next = await issueTokenSecret(api.store, 'renewed');
    expect(await statusOf(bearer)).toEqual([401, 401]);
    expect(await statusOf(next)).toEqual([200, 200]);
    await api.store.delete(secret, 'token-renewed', systemNamespace);
    expect(await statusOf(next)).toEqual([401, 401]);
  });

  it('loses rights with its user, and all of them when the user is closed', async () => {
    await api.store.create(user, { metadata: { name: 'cleo' }, spec: { role: 'admin' } });
    const bearer = await newToken('cleos', { user: 'cleo' });
    expect(await statusOf(bearer)).toEqual([200, 200]);
    const stop = () =>
      api.call('POST', '/v1/vms/none/stop', { as: 'none', headers: { authorization: `Bearer ${bearer}` }, any: true });
    expect((await stop()).status).toBe(404);
    await editObject(api.store, user, { name: 'cleo' }, (draft) => void (draft.spec.role = 'viewer'));
    expect((await stop()).status).toBe(403);
    await editObject(api.store, user, { name: 'cleo' }, (draft) => void (draft.spec.disabled = true));
    expect(await statusOf(bearer)).toEqual([401, 401]);
  });

  it('ends with its time, to the second', async () => {
    const ends = Date.now() + 1_500;
    const bearer = await newToken('short', { expiresAt: new Date(ends).toISOString() });
    expect(await statusOf(bearer)).toEqual([200, 200]);
    await new Promise((resolve) => setTimeout(resolve, ends - Date.now() + 50));
    expect(await statusOf(bearer)).toEqual([401, 401]);
  });
});

describe('lists', () => {
  it('of every kind come out of memory, and are as current as the store', async () => {
    await api.call('POST', '/v1/networks', { body: { name: 'listed', vlan: 20, labels: { tier: 'db' } } });
    const onDisk = vi.spyOn(api.store, 'list');
    const paths = ['vms', 'volumes', 'images', 'networks', 'uplinks', 'pools', 'disks', 'users', 'tokens', 'nodes'];
    for (const path of [...paths, 'instancetypes', 'preferences']) {
      expect((await api.call('GET', `/v1/${path}`)).status, path).toBe(200);
    }
    expect(onDisk.mock.calls.map(([kind]) => kind.kind)).toEqual([]);
    onDisk.mockRestore();
    const labelled = async () =>
      (await api.call<{ items: { name: string; vlan?: number }[] }>('GET', '/v1/networks?labelSelector=tier%3Ddb')).body.items;
    expect(await labelled()).toEqual([expect.objectContaining({ name: 'listed', vlan: 20 })]);
    await api.call('PATCH', '/v1/networks/listed', { body: { vlan: 21 }, any: true });
    expect(await labelled()).toEqual([expect.objectContaining({ vlan: 21 })]);
    await api.call('DELETE', '/v1/networks/listed', { any: true });
    expect(await labelled()).toEqual([]);
    expect((await api.call('GET', '/v1/networks?labelSelector=%3D%3D')).status).toBe(400);
  });
});

describe('a VM out of memory', () => {
  const create = async (name: string) =>
    await api.call('POST', '/v1/vms', { body: { name, image: 'tiny', cpus: 1, memory: '64Mi', start: false } });
  const read = (name: string) => api.call<{ id: string; state: string; cpus: number }>('GET', `/v1/vms/${name}`);

  it('is what the store has, after each change of the VM, its instance and its claims', async () => {
    await create('seen');
    const key = { name: 'seen', namespace: 'default' };
    const same = async () => {
      const vm = await api.store.get(virtualMachine, 'seen', 'default');
      if (!vm) throw new Error('the VM is gone');
      const answer = await read('seen');
      expect(answer.body).toEqual(JSON.parse(JSON.stringify(await viewVm(api.store, vm))));
      expect((await api.call<{ items: unknown[] }>('GET', '/v1/vms?q=seen')).body.items).toEqual([answer.body]);
      expect((await api.call('GET', `/v1/vms/${answer.body.id}`)).body).toEqual(answer.body);
      return answer;
    };
    const before = await same();
    expect((await same()).headers.get('etag')).toBe(before.headers.get('etag'));

    expect((await api.call('PATCH', '/v1/vms/seen', { body: { cpus: 2 }, any: true })).status).toBe(200);
    const changed = await same();
    expect(changed.body.cpus).toBe(2);
    expect(changed.headers.get('etag')).not.toBe(before.headers.get('etag'));

    await editStatus(api.store, virtualMachine, key, (draft) => void (draft.status = { printableStatus: 'Running' }));
    const running = await same();
    expect(running.body.state).toBe('running');
    expect(running.headers.get('etag')).toBe(changed.headers.get('etag'));

    const vm = await api.store.get(virtualMachine, 'seen', 'default');
    if (!vm) throw new Error('the VM is gone');
    await api.store.create(virtualMachineInstance, { metadata: key, spec: vm.spec.template.spec });
    await same();
    await editStatus(api.store, virtualMachineInstance, key, (draft) => void (draft.status = { nodeName: 'n1' }));
    expect((await same()).body).toMatchObject({ node: 'n1' });
    await api.store.delete(virtualMachineInstance, 'seen', 'default');
    expect((await same()).body).not.toHaveProperty('node');

    const claim = vm.spec.template.spec.volumes?.map((volume) => volume.dataVolume?.name).find((name) => name !== undefined);
    if (claim === undefined) throw new Error('the VM has no disk');
    await api.store.create(persistentVolumeClaim, {
      metadata: { name: claim, namespace: 'default' },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '3Gi' } } },
    });
    expect((await same()).body).toMatchObject({ disks: [{ size: 3 * 2 ** 30 }] });
  });

  it('is gone as soon as it is deleted, and new when it is made again', async () => {
    const first = await create('again');
    expect((await read('again')).status).toBe(200);
    expect((await api.call('DELETE', '/v1/vms/again', { any: true })).status).toBe(204);
    expect((await read('again')).status).toBe(404);
    await create('again');
    expect((await read('again')).body.id).not.toBe(first.body.id);
  });

  it('stays in the order of names while VMs come and go', async () => {
    for (const name of ['m2', 'm1', 'm3']) await create(name);
    const names = async () =>
      (await api.call<{ items: { name: string }[] }>('GET', '/v1/vms?q=m')).body.items
        .map(({ name }) => name)
        .filter((n) => /^m\d$/.test(n));
    expect(await names()).toEqual(['m1', 'm2', 'm3']);
    await api.call('DELETE', '/v1/vms/m2', { any: true });
    await create('m0');
    expect(await names()).toEqual(['m0', 'm1', 'm3']);
  });

  it('cannot be changed by who reads it', async () => {
    const shared = api.store.shared?.get(virtualMachine, 'seen', 'default');
    expect(Object.isFrozen(shared?.spec.template.spec)).toBe(true);
    const own = await api.store.get(virtualMachine, 'seen', 'default');
    expect(Object.isFrozen(own?.spec.template.spec)).toBe(false);
  });
});
