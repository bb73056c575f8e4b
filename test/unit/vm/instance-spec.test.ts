import { describe, expect, it } from 'vitest';
import { firstInstancetypes, firstPreferences } from '../../../appliance/resources/instance-types.ts';
import type { CapturedTypes, PreferenceSpec } from '../../../appliance/resources/instancetype.ts';
import type { VirtualMachine } from '../../../appliance/resources/virtual-machine.ts';
import { conflictsOf, instanceSpecOf, misfitOf, topologyOf } from '../../../appliance/vm/instance-spec.ts';
import { planVm, wishedSpec } from '../../../appliance/vm/plan-vm.ts';

type Template = VirtualMachine['spec']['template']['spec'];

const vmOf = (template: Template, status: VirtualMachine['status'] = {}): VirtualMachine => ({
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachine',
  metadata: { name: 'a', namespace: 'default', uid: 'u', generation: 1 },
  spec: { runStrategy: 'Always', instancetype: { name: 'medium' }, template: { spec: template } },
  status,
});

const medium: CapturedTypes = {
  instancetype: {
    name: 'medium',
    kind: 'VirtualMachineClusterInstancetype',
    spec: { cpu: { guest: 4 }, memory: { guest: '4Gi' } },
  },
};
const withPreference = (spec: PreferenceSpec): CapturedTypes => ({
  ...medium,
  preference: { name: 'p', kind: 'VirtualMachineClusterPreference', spec },
});

describe('instance types', () => {
  it('are CPUs and memory', () => {
    const { domain } = instanceSpecOf(vmOf({ domain: { devices: {} } }), medium, undefined);
    expect(domain.cpu).toEqual({ sockets: 4, cores: 1, threads: 1 });
    expect(domain.memory).toEqual({ guest: '4Gi' });
  });

  it('conflict with a VM that says its own, by the paths upstream names', () => {
    const spec: Template = { domain: { cpu: { cores: 2 }, memory: { guest: '1Gi' }, devices: {} } };
    expect(conflictsOf(medium.instancetype?.spec as never, spec)).toEqual([
      'spec.template.spec.domain.cpu.cores',
      'spec.template.spec.domain.memory.guest',
    ]);
    expect(misfitOf(medium, spec)).toMatch(/medium says CPUs and memory; leave out spec\.template\.spec\.domain\.cpu\.cores/);
  });

  it.each([
    [{ preferredCPUTopology: 'cores' }, { sockets: 1, cores: 4, threads: 1 }],
    [{ preferredCPUTopology: 'threads' }, { sockets: 1, cores: 1, threads: 4 }],
    [{ preferredCPUTopology: 'spread' }, { sockets: 2, cores: 2, threads: 1 }],
    [
      { preferredCPUTopology: 'spread', spreadOptions: { across: 'CoresThreads' } },
      { sockets: 1, cores: 2, threads: 2 },
    ],
    [undefined, { sockets: 4, cores: 1, threads: 1 }],
  ] as const)('%j spreads 4 vCPUs as %j', (cpu, topology) => {
    expect(topologyOf(4, cpu)).toEqual(topology);
  });

  it('that cannot be spread or that a preference finds too small are refused with numbers', () => {
    const odd = { ...medium, instancetype: { ...medium.instancetype!, spec: { cpu: { guest: 3 }, memory: { guest: '1Gi' } } } };
    const spread = { ...withPreference({ cpu: { preferredCPUTopology: 'spread' } }), instancetype: odd.instancetype };
    expect(misfitOf(spread, { domain: { devices: {} } })).toMatch(/3 vCPUs .* cannot be spread/);
    const greedy = withPreference({ requirements: { cpu: { guest: 8 } } });
    expect(misfitOf(greedy, { domain: { devices: {} } })).toBe('The preference p needs 8 vCPUs; this VM has 4.');
    const hungry = withPreference({ requirements: { memory: { guest: '8Gi' } } });
    expect(misfitOf(hungry, { domain: { devices: {} } })).toBe('The preference p needs 8Gi of memory; this VM has 4Gi.');
  });
});

