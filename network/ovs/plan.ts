/**
 * From the switch as read and the wish to the operations of one OVSDB transaction; pure. Nothing different:
 * no operations. Only the bridge of the wish is touched, and on it only ports that carry Croft's mark.
 */
import { CroftError } from '../../appliance/errors.ts';
import type { WishedPort, WishedSwitch } from '../driver.ts';
import { bridgeMarks, isOurs, marksOf } from './marks.ts';
import type { Atom, Operation, Value } from './ovsdb.ts';
import { writeMap, writeSet, type BridgeRow, type InterfaceRow, type PortRow, type SwitchRows } from './rows.ts';

export type Datapath = 'system' | 'netdev';

/** Interface.type of ovs-vswitchd.conf.db(5): `` is any device of the system, taps among them. */
const interfaceType = { tap: '', system: '', pod: '', internal: 'internal' } as const satisfies Record<
  WishedPort['type'],
  string
>;

/**
 * Without a controller OVS in `standalone` switches as a plain learning switch until flows are set. So guests
 * keep their network while croftd is away, even when ovs-vswitchd restarts then: VLANs and isolation stand in
 * the database and hold all the time, only the anti-spoofing flows are missing until croftd sets them again.
 */
const failMode = 'standalone';

/** Highest tag given to isolated networks; they go down from here. */
const highestInternalTag = 4094;

const whereUuid = (uuid: string) => [['_uuid', '==', ['uuid', uuid]]];

/** @throws CroftError `in-use` when a name we need belongs to somebody else */
export function planSwitch(rows: SwitchRows, wish: WishedSwitch, datapath: Datapath): Operation[] {
  const bridge = rows.bridges.find((each) => each.name === wish.bridge);
  if (bridge && bridge.marks.croft !== 'bridge') {
    throw new CroftError('in-use', `The bridge ${wish.bridge} exists on this switch and is not Croft's.`);
  }
  refuseForeignNames(rows, wish);
  const tags = internalTags(bridge, wish);
  const operations: Operation[] = [];
  const added: Value[] = [];
  const removed: Value[] = [];
  const present = new Map((bridge?.ports ?? []).filter((port) => isOurs(port.marks)).map((port) => [port.name, port]));
  wish.ports.forEach((port, index) => {
    const found = present.get(port.name);
    present.delete(port.name);
    if (found && changeable(found, port)) {
      operations.push(...changePort(found, port, index, tags));
      return;
    }
    if (found) removed.push(['uuid', found.uuid]);
    operations.push(...insertPort(port, index, tags));
    added.push(['named-uuid', `port${index}`]);
  });
  for (const orphan of present.values()) removed.push(['uuid', orphan.uuid]);
  operations.push(...(bridge ? changeBridge(bridge, added, removed, datapath) : insertBridge(wish.bridge, added, datapath)));
  return operations.length === 0 ? [] : [...operations, ...counted];
}

/** Ends each plan: ovs-vswitchd copies next_cfg to cur_cfg once it has done all before. */
const counted: Operation[] = [
  { op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['next_cfg', '+=', 1]] },
  { op: 'select', table: 'Open_vSwitch', where: [], columns: ['next_cfg'] },
];

/** Takes the bridge away with all its ports. */
export const planRemoval = (bridge: BridgeRow): Operation[] => [
  { op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['bridges', 'delete', ['set', [['uuid', bridge.uuid]]]]] },
  ...counted,
];

const devicesOf = (port: WishedPort): string[] => port.members ?? [port.name];

/** Whether the port can be changed in place, and need not be made anew. */
const changeable = (found: PortRow, port: WishedPort): boolean =>
  found.interfaces.length > 0 &&
  found.interfaces.every((device) => device.type === interfaceType[port.type]) &&
  (port.members !== undefined || found.interfaces.length === 1);

