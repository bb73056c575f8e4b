/**
 * Instance types and preferences (instancetype.kubevirt.io/v1beta1, kubevirt.io/api/instancetype/v1beta1/types.go).
 * An instance type *is* CPUs and memory: a VM that names one and says its own is refused. A preference only fills in
 * what a VM leaves open. Both exist in a project and, as `Cluster…`, for all projects.
 */
import { Type, type Static } from 'typebox';
import { ClockOffset, Efi, Features, Timers } from './guest-features.ts';
import { defineKind, type Of } from './kind.ts';

const strict = { additionalProperties: false } as const;
const apiVersion = 'instancetype.kubevirt.io/v1beta1';
const Quantity = Type.Union([Type.Integer({ minimum: 0 }), Type.String({ pattern: '^[0-9.]+([kMGTP]i?|Ki|m)?$' })]);
const Bus = Type.Enum(['virtio', 'sata', 'scsi']);

export const InstancetypeSpec = Type.Object(
  {
    cpu: Type.Object({ guest: Type.Integer({ minimum: 1, maximum: 255 }), model: Type.Optional(Type.String()) }, strict),
    memory: Type.Object({ guest: Quantity }, strict),
    annotations: Type.Optional(Type.Record(Type.String(), Type.String())),
  },
  strict,
);
export type InstancetypeSpec = Static<typeof InstancetypeSpec>;

export const PreferenceSpec = Type.Object(
  {
    clock: Type.Optional(
      Type.Object({ preferredClockOffset: Type.Optional(ClockOffset), preferredTimer: Type.Optional(Timers) }, strict),
    ),
    cpu: Type.Optional(
      Type.Object(
        {
          preferredCPUTopology: Type.Optional(
            Type.Enum([
              'sockets',
              'cores',
              'threads',
              'spread',
              'any',
              'preferSockets',
              'preferCores',
              'preferThreads',
              'preferSpread',
              'preferAny',
            ]),
          ),
          spreadOptions: Type.Optional(
            Type.Object(
              {
                across: Type.Optional(Type.Enum(['SocketsCores', 'CoresThreads', 'SocketsCoresThreads'])),
                ratio: Type.Optional(Type.Integer({ minimum: 1, maximum: 255 })),
              },
              strict,
            ),
          ),
        },
        strict,
      ),
    ),
    devices: Type.Optional(
      Type.Object(
        {
          preferredAutoattachGraphicsDevice: Type.Optional(Type.Boolean()),
          preferredAutoattachMemBalloon: Type.Optional(Type.Boolean()),
          preferredAutoattachPodInterface: Type.Optional(Type.Boolean()),
          preferredAutoattachSerialConsole: Type.Optional(Type.Boolean()),
          preferredDiskBus: Type.Optional(Bus),
          preferredCdromBus: Type.Optional(Bus),
          preferredDiskCache: Type.Optional(Type.Enum(['none', 'writeback', 'writethrough'])),
          preferredInterfaceModel: Type.Optional(Type.Enum(['virtio', 'e1000e'])),
          preferredRng: Type.Optional(Type.Object({}, strict)),
          preferredInterfaceMasquerade: Type.Optional(Type.Object({}, strict)),
        },
        strict,
      ),
    ),
    features: Type.Optional(
      Type.Object(
        {
          preferredAcpi: Type.Optional(Features.properties.acpi),
          preferredApic: Type.Optional(Features.properties.apic),
          preferredHyperv: Type.Optional(Features.properties.hyperv),
          preferredKvm: Type.Optional(Features.properties.kvm),
        },
        strict,
      ),
    ),
    firmware: Type.Optional(
      Type.Object(
        {
          preferredUseBios: Type.Optional(Type.Boolean()),
          preferredUseEfi: Type.Optional(Type.Boolean()),
          preferredUseSecureBoot: Type.Optional(Type.Boolean()),
          preferredEfi: Type.Optional(Efi),
        },
        strict,
      ),
    ),
    machine: Type.Optional(Type.Object({ preferredMachineType: Type.Optional(Type.String()) }, strict)),
    volumes: Type.Optional(Type.Object({ preferredStorageClassName: Type.Optional(Type.String()) }, strict)),
    preferredTerminationGracePeriodSeconds: Type.Optional(Type.Integer({ minimum: 0 })),
    requirements: Type.Optional(
      Type.Object(
        {
          cpu: Type.Optional(Type.Object({ guest: Type.Integer({ minimum: 1 }) }, strict)),
          memory: Type.Optional(Type.Object({ guest: Quantity }, strict)),
          architecture: Type.Optional(Type.Literal('amd64')),
        },
        strict,
      ),
    ),
    annotations: Type.Optional(Type.Record(Type.String(), Type.String())),
    preferredArchitecture: Type.Optional(Type.Literal('amd64')),
  },
  strict,
);
export type PreferenceSpec = Static<typeof PreferenceSpec>;

