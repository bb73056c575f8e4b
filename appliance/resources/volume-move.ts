/**
 * VolumeMove (croft.io/v1): a volume is wished in another pool. KubeVirt moves storage by a change of the VM's volume
 * names and a migration (`updateVolumesStrategy: Migration`); here the claim keeps its name and only its bytes move, so
 * that nothing that names it changes, and a volume of no VM can be moved too. Deleting the object cancels the move.
 */
import { Type, type Static } from 'typebox';
import { defineKind, type Of } from './kind.ts';
import { Condition } from './meta.ts';

const strict = { additionalProperties: false } as const;

/** The steps of a move, each written down before it is begun. */
export const MoveStep = Type.Enum(['copying', 'undoing']);
export type MoveStep = Static<typeof MoveStep>;

export const volumeMove = defineKind({
  apiVersion: 'croft.io/v1',
  kind: 'VolumeMove',
  plural: 'volumemoves',
  namespaced: true,
  spec: Type.Object(
    {
      claimName: Type.String({ minLength: 1 }),
      /** The pool it is to be in. */
      pool: Type.String({ minLength: 1 }),
      /** Bytes a second at most; while its VM runs. */
      bandwidth: Type.Optional(Type.Union([Type.Integer({ minimum: 1 }), Type.String()])),
    },
    strict,
  ),
  status: Type.Object({
    phase: Type.Optional(Type.Enum(['Copying', 'Undoing', 'Succeeded', 'Failed', 'Cancelled'])),
    /** 0 to 1. */
    progress: Type.Optional(Type.Number()),
    conditions: Type.Optional(Type.Array(Condition)),
    croft: Type.Optional(
      Type.Object({
        step: Type.Optional(MoveStep),
        /** The pool it came from. */
        from: Type.Optional(Type.String()),
        volumeId: Type.Optional(Type.String()),
        /** `croft.io/id` of the VM it is a disk of, and its name there. */
        vmId: Type.Optional(Type.String()),
        disk: Type.Optional(Type.String()),
        /** Bytes. */
        size: Type.Optional(Type.Integer()),
        /** The start of the guest (its epoch) that copies the disk itself; absent while nobody has it open. */
        liveEpoch: Type.Optional(Type.Integer()),
        /** The guest was stopped by the move, for an instant, and is to be let go on: since when. */
        held: Type.Optional(Type.Object({ for: Type.Enum(['start', 'switch']), since: Type.String() })),
        /** Why it is undone, or was. */
        error: Type.Optional(Type.String()),
        cancelled: Type.Optional(Type.Boolean()),
        endedAt: Type.Optional(Type.String()),
      }),
    ),
  }),
  columns: [
    { header: 'VOLUME', path: '.spec.claimName' },
    { header: 'POOL', path: '.spec.pool' },
    { header: 'PHASE', path: '.status.phase' },
  ],
});
export type VolumeMove = Of<typeof volumeMove>;