function refuseForeignNames(rows: SwitchRows, wish: WishedSwitch): void {
  const names = new Set(wish.ports.map((port) => port.name));
  const devices = new Set(wish.ports.flatMap((port) => port.members ?? []));
  for (const bridge of rows.bridges) {
    for (const port of bridge.ports) {
      if (bridge.name === wish.bridge && isOurs(port.marks)) continue;
      const taken = port.interfaces.find((device) => devices.has(device.name));
      if (taken) {
        throw new CroftError('in-use', `The NIC ${taken.name} is on the bridge ${bridge.name} already and is not Croft's.`);
      }
      if (!names.has(port.name)) continue;
      throw new CroftError('in-use', `The port ${port.name} is on the bridge ${bridge.name} already and is not Croft's.`);
    }
  }
}

/** A VLAN tag of this box for each isolated group: the one it has if still free, else the highest free one. */
export function internalTags(bridge: BridgeRow | undefined, wish: WishedSwitch): Map<string, number> {
  const taken = new Set(wish.ports.flatMap((port) => [port.vlan ?? [], port.trunks ?? [], port.native ?? []].flat()));
  const groups = [...new Set(wish.ports.flatMap((port) => (port.isolatedGroup === undefined ? [] : [port.isolatedGroup])))];
  const tags = new Map<string, number>();
  for (const port of bridge?.ports ?? []) {
    const group = port.marks['croft-group'];
    if (group === undefined || !groups.includes(group) || tags.has(group)) continue;
    if (port.tag === undefined || taken.has(port.tag)) continue;
    tags.set(group, port.tag);
    taken.add(port.tag);
  }
  let next = highestInternalTag;
  for (const group of groups.filter((each) => !tags.has(each)).toSorted()) {
    while (taken.has(next)) next--;
    tags.set(group, next);
    taken.add(next);
  }
  return tags;
}

function portRow(port: WishedPort, tags: Map<string, number>): Record<string, Value> {
  const tag = port.isolatedGroup === undefined ? port.vlan : tags.get(port.isolatedGroup);
  return {
    tag: writeSet([tag ?? port.native ?? []].flat()),
    trunks: writeSet(trunksOf(port, new Set([...tags.values(), ...(port.except ?? [])]))),
    external_ids: writeMap(marksOf(port)),
    ...(port.members ? uplinkColumns(port) : {}),
  };
}

/** @param inside VLANs that mean "never leaves this box": an uplink that carries all others must not carry them */
function trunksOf(port: WishedPort, inside: Set<number>): number[] {
  const open = port.type === 'system' && port.vlan === undefined && !port.trunks;
  if (!open) return (port.trunks ?? []).toSorted((a, b) => a - b);
  // Untagged frames are the native VLAN's: those of networks without a VLAN would mix with them.
  if (port.native !== undefined) inside.add(0);
  return inside.size === 0 ? [] : Array.from({ length: 4095 }, (_, id) => id).filter((id) => !inside.has(id));
}

/**
 * Columns of a port that is an uplink (ovs-vswitchd.conf.db(5)). Fast LACP finds a dead partner in 3 s, not 90.
 * Without a partner one member works alone, so that a box can be reached before its switch is set up.
 */
function uplinkColumns({ members = [], bond, native }: WishedPort): Record<string, Value> {
  const lacp = bond === 'lacp';
  return {
    vlan_mode: writeSet(native === undefined ? [] : ['native-untagged']),
    bond_mode: writeSet(members.length < 2 ? [] : [lacp ? 'balance-tcp' : 'active-backup']),
    lacp: writeSet(lacp ? ['active'] : []),
    other_config: writeMap(lacp ? { 'lacp-fallback-ab': 'true', 'lacp-time': 'fast' } : {}),
  };
}

const interfaceRow = (port: WishedPort): Record<string, Value> => ({
  mac: writeSet(port.mac === undefined ? [] : [port.mac]),
  mtu_request: writeSet(port.mtu === undefined ? [] : [port.mtu]),
});

/** Inserts of devices, and what the port refers to them by. */
function insertDevices(port: WishedPort, names: readonly string[], index: number): { operations: Operation[]; refs: Atom[] } {
  const operations = names.map((name, at) => ({
    op: 'insert',
    table: 'Interface',
    row: { name, type: interfaceType[port.type], ...interfaceRow(port) },
    'uuid-name': `interface${index}_${at}`,
  }));
  return { operations, refs: names.map((_, at) => ['named-uuid', `interface${index}_${at}`] as const) };
}

