/** Sizes people choose by name; `/v1/instancetypes`. Fixed for now, later VirtualMachineClusterInstancetypes. */
export type InstanceTypeEntry = { name: string; cpus: number /** bytes */; memory: number };

const MiB = 2 ** 20;

export const instanceTypes: readonly InstanceTypeEntry[] = [
  { name: 'tiny', cpus: 1, memory: 256 * MiB },
  { name: 'small', cpus: 1, memory: 1024 * MiB },
  { name: 'medium', cpus: 2, memory: 4096 * MiB },
  { name: 'large', cpus: 4, memory: 8192 * MiB },
];

export const instanceTypeNamed = (name: string): InstanceTypeEntry | undefined =>
  instanceTypes.find((type) => type.name === name);

/** Annotation on a VM made from an instance type: its name, shown as `size`. */
export const sizeAnnotation = 'croft.io/size';
