/**
 * KubeVirt's VirtualMachineSnapshot and VirtualMachineRestore (snapshot.kubevirt.io/v1beta1, staging/src/kubevirt.io/api/
 * snapshot/v1beta1/types.go) and VirtualMachineClone (clone.kubevirt.io/v1beta1): the subset Croft supports. What
 * upstream keeps in a VirtualMachineSnapshotContent stands in the snapshot's own `status.croft`.
 */
import { Type, type Static } from 'typebox';
import { defineKind, type Of } from './kind.ts';
import { Condition } from './meta.ts';
import { virtualMachine } from './virtual-machine.ts';

const strict = { additionalProperties: false } as const;
const apiVersion = 'snapshot.kubevirt.io/v1beta1';
const SnapshotError = Type.Object({ time: Type.Optional(Type.String()), message: Type.Optional(Type.String()) });

/** core/v1 TypedLocalObjectReference. */
const reference = (...kinds: string[]) =>
  Type.Object({ apiGroup: Type.Optional(Type.String()), kind: Type.Enum(kinds), name: Type.String({ minLength: 1 }) }, strict);

/** One disk of a VM at the snapshot's instant. */
export const SnapshotDisk = Type.Object({
  /** Its name in the VM. */
  name: Type.String(),
  claim: Type.String(),
  /** `croft.io/id` of the claim: the volume in its pool. */
  volumeId: Type.String(),
  /** Bytes. */
  size: Type.Integer(),
  storageClassName: Type.Optional(Type.String()),
  /** What a DataVolume's `source.snapshot.name` says to be made from this disk. */
  volumeSnapshotName: Type.String(),
});
export type SnapshotDisk = Static<typeof SnapshotDisk>;

/** What a snapshot holds beside the bytes: the VM as it was. Written before the first byte is frozen. */
export const SnapshotContent = Type.Object({
  vm: Type.Object({
    labels: Type.Optional(Type.Record(Type.String(), Type.String())),
    annotations: Type.Optional(Type.Record(Type.String(), Type.String())),
    spec: virtualMachine.spec,
  }),
  disks: Type.Array(SnapshotDisk),
  /** The drivers' name for it: the snapshot's `croft.io/id`. */
  snapshotId: Type.String(),
});
export type SnapshotContent = Static<typeof SnapshotContent>;

export const virtualMachineSnapshot = defineKind({
  apiVersion,
  kind: 'VirtualMachineSnapshot',
  plural: 'virtualmachinesnapshots',
  shortNames: ['vmsnapshot', 'vmsnapshots'],
  namespaced: true,
  spec: Type.Object({ source: reference('VirtualMachine') }, strict),
  status: Type.Object({
    phase: Type.Optional(Type.Enum(['InProgress', 'Succeeded', 'Failed'])),
    sourceUID: Type.Optional(Type.String()),
    /** The instant that the disks are of. */
    creationTime: Type.Optional(Type.String()),
    readyToUse: Type.Optional(Type.Boolean()),
    /** Upstream's: `Online`, with `GuestAgent` where file systems were frozen, else `NoGuestAgent`. */
    indications: Type.Optional(Type.Array(Type.String())),
    error: Type.Optional(SnapshotError),
    conditions: Type.Optional(Type.Array(Condition)),
    croft: Type.Optional(
      Type.Object({
        content: Type.Optional(SnapshotContent),
        /** Set before the guest's vCPUs are stopped for it, so that a crash in between leaves no guest stopped. */
        pausedGuest: Type.Optional(Type.Boolean()),
      }),
    ),
  }),
  columns: [
    { header: 'SOURCENAME', path: '.spec.source.name' },
    { header: 'PHASE', path: '.status.phase' },
    { header: 'READYTOUSE', path: '.status.readyToUse' },
  ],
});
export type VirtualMachineSnapshot = Of<typeof virtualMachineSnapshot>;

