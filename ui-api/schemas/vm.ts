/** The flat virtual machine of `/v1` and the requests on it. */
import { Type, type Static } from 'typebox';
import { RunStrategy } from '../../appliance/resources/virtual-machine.ts';
import {
  Bytes,
  ChangeQuery,
  ConditionOut,
  Labels,
  ListQuery,
  Name,
  NameOrId,
  ObjectOut,
  ProjectQuery,
  Size,
  strict,
  Time,
} from './common.ts';

export const VmDisk = Type.Object({
  name: Type.String(),
  volume: Type.Optional(Type.String({ description: 'the volume in it' })),
  size: Type.Optional(Bytes),
  pool: Type.Optional(Type.String()),
  type: Type.Enum(['disk', 'cdrom']),
  bus: Type.String(),
  device: Type.Optional(Type.String({ description: 'as Linux guests name it' })),
});

export const VmNic = Type.Object({
  name: Type.String(),
  network: Type.String(),
  mac: Type.Optional(Type.String()),
  model: Type.String(),
  addresses: Type.Array(Type.String()),
});

/** KubeVirt's firmware.kernelBoot, flat. */
export const KernelBoot = Type.Object(
  {
    image: Type.String({ minLength: 1, maxLength: 253, description: 'image of a tar archive that has the files' }),
    kernel: Type.String({ minLength: 1, maxLength: 1024, description: 'path of the kernel in it' }),
    initrd: Type.Optional(Type.String({ minLength: 1, maxLength: 1024, description: 'path of the initrd in it' })),
    args: Type.Optional(Type.String({ maxLength: 4096, description: "the kernel's command line" })),
  },
  strict,
);
export type KernelBoot = Static<typeof KernelBoot>;

export const Vm = Type.Object({
  kind: Type.Literal('vm'),
  ...ObjectOut,
  project: Type.String(),
  state: Type.String({ description: "KubeVirt's printableStatus in kebab-case" }),
  reason: Type.Optional(Type.String({ description: 'why, in one sentence' })),
  cpus: Type.Integer(),
  memory: Bytes,
  size: Type.Optional(Type.String({ description: 'name of its instance type' })),
  image: Type.Optional(Type.String()),
  preference: Type.Optional(Type.String({ description: 'name of its preference' })),
  machine: Type.Optional(Type.String({ description: 'versioned machine type, kept since its first start' })),
  firmware: Type.Enum(['bios', 'efi']),
  kernelBoot: Type.Optional(KernelBoot),
  runStrategy: RunStrategy,
  startOrder: Type.Optional(Type.Integer({ description: 'after a reboot of the box: lower ones start first' })),
  disks: Type.Array(VmDisk),
  nics: Type.Array(VmNic),
  node: Type.Optional(Type.String()),
  addresses: Type.Array(Type.String()),
  os: Type.Optional(Type.String()),
  conditions: Type.Array(ConditionOut),
});
export type Vm = Static<typeof Vm>;

export const DiskWish = Type.Object(
  {
    name: Type.Optional(Name),
    type: Type.Optional(Type.Enum(['disk', 'cdrom'])),
    size: Type.Optional(Size),
    pool: Type.Optional(Name),
    bus: Type.Optional(Type.Enum(['virtio', 'sata', 'scsi'])),
    volume: Type.Optional(Name),
    image: Type.Optional(Name),
  },
  strict,
);
export type DiskWish = Static<typeof DiskWish>;

export const NicWish = Type.Object(
  {
    name: Type.Optional(Name),
    network: Name,
    mac: Type.Optional(
      Type.String({ pattern: '^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$', description: 'a MAC address, e.g. 52:54:00:12:34:56' }),
    ),
    model: Type.Optional(Type.Enum(['virtio', 'e1000e'])),
  },
  strict,
);
export type NicWish = Static<typeof NicWish>;

const Cpus = Type.Integer({ minimum: 1, maximum: 255 });

const StartOrder = Type.Integer({ minimum: 0, maximum: 1_000_000 });