function insertPort(port: WishedPort, index: number, tags: Map<string, number>): Operation[] {
  const { operations, refs } = insertDevices(port, devicesOf(port), index);
  const row = { name: port.name, interfaces: writeSet(refs), ...portRow(port, tags) };
  return [...operations, { op: 'insert', table: 'Port', row, 'uuid-name': `port${index}` }];
}

function changePort(found: PortRow, port: WishedPort, index: number, tags: Map<string, number>): Operation[] {
  const optional = (value: string | undefined): Value => writeSet(value === undefined ? [] : [value]);
  const foundPort = {
    tag: writeSet(found.tag === undefined ? [] : [found.tag]),
    trunks: writeSet(found.trunks.toSorted((a, b) => a - b)),
    external_ids: writeMap(found.marks),
    vlan_mode: optional(found.vlanMode),
    bond_mode: optional(found.bondMode),
    lacp: optional(found.lacp),
    other_config: writeMap(found.otherConfig),
  };
  const wished = devicesOf(port);
  const kept = found.interfaces.filter((device) => wished.includes(device.name));
  const fresh = insertDevices(
    port,
    wished.filter((name) => !kept.some((device) => device.name === name)),
    index,
  );
  const refs = [...kept.map(({ uuid }) => ['uuid', uuid] as const), ...fresh.refs];
  const moved = kept.length !== found.interfaces.length || fresh.refs.length > 0;
  return [
    ...fresh.operations,
    ...(moved ? [{ op: 'update', table: 'Port', where: whereUuid(found.uuid), row: { interfaces: writeSet(refs) } }] : []),
    ...update('Port', found.uuid, foundPort, portRow(port, tags)),
    ...kept.flatMap((device) => update('Interface', device.uuid, foundDevice(device), interfaceRow(port))),
  ];
}

const foundDevice = (device: InterfaceRow): Record<string, Value> => ({
  mac: writeSet(device.mac === undefined ? [] : [device.mac]),
  mtu_request: writeSet(device.mtu === undefined ? [] : [device.mtu]),
});

/** One update of the columns that differ. */
function update(table: string, uuid: string, found: Record<string, Value>, wished: Record<string, Value>): Operation[] {
  const row = Object.fromEntries(
    Object.entries(wished).filter(([column, value]) => JSON.stringify(found[column]) !== JSON.stringify(value)),
  );
  return Object.keys(row).length === 0 ? [] : [{ op: 'update', table, where: whereUuid(uuid), row }];
}

function insertBridge(name: string, ports: Value[], datapath: Datapath): Operation[] {
  return [
    { op: 'insert', table: 'Interface', row: { name, type: 'internal' }, 'uuid-name': 'local_interface' },
    { op: 'insert', table: 'Port', row: { name, interfaces: ['named-uuid', 'local_interface'] }, 'uuid-name': 'local_port' },
    {
      op: 'insert',
      table: 'Bridge',
      row: {
        name,
        datapath_type: datapath,
        fail_mode: failMode,
        external_ids: writeMap(bridgeMarks),
        ports: ['set', [['named-uuid', 'local_port'], ...ports]],
      },
      'uuid-name': 'bridge',
    },
    { op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['bridges', 'insert', ['set', [['named-uuid', 'bridge']]]]] },
  ];
}

function changeBridge(bridge: BridgeRow, added: Value[], removed: Value[], datapath: Datapath): Operation[] {
  const operations: Operation[] = [];
  const mutations = [
    ...(removed.length > 0 ? [['ports', 'delete', ['set', removed]]] : []),
    ...(added.length > 0 ? [['ports', 'insert', ['set', added]]] : []),
  ];
  if (mutations.length > 0) operations.push({ op: 'mutate', table: 'Bridge', where: whereUuid(bridge.uuid), mutations });
  const found = { datapath_type: bridge.datapath, fail_mode: bridge.failMode ?? '' };
  return [...operations, ...update('Bridge', bridge.uuid, found, { datapath_type: datapath, fail_mode: failMode })];
}