/** The steps of a restore, in order; each is written down before it is begun. */
export const RestoreStep = Type.Enum(['saving', 'stopping', 'disks', 'releasing', 'undoing']);
export type RestoreStep = Static<typeof RestoreStep>;

export const virtualMachineRestore = defineKind({
  apiVersion,
  kind: 'VirtualMachineRestore',
  plural: 'virtualmachinerestores',
  shortNames: ['vmrestore', 'vmrestores'],
  namespaced: true,
  spec: Type.Object({ target: reference('VirtualMachine'), virtualMachineSnapshotName: Type.String({ minLength: 1 }) }, strict),
  status: Type.Object({
    complete: Type.Optional(Type.Boolean()),
    restoreTime: Type.Optional(Type.String()),
    conditions: Type.Optional(Type.Array(Condition)),
    croft: Type.Optional(
      Type.Object({
        step: Type.Optional(RestoreStep),
        /** The VM ran when the restore began. */
        ran: Type.Optional(Type.Boolean()),
        safetySnapshot: Type.Optional(Type.String()),
        /** When the present step was begun. */
        since: Type.Optional(Type.String()),
        /** Why it failed, or is being undone. */
        error: Type.Optional(Type.String()),
        endedAt: Type.Optional(Type.String()),
      }),
    ),
  }),
  columns: [
    { header: 'TARGETNAME', path: '.spec.target.name' },
    { header: 'COMPLETE', path: '.status.complete' },
    { header: 'RESTORETIME', path: '.status.restoreTime' },
  ],
});
export type VirtualMachineRestore = Of<typeof virtualMachineRestore>;

export const virtualMachineClone = defineKind({
  apiVersion: 'clone.kubevirt.io/v1beta1',
  kind: 'VirtualMachineClone',
  plural: 'virtualmachineclones',
  shortNames: ['vmclone', 'vmclones'],
  namespaced: true,
  spec: Type.Object(
    {
      source: reference('VirtualMachine', 'VirtualMachineSnapshot'),
      /** Upstream makes a name up when it is absent; so do we. */
      target: Type.Optional(reference('VirtualMachine')),
    },
    strict,
  ),
  status: Type.Object({
    phase: Type.Optional(Type.Enum(['SnapshotInProgress', 'CreatingTargetVM', 'RestoreInProgress', 'Succeeded', 'Failed'])),
    creationTime: Type.Optional(Type.String()),
    snapshotName: Type.Optional(Type.String()),
    targetName: Type.Optional(Type.String()),
    conditions: Type.Optional(Type.Array(Condition)),
    croft: Type.Optional(Type.Object({ error: Type.Optional(Type.String()), endedAt: Type.Optional(Type.String()) })),
  }),
  columns: [
    { header: 'PHASE', path: '.status.phase' },
    { header: 'TARGETNAME', path: '.status.targetName' },
  ],
});
export type VirtualMachineClone = Of<typeof virtualMachineClone>;

/** On a restore or clone: `true` starts the VM afterwards, `false` leaves it stopped. Absent: a restored VM runs iff it ran, a clone doesn't. */
export const startAnnotation = 'croft.io/start';
/** On a snapshot, restore or clone: the task that tells of it. */
export const taskAnnotation = 'croft.io/task';
/** On a snapshot that Croft took by itself: why (`restore`, `clone`). */
export const reasonAnnotation = 'croft.io/reason';

/** A DataVolume's source names a disk of a snapshot as CDI names a VolumeSnapshot. */
export const volumeSnapshotGroup = 'snapshot.storage.k8s.io';

/** Name of the object for snapshot `name` of a VM: people's names are the VM's own, objects' are the project's. A VM's name has no dot. */
export const snapshotObjectName = (vm: string, name: string): string => `${vm}.${name}`;
/** What people call it. */
export const snapshotShortName = ({ metadata, spec }: VirtualMachineSnapshot): string =>
  metadata.name.startsWith(`${spec.source.name}.`) ? metadata.name.slice(spec.source.name.length + 1) : metadata.name;
