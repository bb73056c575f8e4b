/** What the guest agent says. */
import { Type, type Static } from 'typebox';
import { Bytes, Time } from './common.ts';

export const GuestLists = Type.Object({
  kind: Type.Literal('guest'),
  users: Type.Array(Type.Object({ name: Type.String(), domain: Type.Optional(Type.String()), since: Time })),
  filesystems: Type.Array(
    Type.Object({
      name: Type.String(),
      mountpoint: Type.String(),
      type: Type.String(),
      used: Type.Optional(Bytes),
      size: Type.Optional(Bytes),
    }),
  ),
});
export type GuestLists = Static<typeof GuestLists>;
