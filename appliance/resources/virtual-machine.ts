/**
 * KubeVirt's VirtualMachine and VirtualMachineInstance (kubevirt.io/v1, staging/src/kubevirt.io/api/core/v1
 * types.go and schema.go): the subset Croft supports, with upstream's names and meanings. A field outside
 * it is refused by name (additionalProperties: false), never dropped.
 */
import { Type, type Static } from 'typebox';
import { Condition } from './meta.ts';
import { DataVolumeTemplate } from './data-volume.ts';
import { Clock, Efi, Features, KernelBoot } from './guest-features.ts';
import { CapturedTypes, InstancetypeMatcher, PreferenceMatcher } from './instancetype.ts';
import { defineKind, type Of } from './kind.ts';

const strict = { additionalProperties: false } as const;
const Quantity = Type.Union([Type.Integer({ minimum: 0 }), Type.String({ pattern: '^[0-9.]+([kMGTP]i?|Ki|m)?$' })]);

const DiskTarget = Type.Object({ bus: Type.Optional(Type.Enum(['virtio', 'sata', 'scsi'])) }, strict);

export const Disk = Type.Object(
  {
    name: Type.String({ minLength: 1 }),
    disk: Type.Optional(DiskTarget),
    /** A drive; without a volume of its name it is empty. Read-only, as upstream's default says. */
    cdrom: Type.Optional(Type.Object({ ...DiskTarget.properties, readonly: Type.Optional(Type.Literal(true)) }, strict)),
    bootOrder: Type.Optional(Type.Integer({ minimum: 1 })),
    serial: Type.Optional(Type.String({ maxLength: 20 })),
    cache: Type.Optional(Type.Enum(['none', 'writeback', 'writethrough'])),
  },
  strict,
);
export type Disk = Static<typeof Disk>;

export const Interface = Type.Object(
  {
    name: Type.String({ minLength: 1 }),
    model: Type.Optional(Type.Enum(['virtio', 'e1000e'])),
    macAddress: Type.Optional(Type.String({ pattern: '^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$' })),
    bridge: Type.Optional(Type.Object({}, strict)),
    masquerade: Type.Optional(Type.Object({}, strict)),
    bootOrder: Type.Optional(Type.Integer({ minimum: 1 })),
    state: Type.Optional(Type.Enum(['up', 'down', 'absent'])),
  },
  strict,
);
export type Interface = Static<typeof Interface>;

/** A NIC's network: the pod network (Croft's `default`) or a Network by the name of its NetworkAttachmentDefinition. */
export const NetworkSource = Type.Object(
  {
    name: Type.String({ minLength: 1 }),
    pod: Type.Optional(Type.Object({}, strict)),
    multus: Type.Optional(Type.Object({ networkName: Type.String(), default: Type.Optional(Type.Boolean()) }, strict)),
  },
  strict,
);

const CloudInit = Type.Object(
  {
    userData: Type.Optional(Type.String()),
    userDataBase64: Type.Optional(Type.String()),
    networkData: Type.Optional(Type.String()),
    networkDataBase64: Type.Optional(Type.String()),
    secretRef: Type.Optional(Type.Object({ name: Type.String() }, strict)),
    networkDataSecretRef: Type.Optional(Type.Object({ name: Type.String() }, strict)),
  },
  strict,
);

export const Volume = Type.Object(
  {
    name: Type.String({ minLength: 1 }),
    dataVolume: Type.Optional(Type.Object({ name: Type.String(), hotpluggable: Type.Optional(Type.Boolean()) }, strict)),
    persistentVolumeClaim: Type.Optional(
      Type.Object(
        { claimName: Type.String(), readOnly: Type.Optional(Type.Boolean()), hotpluggable: Type.Optional(Type.Boolean()) },
        strict,
      ),
    ),
    cloudInitNoCloud: Type.Optional(CloudInit),
  },
  strict,
);
export type Volume = Static<typeof Volume>;