const columns = [
  { header: 'CPUS', path: '.spec.cpu.guest' },
  { header: 'MEMORY', path: '.spec.memory.guest' },
];

export const clusterInstancetype = defineKind({
  apiVersion,
  kind: 'VirtualMachineClusterInstancetype',
  plural: 'virtualmachineclusterinstancetypes',
  shortNames: ['vmclusterinstancetype', 'vmclusterinstancetypes', 'vmcf', 'vmcfs'],
  namespaced: false,
  spec: InstancetypeSpec,
  status: Type.Object({}),
  columns,
});
export type ClusterInstancetype = Of<typeof clusterInstancetype>;

export const instancetype = defineKind({
  apiVersion,
  kind: 'VirtualMachineInstancetype',
  plural: 'virtualmachineinstancetypes',
  shortNames: ['vminstancetype', 'vminstancetypes', 'vmf', 'vmfs'],
  namespaced: true,
  spec: InstancetypeSpec,
  status: Type.Object({}),
  columns,
});
export type Instancetype = Of<typeof instancetype>;

export const clusterPreference = defineKind({
  apiVersion,
  kind: 'VirtualMachineClusterPreference',
  plural: 'virtualmachineclusterpreferences',
  shortNames: ['vmcp', 'vmcps'],
  namespaced: false,
  spec: PreferenceSpec,
  status: Type.Object({}),
});
export type ClusterPreference = Of<typeof clusterPreference>;

export const preference = defineKind({
  apiVersion,
  kind: 'VirtualMachinePreference',
  plural: 'virtualmachinepreferences',
  shortNames: ['vmpref', 'vmprefs', 'vmp', 'vmps'],
  namespaced: true,
  spec: PreferenceSpec,
  status: Type.Object({}),
});
export type Preference = Of<typeof preference>;

/** Upstream's InstancetypeMatcher and PreferenceMatcher. Without `kind` the cluster-wide one is meant. */
export const InstancetypeMatcher = Type.Object(
  {
    name: Type.String({ minLength: 1 }),
    kind: Type.Optional(Type.Enum(['VirtualMachineClusterInstancetype', 'VirtualMachineInstancetype'])),
  },
  strict,
);
export type InstancetypeMatcher = Static<typeof InstancetypeMatcher>;

export const PreferenceMatcher = Type.Object(
  {
    name: Type.String({ minLength: 1 }),
    kind: Type.Optional(Type.Enum(['VirtualMachineClusterPreference', 'VirtualMachinePreference'])),
  },
  strict,
);
export type PreferenceMatcher = Static<typeof PreferenceMatcher>;

/**
 * What a VM was made of: captured when it is first seen with its matcher, so that a changed or deleted instance type
 * changes no existing VM (upstream keeps a ControllerRevision for that).
 */
export const CapturedTypes = Type.Object({
  instancetype: Type.Optional(Type.Object({ name: Type.String(), kind: Type.String(), spec: InstancetypeSpec })),
  preference: Type.Optional(Type.Object({ name: Type.String(), kind: Type.String(), spec: PreferenceSpec })),
});
export type CapturedTypes = Static<typeof CapturedTypes>;