export const VmCreate = Type.Object(
  {
    name: Name,
    project: Type.Optional(Name),
    image: Type.Optional(Name),
    iso: Type.Optional(
      Type.String({ maxLength: 253, description: 'image in a CD drive, to install from; disks say what to install on' }),
    ),
    size: Type.Optional(Type.String({ maxLength: 63, description: 'name of an instance type, instead of cpus and memory' })),
    preference: Type.Optional(
      Type.String({ maxLength: 63, description: 'name of a preference: defaults for what is left open, e.g. windows' }),
    ),
    cpus: Type.Optional(Cpus),
    memory: Type.Optional(Size),
    disks: Type.Optional(Type.Array(DiskWish, { maxItems: 16 })),
    nics: Type.Optional(Type.Array(NicWish, { maxItems: 8 })),
    network: Type.Optional(Type.String({ maxLength: 63, description: 'network of the only NIC, instead of nics' })),
    firmware: Type.Optional(Type.Enum(['bios', 'efi'])),
    kernelBoot: Type.Optional(KernelBoot),
    timezone: Type.Optional(
      Type.String({
        maxLength: 64,
        description: "zone of its clock, e.g. Europe/Berlin; default UTC, the box's own for Windows",
      }),
    ),
    runStrategy: Type.Optional(RunStrategy),
    start: Type.Optional(Type.Boolean()),
    paused: Type.Optional(Type.Boolean({ description: 'starts with stopped vCPUs, until it is unpaused' })),
    startOrder: Type.Optional(StartOrder),
    sshKeys: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 16_384 }), { maxItems: 64 })),
    userData: Type.Optional(Type.String({ maxLength: 65_536 })),
    hostname: Type.Optional(Name),
    gracePeriodSeconds: Type.Optional(Type.Integer({ minimum: 0, maximum: 3600 })),
    labels: Type.Optional(Labels),
  },
  strict,
);
export type VmCreate = Static<typeof VmCreate>;

/** RFC 7396: null removes a label. */
export const VmPatch = Type.Object(
  {
    cpus: Type.Optional(Cpus),
    memory: Type.Optional(Size),
    size: Type.Optional(Type.String({ maxLength: 63 })),
    machine: Type.Optional(
      Type.String({ pattern: '^pc-q35-[0-9]+\\.[0-9]+$', description: 'a versioned machine type, e.g. pc-q35-9.2' }),
    ),
    kernelBoot: Type.Optional(Type.Union([KernelBoot, Type.Null()])),
    runStrategy: Type.Optional(RunStrategy),
    startOrder: Type.Optional(Type.Union([StartOrder, Type.Null()])),
    nics: Type.Optional(Type.Array(Type.Object({ name: Name, network: Name }, strict), { maxItems: 8 })),
    labels: Type.Optional(
      Type.Record(Type.String({ maxLength: 316 }), Type.Union([Type.String({ maxLength: 63 }), Type.Null()])),
    ),
  },
  strict,
);
export type VmPatch = Static<typeof VmPatch>;

export const VmListQuery = Type.Object({ ...ListQuery }, strict);

export const VmGetQuery = Type.Object(
  {
    ...ProjectQuery,
    waitFor: Type.Optional(
      Type.String({
        pattern: '^(running|stopped|ip|agent|deleted|state=[a-z-]{1,40})$',
        description: 'running, stopped, ip, agent, deleted or state=<state>',
      }),
    ),
    timeoutSeconds: Type.Optional(Type.Integer({ minimum: 0, maximum: 3600 })),
  },
  strict,
);

export const VmDeleteQuery = Type.Object({ ...ChangeQuery, deleteDisks: Type.Optional(Type.Boolean()) }, strict);

export const StopBody = Type.Object(
  {
    gracePeriodSeconds: Type.Optional(Type.Integer({ minimum: 0, maximum: 3600 })),
    force: Type.Optional(Type.Boolean()),
  },
  strict,
);
export const EmptyBody = Type.Object({}, strict);

export const NicParams = Type.Object({ name: NameOrId, nic: Type.String({ minLength: 1, maxLength: 63 }) });
export const NicBody = Type.Object({ network: Name }, strict);

export const DiskParams = Type.Object({ name: NameOrId, disk: Type.String({ minLength: 1, maxLength: 63 }) });
export const DiskBody = Type.Object({ size: Size }, strict);
export const MediumBody = Type.Object({ image: Type.Optional(Name), volume: Type.Optional(Name) }, strict);
export type MediumBody = Static<typeof MediumBody>;
export const DiskDeleteQuery = Type.Object({ ...ChangeQuery, deleteVolume: Type.Optional(Type.Boolean()) }, strict);

export const TicketBody = Type.Object(
  {
    kind: Type.Optional(Type.Enum(['serial', 'vnc', 'tcp'])),
    port: Type.Optional(Type.Integer({ minimum: 1, maximum: 65_535, description: 'a TCP port of the guest, 1 to 65535' })),
  },
  strict,
);
export const Ticket = Type.Object({ ticket: Type.String(), url: Type.String(), expiresAt: Time });

export const ExplanationOut = Type.Object({
  state: Type.String(),
  sentence: Type.String(),
  disks: Type.Optional(Type.String({ description: 'what its disks survive; absent for a VM without disks' })),
  next: Type.Array(Type.String()),
  evidence: Type.Array(Type.Object({ at: Type.Optional(Type.String()), text: Type.String() })),
});
