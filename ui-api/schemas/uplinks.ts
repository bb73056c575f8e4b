/** Uplinks of `/v1`: NICs and bonds that VLANs leave the box by. */
import { Type } from 'typebox';
import { ConditionOut, Name, ObjectOut, strict, Time } from './common.ts';
import { labels, LabelsPatch } from './objects.ts';

const Vlan = Type.Integer({ minimum: 1, maximum: 4094 });
const Interfaces = Type.Array(Type.String({ pattern: '^[A-Za-z0-9_-]{1,15}$' }), {
  minItems: 1,
  maxItems: 8,
  description: 'network devices of the machine; more than one make a bond',
});
const optional = {
  mode: Type.Optional(Type.Enum(['active-backup', 'lacp'], { description: 'how the members of a bond share the work' })),
  access: Type.Optional(Vlan),
  vlans: Type.Optional(Type.Array(Vlan, { minItems: 1, maxItems: 4094, description: 'carried tagged; absent: all' })),
  native: Type.Optional(Vlan),
  mtu: Type.Optional(Type.Integer({ minimum: 1280, maximum: 9216 })),
  moveAddresses: Type.Optional(
    Type.Boolean({
      description:
        "the machine's own addresses on its interfaces go on the switch with them; such a change is undone after 120 s unless confirmed",
    }),
  ),
};

export const Uplink = Type.Object({
  kind: Type.Literal('uplink'),
  ...ObjectOut,
  interfaces: Interfaces,
  ...optional,
  state: Type.String({ description: 'ready, pending or failed' }),
  reason: Type.Optional(Type.String()),
  /** Unless confirmed by then, the settings of before are put back. */
  confirmBefore: Type.Optional(Time),
  members: Type.Array(
    Type.Object({
      name: Type.String(),
      state: Type.String({ description: 'up, down or missing' }),
      negotiated: Type.Optional(Type.Boolean()),
      message: Type.Optional(Type.String()),
    }),
  ),
  conditions: Type.Array(ConditionOut),
});
export const UplinkCreate = Type.Object({ name: Name, interfaces: Interfaces, ...optional, ...labels }, strict);
export const UplinkPatch = Type.Object(
  {
    interfaces: Type.Optional(Interfaces),
    ...Object.fromEntries(
      Object.entries(optional).map(([field, schema]) => [field, Type.Optional(Type.Union([schema, Type.Null()]))]),
    ),
    labels: LabelsPatch,
  },
  strict,
);

/** Seconds a change holds unless it is confirmed. */
export const ConfirmWithin = Type.Optional(
  Type.Integer({ minimum: 10, maximum: 3600, description: 's; unless confirmed in this time the change is undone' }),
);
