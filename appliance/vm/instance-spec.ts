/**
 * The spec of a VM's next instance: its template with instance type, preference and machine type applied. Pure.
 * Mirrors kubevirt pkg/instancetype/apply and pkg/instancetype/preference/apply.
 */
import { parseBytes } from '../resources/quantity.ts';
import type { CapturedTypes, InstancetypeSpec, PreferenceSpec } from '../resources/instancetype.ts';
import type { InstanceSpec, VirtualMachine } from '../resources/virtual-machine.ts';

export const templatePath = 'spec.template.spec';

/** Fields of the template that an instance type speaks for; as upstream lists them. Empty: no conflict. */
export function conflictsOf(type: InstancetypeSpec, spec: InstanceSpec): string[] {
  const { cpu, memory, resources } = spec.domain;
  const found: [unknown, string][] = [
    [resources?.requests?.cpu, 'resources.requests.cpu'],
    [resources?.limits?.cpu, 'resources.limits.cpu'],
    [cpu?.sockets, 'cpu.sockets'],
    [cpu?.cores, 'cpu.cores'],
    [cpu?.threads, 'cpu.threads'],
    [type.cpu.model && cpu?.model, 'cpu.model'],
    [memory?.guest, 'memory.guest'],
    [resources?.requests?.memory, 'resources.requests.memory'],
    [resources?.limits?.memory, 'resources.limits.memory'],
  ];
  return found.flatMap(([value, path]) => (value === undefined ? [] : [`${templatePath}.domain.${path}`]));
}

const defaultRatio = 2;

/** How a number of vCPUs is spread over sockets, cores and threads (upstream's default: sockets). */
export function topologyOf(vcpus: number, cpu: PreferenceSpec['cpu']): { sockets: number; cores: number; threads: number } {
  const one = { sockets: 1, cores: 1, threads: 1 };
  if (vcpus === 1) return one;
  const { across = 'SocketsCores', ratio = defaultRatio } = cpu?.spreadOptions ?? {};
  switch (cpu?.preferredCPUTopology) {
    case 'cores':
    case 'preferCores':
      return { ...one, cores: vcpus };
    case 'threads':
    case 'preferThreads':
      return { ...one, threads: vcpus };
    case 'spread':
    case 'preferSpread':
      if (across === 'CoresThreads') return { sockets: 1, cores: vcpus / ratio, threads: ratio };
      if (across === 'SocketsCoresThreads') return { sockets: vcpus / 2 / ratio, cores: ratio, threads: 2 };
      return { sockets: vcpus / ratio, cores: ratio, threads: 1 };
    default:
      return { ...one, sockets: vcpus };
  }
}

/** Why these two don't fit each other or the VM, in one sentence; undefined when they do. */
export function misfitOf(types: CapturedTypes, spec: InstanceSpec): string | undefined {
  const type = types.instancetype;
  const preference = types.preference?.spec;
  if (type) {
    const conflicts = conflictsOf(type.spec, spec);
    if (conflicts.length > 0) {
      return `The instance type ${type.name} says CPUs and memory; leave out ${conflicts.join(', ')}.`;
    }
    const { sockets, cores } = topologyOf(type.spec.cpu.guest, preference?.cpu);
    if (!Number.isInteger(sockets) || !Number.isInteger(cores)) {
      return `${type.spec.cpu.guest} vCPUs of the instance type ${type.name} cannot be spread as the preference ${types.preference?.name} wishes.`;
    }
  }
  const { cores = 1, sockets = 1, threads = 1 } = spec.domain.cpu ?? {};
  const vcpus = type?.spec.cpu.guest ?? cores * sockets * threads;
  const leastCpus = preference?.requirements?.cpu?.guest ?? 0;
  if (vcpus < leastCpus) return `The preference ${types.preference?.name} needs ${leastCpus} vCPUs; this VM has ${vcpus}.`;
  const least = preference?.requirements?.memory?.guest;
  const has = type?.spec.memory.guest ?? spec.domain.memory?.guest ?? spec.domain.resources?.requests?.memory;
  if (least !== undefined && has !== undefined && parseBytes(has, 'memory') < parseBytes(least, 'memory')) {
    return `The preference ${types.preference?.name} needs ${least} of memory; this VM has ${has}.`;
  }
  return undefined;
}

type Domain = InstanceSpec['domain'];

