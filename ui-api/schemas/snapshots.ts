/** The flat snapshot of `/v1`, and the requests to restore and clone. */
import { Type } from 'typebox';
import { Bytes, Labels, Name, NameOrId, ObjectOut, strict } from './common.ts';

export const Snapshot = Type.Object({
  kind: Type.Literal('snapshot'),
  ...ObjectOut,
  vm: Type.String(),
  project: Type.String(),
  state: Type.String({ description: 'creating, ready, failed or terminating' }),
  reason: Type.Optional(Type.String()),
  consistency: Type.Optional(
    Type.Enum(['guest', 'crash'], { description: 'guest: its file systems were at rest; crash: as after a power cut' }),
  ),
  size: Type.Optional(Bytes),
  disks: Type.Optional(Type.Array(Type.Object({ name: Type.String(), size: Bytes }))),
});
export const SnapshotCreate = Type.Object({ name: Name, labels: Type.Optional(Labels) }, strict);
export const SnapshotParams = Type.Object({ name: NameOrId, snapshot: NameOrId });

export const RestoreBody = Type.Object(
  { start: Type.Optional(Type.Boolean({ description: 'whether the VM runs afterwards; by default it does if it ran' })) },
  strict,
);

export const CloneBody = Type.Object(
  {
    name: Name,
    snapshot: Type.Optional(
      Type.String({ minLength: 1, maxLength: 253, description: 'a snapshot of the VM; by default, its disks as they are now' }),
    ),
    start: Type.Optional(Type.Boolean()),
  },
  strict,
);
