/** Requests to move volumes between pools, and VMs between boxes. */
import { Type } from 'typebox';
import { Size, strict } from './common.ts';

export const MoveBody = Type.Object(
  {
    pool: Type.String({ minLength: 1, maxLength: 63, description: 'the pool it is to be in' }),
    bandwidth: Type.Optional(Size),
  },
  strict,
);

export const MigrateBody = Type.Object(
  {
    node: Type.Optional(Type.String({ minLength: 1, maxLength: 63, description: 'the box it is to run on; default: the best' })),
  },
  strict,
);
