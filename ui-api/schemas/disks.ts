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

export const DiskLocate = Type.Object(
  { seconds: Type.Optional(Type.Integer({ minimum: 0, maximum: 3600, description: 'how long; 0 ends it; default 60' })) },
  strict,
);
export type DiskLocate = Static<typeof DiskLocate>;

export const Disk = Type.Object({
  kind: Type.Literal('disk'),
  id: Type.String(),
  name: Type.String(),
  pool: Type.String(),
  path: Type.String(),
  size: Type.Optional(Bytes),
  serial: Type.Optional(Type.String()),
  state: Type.String({ description: 'pending, refused, preparing, up, down or leaving' }),
  reason: Type.Optional(Type.String({ description: 'why it was refused, or is not started again' })),
  smart: Type.Optional(
    Type.Object(
      {
        passed: Type.Optional(Type.Boolean({ description: 'its own verdict' })),
        temperature: Type.Optional(Type.Integer({ description: '°C' })),
        hours: Type.Optional(Type.Integer({ description: 'hours it has run' })),
        wear: Type.Optional(Type.Integer({ description: 'percent of its life used up' })),
        badSectors: Type.Optional(Type.Integer({ description: 'sectors moved away, waiting to be, or unreadable' })),
      },
      { description: 'what the disk says of itself (SMART)' },
    ),
  ),
  warning: Type.Optional(Type.String({ description: 'what one should know of it before it fails' })),
  locating: Type.Optional(Type.String({ description: 'what blinks: light, or activity where it has no light of its own' })),
});
export type Disk = Static<typeof Disk>;

export const PoolHealth = Type.Object({
  state: Type.String({ description: 'ok, rebuilding, degraded, blocked or unknown' }),
  message: Type.String(),
  problem: Type.Optional(Type.String({ description: 'why the wished disks are not all in use' })),
  survives: Type.Integer({ description: 'disks that may fail now without loss' }),
  recovery: Type.Optional(
    Type.Object(
      {
        missing: Type.Number({ description: 'part of the data that lacks a copy, 0 to 1' }),
        bytesPerSecond: Type.Integer({ description: 'copied now' }),
        seconds: Type.Optional(Type.Integer({ description: 'until all copies are there, at this pace' })),
      },
      { description: 'while copies are missing' },
    ),
  ),
});
