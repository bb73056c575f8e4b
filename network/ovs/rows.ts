/** Reads OVSDB rows of the Open_vSwitch schema (ovs-vswitchd.conf.db(5)) into plain objects, and values back. */
import type { Atom, Row, Value } from './ovsdb.ts';

/** Columns that the driver keeps in its cache. */
export const monitoredColumns = {
  Open_vSwitch: ['bridges', 'cur_cfg', 'next_cfg', 'ovs_version'],
  Bridge: ['name', 'ports', 'datapath_type', 'fail_mode', 'external_ids'],
  Port: ['name', 'interfaces', 'tag', 'trunks', 'external_ids', 'vlan_mode', 'bond_mode', 'lacp', 'other_config'],
  Interface: ['name', 'type', 'ofport', 'error', 'mac', 'mtu_request', 'link_state', 'lacp_current'],
};

export type InterfaceRow = {
  uuid: string;
  name: string;
  type: string;
  ofport?: number;
  error?: string;
  mac?: string;
  mtu?: number;
  linkUp: boolean;
  lacpCurrent?: boolean;
};
export type PortRow = {
  uuid: string;
  name: string;
  tag?: number;
  trunks: number[];
  marks: Record<string, string>;
  vlanMode?: string;
  bondMode?: string;
  lacp?: string;
  otherConfig: Record<string, string>;
  interfaces: InterfaceRow[];
};
export type BridgeRow = {
  uuid: string;
  name: string;
  datapath: string;
  failMode?: string;
  marks: Record<string, string>;
  ports: PortRow[];
};
/** The switch as read: the root row and all bridges, Croft's and others'. */
export type SwitchRows = { root?: { uuid: string; curCfg: number; version?: string }; bridges: BridgeRow[] };

type Tables = (table: string) => ReadonlyMap<string, Row>;

const isTagged = (value: Value | undefined): value is Exclude<Value, string | number | boolean> => Array.isArray(value);

/** A set of any size: OVSDB writes a set of one as the bare atom. */
export function readSet(value: Value | undefined): Atom[] {
  if (value === undefined) return [];
  if (isTagged(value) && value[0] === 'set') return [...(value[1] as readonly Atom[])];
  return [value as Atom];
}

export function readMap(value: Value | undefined): Record<string, string> {
  if (!isTagged(value) || value[0] !== 'map') return {};
  return Object.fromEntries((value[1] as readonly (readonly [Atom, Atom])[]).map(([k, v]) => [String(k), String(v)]));
}

const readUuids = (value: Value | undefined): string[] => readSet(value).map((atom) => (atom as readonly [string, string])[1]);
const readNumber = (value: Value | undefined): number | undefined => readSet(value)[0] as number | undefined;
const readText = (value: Value | undefined): string | undefined => readSet(value)[0] as string | undefined;

export const writeSet = (atoms: readonly Atom[]): Value => ['set', atoms];
export const writeMap = (map: Record<string, string>): Value => ['map', Object.entries(map).toSorted(byKey)];
const byKey = (a: [string, string], b: [string, string]): number => (a[0] < b[0] ? -1 : 1);

/** Puts the cached tables together. */
export function readSwitch(tables: Tables): SwitchRows {
  const [root] = [...tables('Open_vSwitch')];
  const bridges = root ? readUuids(root[1].bridges) : [];
  const version = root && readText(root[1].ovs_version);
  return {
    ...(root ? { root: { uuid: root[0], curCfg: Number(root[1].cur_cfg ?? 0), ...(version ? { version } : {}) } } : {}),
    bridges: bridges.flatMap((uuid) => readBridge(tables, uuid)),
  };
}

function readBridge(tables: Tables, uuid: string): BridgeRow[] {
  const row = tables('Bridge').get(uuid);
  if (!row) return [];
  const failMode = readText(row.fail_mode);
  return [
    {
      uuid,
      name: String(row.name),
      datapath: String(row.datapath_type) || 'system',
      ...(failMode === undefined ? {} : { failMode }),
      marks: readMap(row.external_ids),
      ports: readUuids(row.ports).flatMap((port) => readPort(tables, port)),
    },
  ];
}

function readPort(tables: Tables, uuid: string): PortRow[] {
  const row = tables('Port').get(uuid);
  if (!row) return [];
  const tag = readNumber(row.tag);
  const [vlanMode, bondMode, lacp] = [readText(row.vlan_mode), readText(row.bond_mode), readText(row.lacp)];
  return [
    {
      uuid,
      name: String(row.name),
      ...(tag === undefined ? {} : { tag }),
      trunks: readSet(row.trunks) as number[],
      marks: readMap(row.external_ids),
      ...(vlanMode === undefined ? {} : { vlanMode }),
      ...(bondMode === undefined ? {} : { bondMode }),
      ...(lacp === undefined ? {} : { lacp }),
      otherConfig: readMap(row.other_config),
      interfaces: readUuids(row.interfaces).flatMap((each) => readInterface(tables, each)),
    },
  ];
}

function readInterface(tables: Tables, uuid: string): InterfaceRow[] {
  const row = tables('Interface').get(uuid);
  if (!row) return [];
  const lacpCurrent = readSet(row.lacp_current)[0] as boolean | undefined;
  const [ofport, error, mac, mtu] = [readNumber(row.ofport), readText(row.error), readText(row.mac), readNumber(row.mtu_request)];
  return [
    {
      uuid,
      name: String(row.name),
      type: String(row.type),
      // -1: the switch could not open the device.
      ...(ofport === undefined || ofport < 0 ? {} : { ofport }),
      ...(error === undefined ? {} : { error }),
      ...(mac === undefined ? {} : { mac }),
      ...(mtu === undefined ? {} : { mtu }),
      linkUp: readText(row.link_state) === 'up',
      ...(lacpCurrent === undefined ? {} : { lacpCurrent }),
    },
  ];
}
