/** What running guests have used, under KubeVirt's names (kubevirt pkg/monitoring/metrics/virt-handler/domainstats). */
import { Counter, Gauge, type Registry } from 'prom-client';
import type { VmKey, VmUsage } from '../../appliance/ports.ts';

const base = ['node', 'namespace', 'name'] as const;
type Labels = Record<string, string>;

export function createUsageMetrics(registry: Registry) {
  const made: { reset(): void }[] = [];
  const keep = <M extends Counter | Gauge>(metric: M): M => {
    made.push(metric);
    return metric;
  };
  const options = (name: string, help: string, extra: string[]) => ({
    name: `kubevirt_vmi_${name}`,
    help,
    labelNames: [...base, ...extra],
    registers: [registry],
  });
  /** A counter of the guest's: set by reset and one addition, because it counts somewhere else. */
  const counter = (name: string, help: string, ...extra: string[]) => {
    const metric = keep(new Counter(options(name, help, extra)));
    return (labels: Labels, value: number): void => void metric.inc(labels, value);
  };
  const gauge = (name: string, help: string, ...extra: string[]) => {
    const metric = keep(new Gauge(options(name, help, extra)));
    return (labels: Labels, value: number): void => void metric.set(labels, value);
  };

  const cpu = counter('cpu_usage_seconds_total', 'CPU time of the domain, emulation included.');
  const cpuUser = counter('cpu_user_usage_seconds_total', 'CPU time of the domain in user mode.');
  const cpuSystem = counter('cpu_system_usage_seconds_total', 'CPU time of the domain in the kernel.');
  const vcpu = counter('vcpu_seconds_total', 'Time that each vCPU ran.', 'id', 'state');
  const resident = gauge('memory_resident_bytes', 'Resident memory of the domain’s process.');
  const available = gauge('memory_available_bytes', 'Memory that the guest sees.');
  const usable = gauge('memory_usable_bytes', 'Memory that the guest could use without swapping.');
  const unused = gauge('memory_unused_bytes', 'Memory that the guest leaves wholly unused.');
  const cached = gauge('memory_cached_bytes', 'Memory that the guest could take back from its caches.');
  const disk = (name: string, help: string) => counter(`storage_${name}`, help, 'drive');
  const reads = disk('iops_read_total', 'Reads.');
  const writes = disk('iops_write_total', 'Writes.');
  const readBytes = disk('read_traffic_bytes_total', 'Bytes read.');
  const writeBytes = disk('write_traffic_bytes_total', 'Bytes written.');
  const readTimes = disk('read_times_seconds_total', 'Time spent in reads.');
  const writeTimes = disk('write_times_seconds_total', 'Time spent in writes.');
  const flushes = disk('flush_requests_total', 'Flushes.');
  const flushTimes = disk('flush_times_seconds_total', 'Time spent in flushes.');
  const nic = (name: string, help: string) => counter(`network_${name}`, help, 'interface');
  const receivedBytes = nic('receive_bytes_total', 'Bytes received by the guest.');
  const transmittedBytes = nic('transmit_bytes_total', 'Bytes transmitted by the guest.');
  const receivedPackets = nic('receive_packets_total', 'Packets received by the guest.');
  const transmittedPackets = nic('transmit_packets_total', 'Packets transmitted by the guest.');
  const receivedDrops = nic('receive_packets_dropped_total', 'Packets to the guest that were dropped.');
  const transmittedDrops = nic('transmit_packets_dropped_total', 'Packets from the guest that were dropped.');

  function describe(labels: Labels, { stats }: VmUsage): void {
    cpu(labels, stats.cpuSeconds);
    cpuUser(labels, stats.cpuSeconds - stats.cpuSystemSeconds);
    cpuSystem(labels, stats.cpuSystemSeconds);
    for (const [id, seconds] of stats.vcpuSeconds.entries()) vcpu({ ...labels, id: String(id), state: 'running' }, seconds);
    resident(labels, stats.residentBytes);
    if (stats.memory) {
      available(labels, stats.memory.total);
      usable(labels, stats.memory.available);
      unused(labels, stats.memory.free);
      if (stats.memory.cached !== undefined) cached(labels, stats.memory.cached);
    }
    for (const [drive, counters] of Object.entries(stats.disks)) {
      const of = { ...labels, drive };
      reads(of, counters.reads);
      writes(of, counters.writes);
      readBytes(of, counters.readBytes);
      writeBytes(of, counters.writeBytes);
      readTimes(of, counters.readSeconds);
      writeTimes(of, counters.writeSeconds);
      flushes(of, counters.flushes);
      flushTimes(of, counters.flushSeconds);
    }
    for (const [name, counters] of Object.entries(stats.nics)) {
      const of = { ...labels, interface: name };
      receivedBytes(of, counters.receivedBytes);
      transmittedBytes(of, counters.transmittedBytes);
      receivedPackets(of, counters.receivedPackets);
      transmittedPackets(of, counters.transmittedPackets);
      receivedDrops(of, counters.receivedDrops);
      transmittedDrops(of, counters.transmittedDrops);
    }
  }

  return {
    /** Replaces all values; nothing waits in between, so two scrapes at once don't mix. */
    set(usage: readonly VmUsage[], nodeOf: (vm: VmKey) => string): void {
      for (const metric of made) metric.reset();
      for (const one of usage) describe({ node: nodeOf(one.vm), namespace: one.vm.namespace, name: one.vm.name }, one);
    },
  };
}
