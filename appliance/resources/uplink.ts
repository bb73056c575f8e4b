/**
 * Uplink (croft.io/v1): a NIC of the machine, or a bond of several, put under the box's switch, so that VLANs reach
 * the world. What a switch port of the other side must look like: docs/switch-port.md.
 */
import { Type } from 'typebox';
import { defineKind, type Of } from './kind.ts';
import { Condition } from './meta.ts';

const strict = { additionalProperties: false } as const;
const Vlan = Type.Integer({ minimum: 1, maximum: 4094 });

export const uplink = defineKind({
  apiVersion: 'croft.io/v1',
  kind: 'Uplink',
  plural: 'uplinks',
  namespaced: false,
  spec: Type.Object(
    {
      /** Network devices of the machine; more than one make a bond. */
      interfaces: Type.Array(Type.String({ pattern: '^[A-Za-z0-9_-]{1,15}$' }), { minItems: 1, maxItems: 8 }),
      /** How the members of a bond share the work. Default `active-backup`. */
      mode: Type.Optional(Type.Enum(['active-backup', 'lacp'])),
      /** The only VLAN it carries, untagged on the wire; exclusive with vlans and native. */
      access: Type.Optional(Vlan),
      /** VLANs carried tagged. Absent: all, and untagged networks too. */
      vlans: Type.Optional(Type.Array(Vlan, { minItems: 1, maxItems: 4094 })),
      /** This VLAN goes untagged on the wire. */
      native: Type.Optional(Vlan),
      /** Bytes; of the NICs. Absent: as they are. */
      mtu: Type.Optional(Type.Integer({ minimum: 1280, maximum: 9216 })),
      /** The machine's own addresses on its interfaces go on a port of the switch. Absent: such interfaces are refused. */
      moveAddresses: Type.Optional(Type.Boolean()),
    },
    strict,
  ),
  status: Type.Object({
    conditions: Type.Optional(Type.Array(Condition)),
    members: Type.Optional(
      Type.Array(
        Type.Object({
          name: Type.String(),
          state: Type.Enum(['up', 'down', 'missing']),
          /** LACP only: whether the other side takes part. */
          negotiated: Type.Optional(Type.Boolean()),
          message: Type.Optional(Type.String()),
        }),
      ),
    ),
  }),
  columns: [
    { header: 'INTERFACES', path: '.spec.interfaces' },
    { header: 'MODE', path: '.spec.mode' },
  ],
});
export type Uplink = Of<typeof uplink>;

/** ISO time by which a change must be confirmed; after it the controller puts the spec of before back. */
export const confirmBefore = 'croft.io/confirm-before';
/** JSON of the spec that was in effect before an unconfirmed change; empty: there was no such uplink. */
export const specBefore = 'croft.io/spec-before';

/** What the schema cannot say of one uplink: a field and one sentence, or nothing. Pure. */
export function wrongUplink({
  interfaces,
  mode,
  access,
  vlans,
  native,
  moveAddresses,
}: Uplink['spec']): { field: string; message: string } | undefined {
  const twice = interfaces.find((name, index) => interfaces.indexOf(name) !== index);
  if (twice !== undefined) return { field: 'interfaces', message: `interfaces: ${twice} is named twice.` };
  if (mode !== undefined && mode !== 'lacp' && interfaces.length === 1) {
    return { field: 'mode', message: `mode: ${mode} needs two interfaces or more; leave it out for a single NIC.` };
  }
  if (moveAddresses && vlans && native === undefined) {
    return {
      field: 'moveAddresses',
      message:
        'moveAddresses: the addresses are used by untagged frames, and an uplink with vlans and without native carries none; add native.',
    };
  }
  const other = vlans ? 'vlans' : native === undefined ? undefined : 'native';
  if (access !== undefined && other !== undefined) {
    return {
      field: 'access',
      message: `access: an uplink is access to one VLAN (access) or a trunk (${other}); give one of the two.`,
    };
  }
  return undefined;
}
