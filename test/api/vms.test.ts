import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { image, network } from '../../appliance/resources/croft-kinds.ts';
import { dataVolume } from '../../appliance/resources/data-volume.ts';
import { virtualMachine, virtualMachineInstance } from '../../appliance/resources/virtual-machine.ts';
import { editStatus } from '../../appliance/store/edit.ts';
import { startApi, type Harness } from './harness.ts';

let api: Harness;
beforeAll(async () => {
  api = await startApi();
  await api.store.create(image, { metadata: { name: 'tiny' }, spec: { source: { build: 'tiny' } } });
  for (const vlan of [20, 30]) await api.store.create(network, { metadata: { name: `vlan${vlan}` }, spec: { vlan } });
});
afterAll(() => api.stop());

type Flat = {
  id: string;
  state: string;
  disks: { name: string; volume: string; size?: number }[];
  nics: { name: string; network: string }[];
} & Record<string, unknown>;
type Problem = { code: string; detail: string; errors: { pointer: string }[]; fix: string[]; traceId: string; status: number };

const create = (body: object, options = {}) => api.call<Flat>('POST', '/v1/vms', { body, ...options });

/** As the reconciler would: the VM runs. */
async function pretendRunning(name: string, address?: string) {
  const key = { name, namespace: 'default' };
  const vm = await api.store.get(virtualMachine, name, 'default');
  await api.store.create(virtualMachineInstance, { metadata: key, spec: structuredClone(vm?.spec.template.spec) as never });
  await editStatus(api.store, virtualMachineInstance, key, (draft) => {
    draft.status = {
      phase: 'Running',
      nodeName: 'n1',
      interfaces: address ? [{ name: 'nic0', ipAddress: address, ipAddresses: [address] }] : [],
    };
  });
  await editStatus(api.store, virtualMachine, key, (draft) => {
    draft.status = { ...draft.status, printableStatus: 'Running' };
  });
}

