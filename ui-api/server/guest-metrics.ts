/**
 * Figures of running guests under KubeVirt's names and labels (kubevirt docs/observability/metrics.md). They are read
 * from QEMU and the kernel when Prometheus asks, and never otherwise.
 */
import { Counter, Gauge, type Registry } from 'prom-client';
import type { VmStats } from '../../appliance/ports.ts';

const vmiLabels = ['node', 'namespace', 'name'] as const;
type Labels = Record<(typeof vmiLabels)[number], string>;

/** Bytes per KiB etc. are not needed: all values are bytes, counts and seconds, as upstream's. */
export function createGuestMetrics(registry: Registry) {
  const metrics: (Counter | Gauge)[] = [];
  const counter = <L extends string>(name: string, help: string, more: readonly L[]) => {
    const made = new Counter({ name: `kubevirt_vmi_${name}`, help, labelNames: [...vmiLabels, ...more], registers: [registry] });
    metrics.push(made as Counter);
    return made;
  };
  const cpu = counter('cpu_usage_seconds_total', 'Processor time of the guest and its QEMU.', []);
  const cpuUser = counter('cpu_user_usage_seconds_total', 'Processor time spent in user mode.', []);
  const cpuSystem = counter('cpu_system_usage_seconds_total', 'Processor time spent in the kernel.', []);
  const vcpu = counter('vcpu_seconds_total', 'Processor time of each vCPU.', ['id', 'state']);
  const resident = new Gauge({
    name: 'kubevirt_vmi_memory_resident_bytes',
    help: 'Memory of the box that the guest’s QEMU holds.',
    labelNames: [...vmiLabels],
    registers: [registry],
  });
  metrics.push(resident as Gauge);

  const storage = (name: string, help: string) => counter(`storage_${name}`, help, ['drive']);
  const disk = {
    readBytes: storage('read_traffic_bytes_total', 'Bytes read from a disk.'),
    writeBytes: storage('write_traffic_bytes_total', 'Bytes written to a disk.'),
    reads: storage('iops_read_total', 'Reads of a disk.'),
    writes: storage('iops_write_total', 'Writes of a disk.'),
    flushes: storage('flush_requests_total', 'Flushes of a disk.'),
    readSeconds: storage('read_times_seconds_total', 'Time spent on reads of a disk.'),
    writeSeconds: storage('write_times_seconds_total', 'Time spent on writes of a disk.'),
    flushSeconds: storage('flush_times_seconds_total', 'Time spent on flushes of a disk.'),
  };
  const network = (name: string, help: string) => counter(`network_${name}`, help, ['interface']);
  const nic = {
    rxBytes: network('receive_bytes_total', 'Bytes a NIC received.'),
    rxPackets: network('receive_packets_total', 'Packets a NIC received.'),
    rxErrors: network('receive_errors_total', 'Packets a NIC received with errors.'),
    rxDropped: network('receive_packets_dropped_total', 'Packets dropped on their way to a NIC.'),
    txBytes: network('transmit_bytes_total', 'Bytes a NIC sent.'),
    txPackets: network('transmit_packets_total', 'Packets a NIC sent.'),
    txErrors: network('transmit_errors_total', 'Packets a NIC sent with errors.'),
    txDropped: network('transmit_packets_dropped_total', 'Packets of a NIC that were dropped.'),
  };

  const describe = (stats: VmStats, labels: Labels): void => {
    cpu.inc(labels, stats.cpu.user + stats.cpu.system);
    cpuUser.inc(labels, stats.cpu.user);
    cpuSystem.inc(labels, stats.cpu.system);
    for (const { id, seconds } of stats.vcpus) vcpu.inc({ ...labels, id: String(id), state: 'running' }, seconds);
    resident.set(labels, stats.residentBytes);
    for (const { name: drive, ...figures } of stats.disks) {
      for (const [key, value] of Object.entries(figures)) disk[key as keyof typeof disk].inc({ ...labels, drive }, value);
    }
    for (const figures of stats.nics) {
      for (const [key, metric] of Object.entries(nic)) {
        const value = figures[key as keyof typeof nic];
        if (value !== undefined) metric.inc({ ...labels, interface: figures.name }, value);
      }
    }
  };

  return {
    /** Everything anew: the counters are QEMU's and the kernel's, not ours. */
    describeAll(all: readonly VmStats[], nodeOf: (name: string, namespace: string) => string): void {
      for (const metric of metrics) metric.reset();
      for (const stats of all) {
        const { name, namespace } = stats;
        describe(stats, { node: nodeOf(name, namespace), namespace, name });
      }
    },
  };
}