const Domain = Type.Object(
  {
    clock: Type.Optional(Clock),
    features: Type.Optional(Features),
    cpu: Type.Optional(
      Type.Object(
        {
          cores: Type.Optional(Type.Integer({ minimum: 1, maximum: 255 })),
          sockets: Type.Optional(Type.Integer({ minimum: 1, maximum: 255 })),
          threads: Type.Optional(Type.Integer({ minimum: 1, maximum: 8 })),
          model: Type.Optional(Type.String()),
        },
        strict,
      ),
    ),
    memory: Type.Optional(Type.Object({ guest: Type.Optional(Quantity) }, strict)),
    resources: Type.Optional(
      Type.Object(
        {
          requests: Type.Optional(Type.Record(Type.String(), Quantity)),
          limits: Type.Optional(Type.Record(Type.String(), Quantity)),
        },
        strict,
      ),
    ),
    machine: Type.Optional(Type.Object({ type: Type.Optional(Type.String()) }, strict)),
    firmware: Type.Optional(
      Type.Object(
        {
          uuid: Type.Optional(Type.String()),
          serial: Type.Optional(Type.String()),
          kernelBoot: Type.Optional(KernelBoot),
          bootloader: Type.Optional(
            Type.Object(
              {
                bios: Type.Optional(Type.Object({}, strict)),
                efi: Type.Optional(Efi),
              },
              strict,
            ),
          ),
        },
        strict,
      ),
    ),
    devices: Type.Object(
      {
        disks: Type.Optional(Type.Array(Disk)),
        interfaces: Type.Optional(Type.Array(Interface)),
        rng: Type.Optional(Type.Object({}, strict)),
        autoattachGraphicsDevice: Type.Optional(Type.Boolean()),
        autoattachSerialConsole: Type.Optional(Type.Boolean()),
        autoattachMemBalloon: Type.Optional(Type.Boolean()),
        autoattachPodInterface: Type.Optional(Type.Boolean()),
      },
      strict,
    ),
  },
  strict,
);

export const InstanceSpec = Type.Object(
  {
    domain: Domain,
    networks: Type.Optional(Type.Array(NetworkSource)),
    volumes: Type.Optional(Type.Array(Volume)),
    hostname: Type.Optional(Type.String()),
    terminationGracePeriodSeconds: Type.Optional(Type.Integer({ minimum: 0 })),
    /** Starts with stopped vCPUs, until it is unpaused. */
    startStrategy: Type.Optional(Type.Enum(['Paused'])),
  },
  strict,
);
export type InstanceSpec = Static<typeof InstanceSpec>;

export const RunStrategy = Type.Enum(['Always', 'RerunOnFailure', 'Once', 'Manual', 'Halted']);
export type RunStrategy = Static<typeof RunStrategy>;

/** Upstream's VirtualMachinePrintableStatus; `/v1` shows it in kebab-case as `state`. */
export const PrintableStatus = Type.Enum([
  'Stopped',
  'Provisioning',
  'Starting',
  'Running',
  'Paused',
  'Stopping',
  'Terminating',
  'CrashLoopBackOff',
  'Migrating',
  'Unknown',
  'ErrorUnschedulable',
  'DataVolumeError',
]);
export type PrintableStatus = Static<typeof PrintableStatus>;

/** Upstream's VirtualMachineStateChangeRequest: start, stop and restart are requests in the VM's status. */
export const StateChangeRequest = Type.Object(
  {
    action: Type.Enum(['Start', 'Stop']),
    uid: Type.Optional(Type.String()),
    data: Type.Optional(Type.Record(Type.String(), Type.String())),
  },
  strict,
);

export const virtualMachine = defineKind({
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachine',
  plural: 'virtualmachines',
  shortNames: ['vm', 'vms'],
  namespaced: true,
  spec: Type.Object(
    {
      runStrategy: Type.Optional(RunStrategy),
      running: Type.Optional(Type.Boolean()),
      template: Type.Object(
        {
          metadata: Type.Optional(
            Type.Object({
              labels: Type.Optional(Type.Record(Type.String(), Type.String())),
              annotations: Type.Optional(Type.Record(Type.String(), Type.String())),
            }),
          ),
          spec: InstanceSpec,
        },
        strict,
      ),
      dataVolumeTemplates: Type.Optional(Type.Array(DataVolumeTemplate)),
      instancetype: Type.Optional(InstancetypeMatcher),
      preference: Type.Optional(PreferenceMatcher),
    },
    strict,
  ),
  status: Type.Object({
    printableStatus: Type.Optional(PrintableStatus),
    created: Type.Optional(Type.Boolean()),
    ready: Type.Optional(Type.Boolean()),
    conditions: Type.Optional(Type.Array(Condition)),
    stateChangeRequests: Type.Optional(Type.Array(StateChangeRequest)),
    /** Upstream's: the VirtualMachineRestore that holds the VM stopped while it puts its disks back. */
    restoreInProgress: Type.Optional(Type.String()),
    startFailure: Type.Optional(
      Type.Object({ consecutiveFailCount: Type.Optional(Type.Integer()), retryAfterTimestamp: Type.Optional(Type.String()) }),
    ),
    observedGeneration: Type.Optional(Type.Integer()),
    croft: Type.Optional(
      Type.Object({
        /** Counts starts, never repeats; copied to each VMI: a QEMU of an older epoch may not run. */
        epoch: Type.Optional(Type.Integer()),
        /** How the last instance ended. */
        lastExit: Type.Optional(Type.String()),
        /** The sentence that told of it. */
        lastExitMessage: Type.Optional(Type.String()),
        /** The versioned machine type of its first start: its hardware stays the same when QEMU is upgraded. */
        machine: Type.Optional(Type.String()),
        types: Type.Optional(CapturedTypes),
      }),
    ),
  }),
  columns: [
    { header: 'STATUS', path: '.status.printableStatus' },
    { header: 'READY', path: '.status.ready' },
  ],
});
export type VirtualMachine = Of<typeof virtualMachine>;

