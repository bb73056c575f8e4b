/**
 * Prometheus metrics under KubeVirt's names and labels (kubevirt pkg/monitoring/metrics) as far as the store knows;
 * `croft_…` only for what has no name there. Values are read when Prometheus asks.
 */
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { VmKey } from '../../appliance/ports.ts';
import { storagePool } from '../../appliance/resources/croft-kinds.ts';
import {
  virtualMachine,
  virtualMachineInstance,
  type VirtualMachine,
  type VirtualMachineInstance,
} from '../../appliance/resources/virtual-machine.ts';
import { allOf } from './all-of.ts';
import type { AppContext } from './context.ts';
import { createPoolMetrics } from './pool-metrics.ts';
import { memoryOf, printableStatusOf } from './projections/vm.ts';
import { createUsageMetrics } from './usage-metrics.ts';
import { viewVms } from './views.ts';

const vmLabels = ['name', 'namespace'] as const;

/** Upstream's grouping of printable states (kubevirt_vm_info's status_group). */
const groups: Record<string, string> = {
  Stopped: 'non_running',
  Terminating: 'non_running',
  Provisioning: 'starting',
  Starting: 'starting',
  Running: 'running',
  Paused: 'running',
  Stopping: 'running',
  Migrating: 'migrating',
};

export function createMetrics({ store, tasks, port, version }: AppContext) {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: 'croft_' });
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[]) =>
    new Gauge<L>({ name, help, labelNames: [...labelNames], registers: [registry] });

  const build = gauge('croft_build_info', 'Version of Croft; always 1.', ['version']);
  const runningTasks = gauge('croft_tasks', 'Tasks by state, among the latest 1,000.', ['state']);
  const poolMetrics = createPoolMetrics(registry);
  const vmInfo = gauge('kubevirt_vm_info', 'Information about VirtualMachines.', [
    ...vmLabels,
    'status',
    'status_group',
    'machine_type',
  ]);
  const vmCreated = gauge('kubevirt_vm_create_date_timestamp_seconds', 'Creation time of the VirtualMachine.', vmLabels);
  const vmRequests = gauge('kubevirt_vm_resource_requests', 'Resources requested by the VirtualMachine.', [
    ...vmLabels,
    'resource',
    'unit',
    'source',
  ]);
  const diskBytes = gauge('kubevirt_vm_disk_allocated_size_bytes', 'Size of the disks of a VirtualMachine.', [
    ...vmLabels,
    'device',
    'persistentvolumeclaim',
  ]);
  const vmiLabels = ['node', 'namespace', 'name'] as const;
  const vmiInfo = gauge('kubevirt_vmi_info', 'Information about VirtualMachineInstances.', [
    ...vmiLabels,
    'phase',
    'os',
    'guest_os_name',
    'guest_os_version_id',
    'guest_os_kernel_release',
    'evictable',
    'outdated',
  ]);
  const domainBytes = gauge('kubevirt_vmi_memory_domain_bytes', 'Memory given to the domain.', vmiLabels);
  const addresses = gauge('kubevirt_vmi_status_addresses', 'Addresses of VirtualMachineInstances.', [
    ...vmiLabels,
    'vnic_name',
    'interface_name',
    'address',
    'type',
  ]);
  const usage = createUsageMetrics(registry);
  const phases = gauge('kubevirt_vmi_phase_count', 'VirtualMachineInstances by phase and node.', ['node', 'phase']);

  function describeVm(vm: VirtualMachine): void {
    const { name, namespace = '', creationTimestamp } = vm.metadata;
    const status = printableStatusOf(vm);
    vmInfo.set(
      {
        name,
        namespace,
        status,
        status_group: groups[status] ?? 'error',
        machine_type: vm.status?.croft?.machine ?? vm.spec.template.spec.domain.machine?.type ?? '',
      },
      1,
    );
    if (creationTimestamp) vmCreated.set({ name, namespace }, Date.parse(creationTimestamp) / 1000);
  }

  function describeInstance(instance: VirtualMachineInstance): void {
    const { status, spec, metadata } = instance;
    const labels = { node: status?.nodeName ?? '', namespace: metadata.namespace ?? '', name: metadata.name };
    const phase = (status?.phase ?? 'Pending').toLowerCase();
    const os = status?.guestOSInfo;
    vmiInfo.set(
      {
        ...labels,
        phase,
        os: '',
        guest_os_name: os?.name ?? '',
        guest_os_version_id: os?.version ?? '',
        guest_os_kernel_release: os?.kernelRelease ?? '',
        evictable: 'false',
        outdated: 'false',
      },
      1,
    );
    phases.inc({ node: labels.node, phase });
    if (status?.phase === 'Running') domainBytes.set(labels, memoryOf(spec));
    for (const nic of status?.interfaces ?? []) {
      for (const address of nic.ipAddresses ?? []) {
        addresses.set(
          { ...labels, vnic_name: nic.name, interface_name: nic.interfaceName ?? '', address, type: 'InternalIP' },
          1,
        );
      }
    }
  }

  return {
    contentType: registry.contentType,
    async collect(): Promise<string> {
      const [vms, instances, pools, views, used] = await Promise.all([
        allOf(store, virtualMachine),
        allOf(store, virtualMachineInstance),
        allOf(store, storagePool),
        viewVms(store, {}),
        port.stats(),
      ]);
      // From here to the text nothing waits: two scrapes at once don't mix.
      for (const one of [vmInfo, vmCreated, vmRequests, diskBytes, vmiInfo, domainBytes, addresses, phases, runningTasks])
        one.reset();
      build.set({ version }, 1);
      vms.forEach(describeVm);
      instances.forEach(describeInstance);
      usage.set(used, (key) => nodeOf(instances, key));
      for (const { name, project, disks, cpus, memory } of views) {
        vmRequests.set({ name, namespace: project, resource: 'cpu', unit: 'cores', source: 'domain' }, cpus);
        vmRequests.set({ name, namespace: project, resource: 'memory', unit: 'bytes', source: 'domain' }, memory);
        for (const { device = '', volume = '', size } of disks) {
          if (size !== undefined) diskBytes.set({ name, namespace: project, device, persistentvolumeclaim: volume }, size);
        }
      }
      poolMetrics.set(pools);
      for (const { state } of tasks.list({ limit: 1000 })) runningTasks.inc({ state });
      return await registry.metrics();
    },
  };
}

const nodeOf = (instances: readonly VirtualMachineInstance[], key: VmKey): string =>
  instances.find(({ metadata }) => metadata.name === key.name && metadata.namespace === key.namespace)?.status?.nodeName ?? '';
