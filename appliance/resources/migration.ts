/**
 * KubeVirt's VirtualMachineInstanceMigration (kubevirt.io/v1, staging/src/kubevirt.io/api/core/v1/types.go): a running VM
 * is wished on another box. Its phases are upstream's; what is done is decided from the instance's own `migrationState`.
 */
import { Type, type Static } from 'typebox';
import { defineKind, type Of } from './kind.ts';
import { Condition } from './meta.ts';
import { MigrationState } from './virtual-machine.ts';

const strict = { additionalProperties: false } as const;

export const MigrationPhase = Type.Enum([
  'Pending',
  'Scheduling',
  'Scheduled',
  'PreparingTarget',
  'TargetReady',
  'Running',
  'Succeeded',
  'Failed',
]);
export type MigrationPhase = Static<typeof MigrationPhase>;

export const virtualMachineInstanceMigration = defineKind({
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachineInstanceMigration',
  plural: 'virtualmachineinstancemigrations',
  shortNames: ['vmim', 'vmims'],
  namespaced: true,
  spec: Type.Object(
    {
      vmiName: Type.String({ minLength: 1 }),
      /** Upstream's: the target has these labels too. `kubernetes.io/hostname` names it. */
      addedNodeSelector: Type.Optional(Type.Record(Type.String(), Type.String())),
    },
    strict,
  ),
  status: Type.Object({
    phase: Type.Optional(MigrationPhase),
    conditions: Type.Optional(Type.Array(Condition)),
    migrationState: Type.Optional(MigrationState),
    phaseTransitionTimestamps: Type.Optional(
      Type.Array(Type.Object({ phase: Type.String(), phaseTransitionTimestamp: Type.String() })),
    ),
    croft: Type.Optional(
      Type.Object({
        /** 0 to 1. */
        progress: Type.Optional(Type.Number()),
        /** Bytes a second that the guest writes to its memory. */
        dirtyRate: Type.Optional(Type.Integer()),
        /** Bytes of memory still to be sent. */
        remaining: Type.Optional(Type.Integer()),
        etaSeconds: Type.Optional(Type.Number()),
        /** ms that the guest stood still: from the source's last instruction to the target's first. */
        downtime: Type.Optional(Type.Integer()),
        /** ms in all. */
        total: Type.Optional(Type.Integer()),
        error: Type.Optional(Type.String()),
        endedAt: Type.Optional(Type.String()),
      }),
    ),
  }),
  columns: [
    { header: 'PHASE', path: '.status.phase' },
    { header: 'VMI', path: '.spec.vmiName' },
  ],
});
export type VirtualMachineInstanceMigration = Of<typeof virtualMachineInstanceMigration>;
