/** CD drives, instance types, preferences, and what is read of running guests. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { image } from '../../appliance/resources/croft-kinds.ts';
import { virtualMachine, virtualMachineInstance } from '../../appliance/resources/virtual-machine.ts';
import { editStatus } from '../../appliance/store/edit.ts';
import { startApi, type Harness } from './harness.ts';

let api: Harness;
const create = (body: object) => api.call('POST', '/v1/vms', { body });

beforeAll(async () => {
  api = await startApi();
  await api.store.create(image, { metadata: { name: 'tiny' }, spec: { source: { build: 'tiny' } } });
  await create({ name: 't1', image: 'tiny', size: 'tiny' });
  const key = { name: 't1', namespace: 'default' };
  await api.store.create(virtualMachineInstance, { metadata: key, spec: { domain: { devices: {} } } });
  await editStatus(api.store, virtualMachineInstance, key, (draft) => {
    draft.status = { phase: 'Running', nodeName: 'n1' };
  });
});
afterAll(() => api.stop());

describe('direct kernel boot', () => {
  const kernelBoot = { image: 'tiny', kernel: 'boot/vmlinuz', initrd: 'boot/initrd', args: 'console=ttyS0' };

  it("is KubeVirt's firmware.kernelBoot, needs no disk, and is shown and changed flat", async () => {
    const made = await create({ name: 'k1', kernelBoot, firmware: 'efi', cpus: 1, memory: '64Mi' });
    expect(made).toMatchObject({ status: 201, body: { kernelBoot, firmware: 'efi', disks: [] } });
    const firmware = async () => (await api.store.get(virtualMachine, 'k1', 'default'))?.spec.template.spec.domain.firmware;
    expect(await firmware()).toEqual({
      bootloader: { efi: { secureBoot: false } },
      kernelBoot: {
        kernelArgs: 'console=ttyS0',
        container: { image: 'tiny', kernelPath: 'boot/vmlinuz', initrdPath: 'boot/initrd' },
      },
    });
    const patch = (change: object) => api.call('PATCH', '/v1/vms/k1', { body: change, any: true });
    const bare = { image: 'tiny', kernel: 'vmlinuz' };
    expect((await patch({ kernelBoot: bare })).body.kernelBoot).toEqual(bare);
    expect(await api.call('DELETE', '/v1/images/tiny', { any: true })).toMatchObject({ status: 409, body: { code: 'in-use' } });
    expect((await patch({ kernelBoot: null })).body).not.toHaveProperty('kernelBoot');
    expect(await firmware()).toEqual({ bootloader: { efi: { secureBoot: false } } });
  });

  it('may start paused', async () => {
    expect((await create({ name: 'k3', kernelBoot, cpus: 1, memory: '64Mi', paused: true })).status).toBe(201);
    expect((await api.store.get(virtualMachine, 'k3', 'default'))?.spec.template.spec.startStrategy).toBe('Paused');
  });

  it('names an image that is there, and a kernel', async () => {
    const refused = await create({ name: 'k2', kernelBoot: { ...kernelBoot, image: 'none' }, cpus: 1, memory: '64Mi' });
    expect(refused).toMatchObject({ status: 400, body: { errors: [{ pointer: '/kernelBoot/image' }] } });
    const { kernel: _left, ...without } = kernelBoot;
    expect((await create({ name: 'k2', kernelBoot: without, cpus: 1, memory: '64Mi' })).status).toBe(400);
    expect((await create({ name: 'k2', cpus: 1, memory: '64Mi' })).status).toBe(400);
  });
});

describe('figures and lists of guests', () => {
  it("stand in /metrics under upstream's names, read at the scrape", async () => {
    const disk = {
      readBytes: 5,
      writeBytes: 6,
      reads: 1,
      writes: 2,
      flushes: 0,
      readSeconds: 0,
      writeSeconds: 0,
      flushSeconds: 0,
    };
    const nic = {
      receivedBytes: 7,
      receivedPackets: 1,
      receivedDrops: 0,
      transmittedBytes: 8,
      transmittedPackets: 1,
      transmittedDrops: 0,
    };
    api.calls.stats = [
      {
        vm: { name: 't1', namespace: 'default' },
        id: 'id-1',
        stats: {
          cpuSeconds: 1.5,
          cpuSystemSeconds: 0.5,
          vcpuSeconds: [1],
          residentBytes: 99,
          memory: { total: 100, free: 20, available: 60 },
          disks: { root: disk },
          nics: { n0: nic },
        },
      },
    ];
    const read = async () => String((await api.call('GET', '/metrics')).body);
    await read();
    const text = await read();
    const of = 'node="n1",namespace="default",name="t1"';
    expect(text).toContain(`kubevirt_vmi_cpu_usage_seconds_total{${of}} 1.5`);
    expect(text).toContain(`kubevirt_vmi_cpu_user_usage_seconds_total{${of}} 1`);
    expect(text).toContain(`kubevirt_vmi_vcpu_seconds_total{${of},id="0",state="running"} 1`);
    expect(text).toContain(`kubevirt_vmi_memory_resident_bytes{${of}} 99`);
    expect(text).toContain(`kubevirt_vmi_memory_usable_bytes{${of}} 60`);
    expect(text).toContain(`kubevirt_vmi_storage_read_traffic_bytes_total{${of},drive="root"} 5`);
    expect(text).toContain(`kubevirt_vmi_network_receive_bytes_total{${of},interface="n0"} 7`);
    api.calls.stats = [];
    expect(await read()).not.toContain('kubevirt_vmi_memory_resident_bytes{');
  });

  it('users and file systems come from the agent', async () => {
    expect((await api.call('GET', '/v1/vms/t1/guest')).body).toEqual({
      kind: 'guest',
      users: [{ name: 'root', since: '2023-11-14T22:13:20.000Z' }],
      filesystems: [{ name: 'vda1', mountpoint: '/', type: 'ext4', used: 10, size: 100 }],
    });
  });
});

describe('CD drives', () => {
  it('hold the ISO to install from, and take another medium or none', async () => {
    const made = await create({ name: 'cdvm', iso: 'tiny', cpus: 1, memory: '256Mi', disks: [{ size: '1Gi' }], start: false });
    expect(made).toMatchObject({
      status: 201,
      body: {
        disks: [
          { name: 'root', type: 'disk' },
          { name: 'cdrom', type: 'cdrom', volume: 'cdvm-cdrom-tiny', device: 'sr0', bus: 'sata' },
        ],
      },
    });
    const stored = await api.store.get(virtualMachine, 'cdvm', 'default');
    expect(stored?.spec.template.spec.domain.devices.disks?.map(({ name, bootOrder }) => [name, bootOrder])).toContainEqual([
      'cdrom',
      2,
    ]);
    const ejected = await api.call('PUT', '/v1/vms/cdvm/cdroms/cdrom', { body: {} });
    expect(ejected).toMatchObject({ status: 200, body: { disks: [{ name: 'root' }, { name: 'cdrom', type: 'cdrom' }] } });
    expect((await api.store.get(virtualMachine, 'cdvm', 'default'))?.spec.dataVolumeTemplates).toHaveLength(1);
    expect((await api.call('PUT', '/v1/vms/cdvm/cdroms/cdrom', { body: { image: 'tiny' } })).status).toBe(200);
    expect((await api.call('PUT', '/v1/vms/cdvm/cdroms/root', { body: {} })).status).toBe(404);
  });

  it('of a Windows VM are two: the installer and the drivers; its clock shows a zone', async () => {
    const wish = {
      name: 'win',
      iso: 'tiny',
      size: 'small',
      preference: 'windows',
      timezone: 'Europe/Berlin',
      disks: [{ size: '1Gi' }],
      start: false,
    };
    expect(await create(wish)).toMatchObject({
      status: 201,
      body: { disks: [{ bus: 'sata' }, { name: 'cdrom' }, { name: 'drivers', type: 'cdrom' }] },
    });
    const stored = await api.store.get(virtualMachine, 'win', 'default');
    expect(stored?.spec.template.spec.domain.clock).toEqual({ timezone: 'Europe/Berlin' });
  });
});

describe('instance types and preferences', () => {
  it('are listed, made, used by a VM, and leave it as it is when they go', async () => {
    const listed = await api.call<{ items: { name: string; cpus: number }[] }>('GET', '/v1/instancetypes');
    expect(listed.body.items.map(({ name }) => name)).toEqual(['large', 'medium', 'small', 'tiny']);
    const made = await api.call('POST', '/v1/instancetypes', {
      body: { name: 'wide', cpus: 6, memory: '2Gi', project: 'default' },
    });
    expect(made).toMatchObject({ status: 201, body: { kind: 'instancetype', project: 'default', cpus: 6, memory: 2 * 2 ** 30 } });
    const vm = await create({ name: 'sized', image: 'tiny', size: 'wide', preference: 'windows', start: false });
    expect(vm).toMatchObject({
      status: 201,
      body: { size: 'wide', preference: 'windows', cpus: 6, firmware: 'efi', nics: [{ model: 'e1000e' }] },
    });
    expect((await api.store.get(virtualMachine, 'sized', 'default'))?.spec).toMatchObject({
      instancetype: { name: 'wide', kind: 'VirtualMachineInstancetype' },
      preference: { name: 'windows', kind: 'VirtualMachineClusterPreference' },
    });
    expect((await api.call('GET', '/v1/preferences/windows')).body).toMatchObject({ os: 'windows' });
    expect((await api.call('DELETE', '/v1/instancetypes/wide', { any: true })).status).toBe(204);
  });

  it('refuses a manifest whose template says what its instance type says', async () => {
    const manifest = {
      apiVersion: 'kubevirt.io/v1',
      kind: 'VirtualMachine',
      metadata: { name: 'both' },
      spec: { instancetype: { name: 'small' }, template: { spec: { domain: { cpu: { cores: 2 }, devices: {} } } } },
    };
    const answer = await api.call<{ detail: string }>('POST', '/v1/apply', { body: manifest });
    expect(answer.status).toBe(400);
    expect(answer.body.detail).toContain('leave out spec.template.spec.domain.cpu.cores');
  });
});