describe('preferences', () => {
  const windows = firstPreferences.find(({ name }) => name === 'windows')?.spec as PreferenceSpec;

  it('fill in what a VM leaves open and nothing else', () => {
    const template: Template = {
      domain: {
        devices: {
          disks: [
            { name: 'root', disk: {} },
            { name: 'data', disk: { bus: 'virtio' } },
            { name: 'cd', cdrom: {} },
          ],
          interfaces: [
            { name: 'n0', masquerade: {} },
            { name: 'n1', bridge: {}, model: 'virtio' },
          ],
        },
      },
    };
    const { domain } = instanceSpecOf(vmOf(template), withPreference(windows), undefined);
    expect(domain.devices.disks).toMatchObject([
      { disk: { bus: 'sata' } },
      { disk: { bus: 'virtio' } },
      { cdrom: { bus: 'sata' } },
    ]);
    expect(domain.devices.interfaces?.map(({ model }) => model)).toEqual(['e1000e', 'virtio']);
    expect(domain.firmware?.bootloader).toEqual({ efi: {} });
    expect(domain.features?.hyperv?.spinlocks).toEqual({ spinlocks: 8191 });
    const bios = { domain: { ...template.domain, firmware: { bootloader: { bios: {} } } } };
    expect(instanceSpecOf(vmOf(bios), withPreference(windows), undefined).domain.firmware?.bootloader).toEqual({ bios: {} });
  });

  it('and instance types of a new box are what their schemas allow', () => {
    expect(firstInstancetypes.map(({ name }) => name)).toEqual(['tiny', 'small', 'medium', 'large']);
    expect(firstPreferences.map(({ name }) => name)).toEqual(['linux', 'windows', 'windows.virtio']);
  });
});

describe('the machine type', () => {
  const template: Template = { domain: { machine: { type: 'q35' }, devices: {} } };

  it('of the first start holds until the VM names another version', () => {
    expect(instanceSpecOf(vmOf(template), undefined, 'pc-q35-7.2').domain.machine).toEqual({ type: 'pc-q35-7.2' });
    const newer = { domain: { machine: { type: 'pc-q35-9.2' }, devices: {} } };
    expect(instanceSpecOf(vmOf(newer), undefined, 'pc-q35-7.2').domain.machine).toEqual({ type: 'pc-q35-9.2' });
  });

  it('is taken from the running instance, kept over restarts, and asks for no restart by itself', () => {
    const instance = {
      apiVersion: 'kubevirt.io/v1',
      kind: 'VirtualMachineInstance',
      metadata: { name: 'a', namespace: 'default' },
      spec: {
        domain: { machine: { type: 'q35' }, cpu: { sockets: 4, cores: 1, threads: 1 }, memory: { guest: '4Gi' }, devices: {} },
      },
      status: { phase: 'Running', machine: { type: 'pc-q35-7.2' } },
    } as const;
    const types = { types: medium };
    const now = new Date();
    const running = planVm({
      vm: vmOf(template),
      instance: structuredClone(instance) as never,
      dataVolumes: new Map(),
      types,
      now,
    });
    expect(running.status.croft).toEqual({ machine: 'pc-q35-7.2', types: medium });
    expect(running.status.conditions?.map(({ type }) => type)).not.toContain('RestartRequired');
    const again = planVm({ vm: vmOf(template, running.status), instance: undefined, dataVolumes: new Map(), types, now });
    expect(again.steps).toEqual([{ do: 'create-instance', epoch: 1 }]);
    expect(wishedSpec(vmOf(template), again.status).domain.machine).toEqual({ type: 'pc-q35-7.2' });
    expect(again.status.croft).toMatchObject({ epoch: 1, machine: 'pc-q35-7.2' });
  });

  it('a type that is not there keeps a VM from starting and says so', () => {
    const { steps, status } = planVm({
      vm: vmOf(template),
      instance: undefined,
      dataVolumes: new Map(),
      types: { failure: 'There is no VirtualMachineClusterInstancetype medium.' },
      now: new Date(),
    });
    expect(steps).toEqual([]);
    expect(status.conditions?.find(({ type }) => type === 'Failure')).toMatchObject({
      status: 'True',
      message: 'There is no VirtualMachineClusterInstancetype medium.',
    });
  });
});
