/** The uplink form's state and what becomes of it. Pure. */
import type { Uplink, UplinkCreate } from '../../../client/types.ts';

export type Mode = NonNullable<Uplink['mode']>;
/** Which VLANs an uplink carries: all, named ones, or one alone. */
export type Carries = 'all' | 'some' | 'one';

export type UplinkForm = {
  name: string;
  interfaces: readonly string[];
  mode: Mode;
  carries: Carries;
  vlans: string;
  access: string;
  native: string;
  mtu: string;
};

export const emptyUplink: UplinkForm = {
  name: 'lan',
  interfaces: [],
  mode: 'active-backup',
  carries: 'all',
  vlans: '',
  access: '',
  native: '',
  mtu: '',
};

const shown = (value: number | undefined): string => (value === undefined ? '' : String(value));

export const formOf = ({ name, interfaces, mode, vlans, access, native, mtu }: Uplink): UplinkForm => ({
  name,
  interfaces,
  mode: mode ?? 'active-backup',
  carries: access === undefined ? (vlans ? 'some' : 'all') : 'one',
  vlans: (vlans ?? []).join(', '),
  access: shown(access),
  native: shown(native),
  mtu: shown(mtu),
});

const words = (typed: string): string[] => typed.split(/[\s,]+/).filter((word) => word !== '');

export const isVlan = (typed: string): boolean => /^\d{1,4}$/.test(typed) && Number(typed) >= 1 && Number(typed) <= 4094;
export const areVlans = (typed: string): boolean => words(typed).length > 0 && words(typed).every(isVlan);
export const isMtu = (typed: string): boolean => typed === '' || (Number(typed) >= 1280 && Number(typed) <= 9216);

export function isComplete({ interfaces, carries, vlans, access, native, mtu }: UplinkForm): boolean {
  const vlansFit = carries === 'all' || (carries === 'one' ? isVlan(access) : areVlans(vlans));
  return interfaces.length > 0 && vlansFit && (native === '' || isVlan(native)) && isMtu(mtu);
}

type Fields = Omit<UplinkCreate, 'name' | 'labels'>;

/** What is as usual is left out. */
export function fieldsOfForm({ interfaces, mode, carries, vlans, access, native, mtu }: UplinkForm): Fields {
  return {
    interfaces: [...interfaces],
    ...(interfaces.length > 1 ? { mode } : {}),
    ...(carries === 'some' ? { vlans: words(vlans).map(Number) } : {}),
    ...(carries === 'one' ? { access: Number(access) } : {}),
    ...(carries !== 'one' && native !== '' ? { native: Number(native) } : {}),
    ...(mtu === '' ? {} : { mtu: Number(mtu) }),
  };
}

const optional = ['mode', 'vlans', 'access', 'native', 'mtu'] as const;

/** A merge patch: only what differs; what goes back to the default is null. */
export function patchOf(before: Uplink, form: UplinkForm): Record<string, unknown> {
  const wish = fieldsOfForm(form);
  const isSame = (left: unknown, right: unknown) => JSON.stringify(left) === JSON.stringify(right);
  return Object.fromEntries(
    (['interfaces', ...optional] as const)
      .filter((field) => !isSame(before[field], wish[field]))
      .map((field) => [field, wish[field] ?? null]),
  );
}