function applyType(domain: Domain, type: InstancetypeSpec, preference: PreferenceSpec | undefined): void {
  domain.cpu = {
    ...domain.cpu,
    ...(type.cpu.model === undefined ? {} : { model: type.cpu.model }),
    ...topologyOf(type.cpu.guest, preference?.cpu),
  };
  domain.memory = { ...domain.memory, guest: type.memory.guest };
}

function applyDevices(spec: InstanceSpec, wish: NonNullable<PreferenceSpec['devices']>): void {
  const { devices } = spec.domain;
  devices.rng ??= wish.preferredRng;
  devices.autoattachGraphicsDevice ??= wish.preferredAutoattachGraphicsDevice;
  devices.autoattachMemBalloon ??= wish.preferredAutoattachMemBalloon;
  devices.autoattachPodInterface ??= wish.preferredAutoattachPodInterface;
  devices.autoattachSerialConsole ??= wish.preferredAutoattachSerialConsole;
  for (const disk of devices.disks ?? []) {
    if (disk.cdrom) disk.cdrom.bus ??= wish.preferredCdromBus;
    else {
      disk.disk ??= {};
      disk.disk.bus ??= wish.preferredDiskBus;
      disk.cache ??= wish.preferredDiskCache;
    }
  }
  for (const nic of devices.interfaces ?? []) {
    nic.model ??= wish.preferredInterfaceModel;
    const onPod = spec.networks?.some((network) => network.name === nic.name && network.pod);
    if (onPod && !nic.bridge && !nic.masquerade && wish.preferredInterfaceMasquerade)
      nic.masquerade = wish.preferredInterfaceMasquerade;
  }
}

function applyFirmware(domain: Domain, wish: NonNullable<PreferenceSpec['firmware']>): void {
  const given = domain.firmware?.bootloader;
  if (given?.bios || given?.efi) {
    if (given.efi) given.efi.secureBoot ??= wish.preferredUseSecureBoot;
    return;
  }
  const efi = wish.preferredEfi ?? (wish.preferredUseEfi ? { secureBoot: wish.preferredUseSecureBoot } : undefined);
  const bootloader = wish.preferredUseBios ? { bios: {} } : efi && { efi };
  if (bootloader) domain.firmware = { ...domain.firmware, bootloader };
}

function applyPreference(spec: InstanceSpec, wish: PreferenceSpec): void {
  const { domain } = spec;
  if (wish.devices) applyDevices(spec, wish.devices);
  if (wish.features) {
    const { preferredAcpi, preferredApic, preferredHyperv, preferredKvm } = wish.features;
    domain.features = {
      ...domain.features,
      acpi: preferredAcpi ?? domain.features?.acpi,
      apic: domain.features?.apic ?? preferredApic,
      hyperv: preferredHyperv ? { ...preferredHyperv, ...domain.features?.hyperv } : domain.features?.hyperv,
      kvm: domain.features?.kvm ?? preferredKvm,
    };
  }
  if (wish.firmware) applyFirmware(domain, wish.firmware);
  if (wish.machine?.preferredMachineType) domain.machine = { type: domain.machine?.type ?? wish.machine.preferredMachineType };
  if (wish.clock) {
    const { utc, timezone, timer } = domain.clock ?? {};
    const offset = utc || timezone !== undefined ? { utc, timezone } : wish.clock.preferredClockOffset;
    domain.clock = { ...offset, timer: timer ?? wish.clock.preferredTimer };
  }
  spec.terminationGracePeriodSeconds ??= wish.preferredTerminationGracePeriodSeconds;
}

/** `q35` (and nothing) mean "the newest"; only a versioned type names hardware. */
export const isVersioned = (machine: string | undefined): machine is string => machine !== undefined && /\d+\.\d+$/.test(machine);

/**
 * `pinned`: the machine type of the VM's first start. It holds until the VM names another version itself, so that
 * the guest's hardware doesn't change with QEMU's upgrades.
 */
export function instanceSpecOf(vm: VirtualMachine, types: CapturedTypes | undefined, pinned: string | undefined): InstanceSpec {
  const spec = structuredClone(vm.spec.template.spec);
  if (types?.preference) applyPreference(spec, types.preference.spec);
  if (types?.instancetype) applyType(spec.domain, types.instancetype.spec, types.preference?.spec);
  const machine = isVersioned(spec.domain.machine?.type) ? spec.domain.machine.type : pinned;
  if (machine !== undefined) spec.domain.machine = { type: machine };
  return JSON.parse(JSON.stringify(spec)) as InstanceSpec; // Without the fields that are undefined.
}