/** How an instance ended: guest power-off, guest panic, QEMU crash and host reboot are told apart. */
export const ExitReason = Type.Enum([
  'GuestShutdown',
  'GuestPanicked',
  'Crashed',
  'OOMKilled',
  'Stopped',
  'NodeRebooted',
  'Fenced',
  'LaunchFailed',
  'Removed',
]);
export type ExitReason = Static<typeof ExitReason>;

export const InstanceInterfaceStatus = Type.Object({
  name: Type.String(),
  mac: Type.Optional(Type.String()),
  ipAddress: Type.Optional(Type.String()),
  ipAddresses: Type.Optional(Type.Array(Type.String())),
  interfaceName: Type.Optional(Type.String()),
});

/**
 * Upstream's VirtualMachineInstanceMigrationState, the subset Croft writes. `croft` is the protocol's own part
 * (vm/migration/protocol.ts): with `nodeName` it says who may run the guest.
 */
export const MigrationState = Type.Object({
  migrationUid: Type.String(),
  sourceNode: Type.String(),
  targetNode: Type.String(),
  targetNodeAddress: Type.Optional(Type.String()),
  startTimestamp: Type.Optional(Type.String()),
  endTimestamp: Type.Optional(Type.String()),
  completed: Type.Optional(Type.Boolean()),
  failed: Type.Optional(Type.Boolean()),
  failureReason: Type.Optional(Type.String()),
  abortRequested: Type.Optional(Type.Boolean()),
  mode: Type.Optional(Type.Enum(['PreCopy', 'PostCopy'])),
  croft: Type.Object({
    state: Type.Enum(['preparing', 'ready', 'switched', 'handed', 'completed', 'failed']),
    since: Type.String(),
    /** When the guest stood still. */
    pausedAt: Type.Optional(Type.String()),
    targetFailed: Type.Optional(Type.Boolean()),
    /** The port of `targetNodeAddress` at which the target's QEMU takes the guest. */
    port: Type.Optional(Type.Integer()),
    /** PEM: what either side shows the other; made for this one migration. */
    sourceCertificate: Type.Optional(Type.String()),
    targetCertificate: Type.Optional(Type.String()),
    /** How the guest's machine is built beyond its spec (JSON): the target's must be the same. */
    shape: Type.Optional(Type.String()),
  }),
});
export type MigrationState = Static<typeof MigrationState>;

export const virtualMachineInstance = defineKind({
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachineInstance',
  plural: 'virtualmachineinstances',
  shortNames: ['vmi', 'vmis'],
  namespaced: true,
  spec: InstanceSpec,
  status: Type.Object({
    phase: Type.Optional(Type.Enum(['Pending', 'Scheduling', 'Scheduled', 'Running', 'Succeeded', 'Failed', 'Unknown'])),
    reason: Type.Optional(Type.String()),
    nodeName: Type.Optional(Type.String()),
    /** Upstream's: the machine type in use. */
    machine: Type.Optional(Type.Object({ type: Type.String() })),
    migrationState: Type.Optional(MigrationState),
    conditions: Type.Optional(Type.Array(Condition)),
    interfaces: Type.Optional(Type.Array(InstanceInterfaceStatus)),
    guestOSInfo: Type.Optional(
      Type.Object({
        name: Type.Optional(Type.String()),
        prettyName: Type.Optional(Type.String()),
        id: Type.Optional(Type.String()),
        kernelRelease: Type.Optional(Type.String()),
        version: Type.Optional(Type.String()),
      }),
    ),
    phaseTransitionTimestamps: Type.Optional(
      Type.Array(Type.Object({ phase: Type.String(), phaseTransitionTimestamp: Type.String() })),
    ),
    croft: Type.Optional(
      Type.Object({
        epoch: Type.Optional(Type.Integer()),
        /** Process id of the guest's QEMU on its box. */
        pid: Type.Optional(Type.Integer()),
        /** Set by the API to end the instance; the box acts on it. */
        exit: Type.Optional(ExitReason),
        bootId: Type.Optional(Type.String()),
        accelerator: Type.Optional(Type.String()),
        /** True while the vCPUs are stopped on a wish (pause), not by an error. */
        pauseRequested: Type.Optional(Type.Boolean()),
      }),
    ),
  }),
  columns: [
    { header: 'PHASE', path: '.status.phase' },
    { header: 'IP', path: '.status.interfaces[0].ipAddress' },
    { header: 'NODENAME', path: '.status.nodeName' },
    { header: 'READY', path: ".status.conditions[?(@.type=='Ready')].status" },
  ],
});
export type VirtualMachineInstance = Of<typeof virtualMachineInstance>;
