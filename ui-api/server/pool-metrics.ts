/** Prometheus metrics of pools and of the disks of replicated ones, as their status has them. */
import { Gauge, type Registry } from 'prom-client';
import type { StoragePool } from '../../appliance/resources/croft-kinds.ts';

export function createPoolMetrics(registry: Registry) {
  const made: Gauge[] = [];
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[]): Gauge<L> => {
    const metric = new Gauge<L>({ name, help, labelNames: [...labelNames], registers: [registry] });
    made.push(metric);
    return metric;
  };
  const bytes = gauge('croft_pool_bytes', 'Bytes of each pool: capacity, used, provisioned.', ['pool', 'kind']);
  const health = gauge('croft_pool_health', 'Redundancy of a pool: 1 for the state it is in.', ['pool', 'state']);
  const survives = gauge('croft_pool_survives_disks', 'Disks that may fail now without loss.', ['pool']);
  const missing = gauge('croft_pool_missing_copies_ratio', 'Part of the data that lacks a copy, 0 to 1.', ['pool']);
  const pace = gauge('croft_pool_recovery_bytes_per_second', 'Bytes of missing copies made a second.', ['pool']);
  const diskLabels = ['pool', 'disk', 'path'] as const;
  const state = gauge('croft_disk_state', 'Disk of a replicated pool: 1 for the state it is in.', [...diskLabels, 'state']);
  const size = gauge('croft_disk_size_bytes', 'Size of a disk of a replicated pool.', diskLabels);
  const passed = gauge('croft_disk_smart_passed', 'Its own verdict (SMART): 1 good, 0 failing.', diskLabels);
  const temperature = gauge('croft_disk_temperature_celsius', 'Its temperature (SMART).', diskLabels);
  const hours = gauge('croft_disk_power_on_hours', 'Hours it has run (SMART).', diskLabels);
  const wear = gauge('croft_disk_wear_ratio', 'Part of a flash disk’s life that is used up (SMART), 0 to 1.', diskLabels);
  const bad = gauge('croft_disk_bad_sectors', 'Sectors moved away, waiting to be, or unreadable (SMART).', diskLabels);

  function describe({ metadata: { name: pool }, status }: StoragePool): void {
    for (const kind of ['capacity', 'used', 'provisioned'] as const) {
      if (status?.[kind] !== undefined) bytes.set({ pool, kind }, status[kind]);
    }
    if (!status?.health) return;
    health.set({ pool, state: status.health.state }, 1);
    survives.set({ pool }, status.health.survives);
    missing.set({ pool }, status.health.recovery?.missing ?? 0);
    pace.set({ pool }, status.health.recovery?.bytesPerSecond ?? 0);
    for (const disk of status.health.disks) {
      const labels = { pool, disk: disk.name, path: disk.path };
      state.set({ ...labels, state: disk.state }, 1);
      if (disk.size !== undefined) size.set(labels, disk.size);
      const { smart = {} } = disk;
      if (smart.passed !== undefined) passed.set(labels, smart.passed ? 1 : 0);
      if (smart.temperature !== undefined) temperature.set(labels, smart.temperature);
      if (smart.hours !== undefined) hours.set(labels, smart.hours);
      if (smart.wear !== undefined) wear.set(labels, smart.wear / 100);
      if (smart.badSectors !== undefined) bad.set(labels, smart.badSectors);
    }
  }

  return {
    /** Replaces all values; nothing waits in between, so two scrapes at once don't mix. */
    set(pools: readonly StoragePool[]): void {
      for (const metric of made) metric.reset();
      pools.forEach(describe);
    },
  };
}
