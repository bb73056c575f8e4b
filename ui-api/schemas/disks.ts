/** Disks of replicated pools, and how safe what is on them is. */
import { Type, type Static } from 'typebox';
import { Bytes, Name, Size, strict } from './common.ts';

const wish = {
  path: Type.String({ maxLength: 4096, pattern: '^/', description: 'a disk, a partition or a file of the box' }),
  size: Type.Optional(Size),
  node: Type.Optional({ ...Name, description: 'the box it is in, in a cluster of several' }),
  wipe: Type.Optional(
    Type.Array(Type.String({ maxLength: 4096 }), {
      maxItems: 64,
      description: 'serial numbers (paths of files and partitions) of disks that may be overwritten',
    }),
  ),
};

export const DiskWish = Type.Object(wish, strict);
export type DiskWish = Static<typeof DiskWish>;
export const DiskAdd = Type.Object({ pool: Type.Optional(Name), ...wish }, strict);
export type DiskAdd = Static<typeof DiskAdd>;

export const Disk = Type.Object({
  kind: Type.Literal('disk'),
  id: Type.String(),
  name: Type.String(),
  pool: Type.String(),
  path: Type.String(),
  size: Type.Optional(Bytes),
  serial: Type.Optional(Type.String()),
  state: Type.String({ description: 'pending, refused, preparing, up, down or leaving' }),
  reason: Type.Optional(Type.String({ description: 'why it was refused' })),
});
export type Disk = Static<typeof Disk>;

export const PoolHealth = Type.Object({
  state: Type.String({ description: 'ok, rebuilding, degraded, blocked or unknown' }),
  message: Type.String(),
  problem: Type.Optional(Type.String({ description: 'why the wished disks are not all in use' })),
  survives: Type.Integer({ description: 'disks that may fail now without loss' }),
});