describe('creating', () => {
  it('needs a name, an image and a size; writes one VirtualMachine', async () => {
    const { status, body, headers } = await create({ name: 't1', image: 'tiny', size: 'tiny' });
    expect(status).toBe(201);
    expect(headers.get('location')).toBe('/v1/vms/t1?project=default');
    expect(headers.get('etag')).toMatch(/^"[\w-]{22}"$/);
    expect(body).toMatchObject({
      kind: 'vm',
      name: 't1',
      project: 'default',
      state: 'provisioning',
      cpus: 1,
      memory: 268_435_456,
      size: 'tiny',
      image: 'tiny',
      firmware: 'bios',
      runStrategy: 'Always',
      disks: [{ name: 'root', volume: 't1-root', pool: 'local', bus: 'virtio', device: 'vda' }],
      nics: [{ name: 'nic0', network: 'default', model: 'virtio', addresses: [] }],
    });
    const vm = await api.store.get(virtualMachine, 't1', 'default');
    expect(vm?.spec.dataVolumeTemplates?.[0]?.spec.sourceRef).toEqual({
      kind: 'DataSource',
      namespace: 'croft-images',
      name: 'tiny',
    });
    expect(vm?.spec.template.spec.volumes?.at(-1)).toEqual({
      name: 'cloudinit',
      cloudInitNoCloud: { userData: '#cloud-config\nhostname: t1\n' },
    });
    expect((await api.store.list(dataVolume)).items).toEqual([]);
  });

  it('is read by name and by id', async () => {
    const byName = await api.call<Flat>('GET', '/v1/vms/t1');
    const byId = await api.call<Flat>('GET', `/v1/vms/${byName.body.id}`);
    expect(byId.body).toEqual(byName.body);
    expect(byId.headers.get('etag')).toBe(byName.headers.get('etag'));
  });

  it('takes disks, NICs, firmware, keys and start: false', async () => {
    const { status, body } = await create({
      name: 't2',
      image: 'tiny',
      cpus: 2,
      memory: '512Mi',
      disks: [{ name: 'root', size: '2Gi' }, { size: '1Gi' }],
      nics: [{ network: 'vlan20' }, { network: 'vlan30', model: 'e1000e' }],
      firmware: 'efi',
      sshKeys: ['ssh-ed25519 AAAA me'],
      start: false,
      labels: { tier: 'db' },
    });
    expect(status).toBe(201);
    expect(body).toMatchObject({
      state: 'stopped',
      runStrategy: 'Halted',
      firmware: 'efi',
      memory: 536_870_912,
      labels: { tier: 'db' },
      disks: [
        { name: 'root', size: 2 * 2 ** 30, device: 'vda' },
        { name: 'disk1', size: 2 ** 30, device: 'vdb' },
      ],
      nics: [{ network: 'vlan20' }, { network: 'vlan30', model: 'e1000e' }],
    });
    const vm = await api.store.get(virtualMachine, 't2', 'default');
    expect(vm?.spec.template.spec.volumes?.at(-1)?.cloudInitNoCloud?.userData).toContain(
      'ssh_authorized_keys:\n  - ssh-ed25519 AAAA me',
    );
  });

  it.each([
    [{ name: 'Bad_Name', image: 'tiny', size: 'tiny' }, '/name', /"Bad_Name" must be lowercase/],
    [{ image: 'tiny', size: 'tiny' }, '/name', /name: is missing/],
    [{ name: 'a', image: 'nope', size: 'tiny' }, '/image', /there is no image "nope"; there are tiny/],
    [{ name: 'a', image: 'tiny', size: 'giant' }, '/size', /"giant" is no instance type; there are large, medium, small, tiny/],
    [{ name: 'a', image: 'tiny' }, '/cpus', /cpus: is missing/],
    [{ name: 'a', image: 'tiny', cpus: 1, memory: 'lots' }, '/memory', /"lots" is not a size/],
    [{ name: 'a', image: 'tiny', cpus: 0, memory: '1Gi' }, '/cpus', /cpus: 0/],
    [{ name: 'a', image: 'tiny', size: 'tiny', colour: 'red' }, '/colour', /colour: is not a known field \(known here: name/],
    [
      { name: 'a', image: 'tiny', size: 'tiny', network: 'vlan99' },
      '/network',
      /there is no network "vlan99"; there are vlan20, vlan30/,
    ],
    [{ name: 'a', size: 'tiny' }, '/image', /image: is missing/],
    [{ name: '0193e7a2-1111-7222-8333-444455556666', image: 'tiny', size: 'tiny' }, '/name', /looks like an id/],
    [{ name: 'a', image: 'tiny', size: 'tiny', start: false, runStrategy: 'Always' }, '/start', /give one of the two/],
  ])('refuses %j naming field, value and what would be right', async (body, pointer, text) => {
    const answer = await api.call<Problem>('POST', '/v1/vms', { body });
    expect(answer.status).toBe(400);
    expect(answer.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
    expect(answer.body).toMatchObject({ code: 'invalid-input', status: 400, instance: '/v1/vms' });
    expect(answer.body.errors.map((error) => error.pointer)).toContain(pointer);
    expect(answer.body.detail).toMatch(text);
    expect(answer.body.traceId).toMatch(/^[0-9a-f]{16}$/);
    expect(answer.body.fix.length).toBeGreaterThan(0);
  });

  it('refuses a second of the same name', async () => {
    expect(await create({ name: 't1', image: 'tiny', size: 'tiny' })).toMatchObject({
      status: 409,
      body: { code: 'already-exists' },
    });
  });
});

describe('listing', () => {
  it('pages, sorts and filters', async () => {
    const page = await api.call<{ items: Flat[]; nextPageToken: string }>('GET', '/v1/vms?limit=1&sort=-memory');
    expect(page.body.items.map((vm) => vm.name)).toEqual(['t2']);
    const next = await api.call<{ items: Flat[] }>('GET', `/v1/vms?limit=1&sort=-memory&pageToken=${page.body.nextPageToken}`);
    expect(next.body).toEqual({ items: [expect.objectContaining({ name: 't1' })] });
    for (const [query, names] of [
      ['state=stopped', ['t2']],
      ['q=tier', ['t2']],
      ['labelSelector=tier%3Ddb', ['t2']],
      ['project=other', []],
    ] as const) {
      const { body } = await api.call<{ items: Flat[] }>('GET', `/v1/vms?${query}`);
      expect(
        body.items.map((vm) => vm.name),
        query,
      ).toEqual(names);
    }
  });
});

describe('changing', () => {
  it('wants If-Match, refuses an old one, takes the present one and *', async () => {
    const { headers } = await api.call('GET', '/v1/vms/t1');
    const etag = headers.get('etag') as string;
    const patch = { body: { cpus: 2 } };
    expect(await api.call('PATCH', '/v1/vms/t1', patch)).toMatchObject({ status: 428, body: { code: 'precondition-required' } });
    expect(await api.call('PATCH', '/v1/vms/t1', { ...patch, headers: { 'if-match': '"old"' } })).toMatchObject({ status: 412 });
    const changed = await api.call('PATCH', '/v1/vms/t1', { ...patch, headers: { 'if-match': etag } });
    expect(changed).toMatchObject({ status: 200, body: { cpus: 2, memory: 268_435_456 } });
    expect(changed.body.size).toBeUndefined();
    expect(changed.headers.get('etag')).not.toBe(etag);
    expect(
      (await api.call('PATCH', '/v1/vms/t1', { body: { size: 'small', labels: { a: 'b' } }, any: true })).body,
    ).toMatchObject({ size: 'small', labels: { a: 'b' } });
    expect((await api.call('PATCH', '/v1/vms/t1', { body: { labels: { a: null } }, any: true })).body.labels).toEqual({});
  });

  it('keeps its ETag while only the status changes', async () => {
    const before = await api.call('GET', '/v1/vms/t1');
    await editStatus(api.store, virtualMachine, { name: 't1', namespace: 'default' }, (draft) => {
      draft.status = { ...draft.status, ready: false };
    });
    expect((await api.call('GET', '/v1/vms/t1')).headers.get('etag')).toBe(before.headers.get('etag'));
  });

  it('moves a NIC to another network, and only that', async () => {
    const before = await api.store.get(virtualMachine, 't2', 'default');
    const { status, body } = await api.call<Flat>('PUT', '/v1/vms/t2/nics/nic0', { body: { network: 'vlan30' } });
    expect(status).toBe(200);
    expect(body.nics.map((nic) => nic.network)).toEqual(['vlan30', 'vlan30']);
    const after = await api.store.get(virtualMachine, 't2', 'default');
    expect(after?.spec.template.spec.domain).toEqual(before?.spec.template.spec.domain);
    expect((await api.call('PUT', '/v1/vms/t2/nics/nope', { body: { network: 'vlan30' } })).status).toBe(404);
    expect((await api.call('PUT', '/v1/vms/t2/nics/nic0', { body: { network: 'nope' } })).status).toBe(400);
  });

  it('attaches a new disk and an existing volume, and detaches them', async () => {
    const added = await api.call<Flat>('POST', '/v1/vms/t2/disks', { body: { size: '1Gi', name: 'data' } });
    expect(added).toMatchObject({ status: 201 });
    expect(added.body.disks.map((disk) => disk.name)).toEqual(['root', 'disk1', 'data']);
    await api.call('POST', '/v1/volumes', { body: { name: 'spare', size: '1Gi' } });
    expect((await api.call<Flat>('POST', '/v1/vms/t2/disks', { body: { volume: 'spare' } })).body.disks.at(-1)).toMatchObject({
      volume: 'spare',
    });
    expect(await api.call('POST', '/v1/vms/t1/disks', { body: { volume: 'spare' } })).toMatchObject({
      status: 409,
      body: { code: 'in-use' },
    });
    expect(await api.call('DELETE', '/v1/volumes/spare', { any: true })).toMatchObject({ status: 409, body: { code: 'in-use' } });
    const names = (await api.call<Flat>('GET', '/v1/vms/t2')).body.disks.map((disk) => disk.name);
    for (const name of names.slice(2)) expect((await api.call('DELETE', `/v1/vms/t2/disks/${name}`)).status).toBe(200);
    expect((await api.call('DELETE', '/v1/vms/t2/disks/nope')).status).toBe(404);
    expect((await api.call('DELETE', '/v1/volumes/spare', { any: true })).status).toBe(204);
  });
});

describe('actions', () => {
  it('start and stop change the run strategy; a wrong state names the right ones', async () => {
    expect(await api.call('POST', '/v1/vms/t2/start')).toMatchObject({ status: 202, body: { runStrategy: 'Always' } });
    const refused = await api.call<Problem>('POST', '/v1/vms/t1/pause');
    expect(refused).toMatchObject({ status: 409, body: { code: 'invalid-state' } });
    expect(refused.body.detail).toBe('VM t1 is provisioning; pause is possible when it is running.');
    await pretendRunning('t1', '10.43.0.7');
    expect(await api.call('POST', '/v1/vms/t1/stop', { body: { force: true } })).toMatchObject({
      status: 202,
      body: { runStrategy: 'Halted' },
    });
    const instance = await api.store.get(virtualMachineInstance, 't1', 'default');
    expect(instance?.spec.terminationGracePeriodSeconds).toBe(0);
  });

  it('pause and reset go to the box, restart stands in the status', async () => {
    expect((await api.call('POST', '/v1/vms/t1/pause')).status).toBe(202);
    expect((await api.call('POST', '/v1/vms/t1/reset', { body: {} })).status).toBe(202);
    expect(api.calls.acted.map(({ action }) => action)).toEqual(['pause', 'reset']);
    expect((await api.call('POST', '/v1/vms/t1/restart')).status).toBe(202);
    const vm = await api.store.get(virtualMachine, 't1', 'default');
    expect(vm?.status?.stateChangeRequests?.map(({ action }) => action)).toEqual(['Stop', 'Start']);
  });

  it('explains', async () => {
    expect((await api.call('GET', '/v1/vms/t1/explain')).body).toMatchObject({ sentence: 'It was never started.' });
  });
});

describe('waiting', () => {
  it('answers at once when reached, when it is reached, and when time is up', async () => {
    expect((await api.call('GET', '/v1/vms/t1?waitFor=running')).headers.get('croft-wait')).toBe('reached');
    const waiting = api.call('GET', '/v1/vms/t2?waitFor=ip&timeoutSeconds=20');
    await pretendRunning('t2', '10.43.0.8');
    expect(await waiting).toMatchObject({ status: 200, body: { addresses: ['10.43.0.8'] } });
    const late = await api.call('GET', '/v1/vms/t2?waitFor=state=stopped&timeoutSeconds=0');
    expect(late.status).toBe(200);
    expect(late.headers.get('croft-wait')).toBe('expired');
  });

  it('ends when the VM goes', async () => {
    await create({ name: 'gone', image: 'tiny', size: 'tiny' });
    const waiting = api.call('GET', '/v1/vms/gone?waitFor=deleted&timeoutSeconds=20');
    expect((await api.call('DELETE', '/v1/vms/gone', { any: true })).status).toBe(204);
    expect((await waiting).status).toBe(404);
  });
});

describe('dry run', () => {
  it('tells the plan and changes nothing', async () => {
    const before = await api.store.get(virtualMachine, 't1', 'default');
    const planned = await api.call<{ plan: { verb: string; changes: { path: string; to: unknown }[] }[] }>(
      'PATCH',
      '/v1/vms/t1?dryRun=true',
      { body: { cpus: 4 }, any: true },
    );
    expect(planned.status).toBe(200);
    expect(planned.body).toMatchObject({
      dryRun: true,
      result: { cpus: 4 },
      plan: [{ verb: 'update', kind: 'VirtualMachine', name: 't1' }],
    });
    expect(planned.body.plan[0]?.changes).toContainEqual({ path: 'spec.template.spec.domain.cpu.cores', to: 4 });
    expect(await api.store.get(virtualMachine, 't1', 'default')).toEqual(before);
    expect((await create({ name: 'dry', image: 'tiny', size: 'tiny' }, {})).status).toBe(201);
    expect((await api.call('DELETE', '/v1/vms/dry?dryRun=true', { any: true })).status).toBe(200);
    expect((await api.call('GET', '/v1/vms/dry')).status).toBe(200);
    expect((await api.call('POST', '/v1/vms?dryRun=true', { body: { name: 'dry2', image: 'tiny', size: 'tiny' } })).status).toBe(
      200,
    );
    expect((await api.call('GET', '/v1/vms/dry2')).status).toBe(404);
  });
});

describe('idempotency', () => {
  it('repeats the answer, refuses another body, makes nothing twice', async () => {
    const headers = { 'idempotency-key': 'k1' };
    const first = await create({ name: 'once', image: 'tiny', size: 'tiny' }, { headers });
    const second = await create({ name: 'once', image: 'tiny', size: 'tiny' }, { headers });
    expect([first.status, second.status]).toEqual([201, 201]);
    expect(second.headers.get('idempotency-replayed')).toBe('true');
    expect(second.headers.get('etag')).toBe(first.headers.get('etag'));
    expect(second.body).toEqual(first.body);
    expect(await create({ name: 'other', image: 'tiny', size: 'tiny' }, { headers })).toMatchObject({
      status: 422,
      body: { code: 'idempotency-mismatch' },
    });
  });

  it('forgets what failed', async () => {
    const headers = { 'idempotency-key': 'k2' };
    expect((await create({ name: 'later', image: 'soon', size: 'tiny' }, { headers })).status).toBe(400);
    await api.store.create(image, { metadata: { name: 'soon' }, spec: { source: { build: 'tiny' } } });
    expect((await create({ name: 'later', image: 'soon', size: 'tiny' }, { headers })).status).toBe(201);
  });
});
