import { describe, expect, it } from 'vitest';
import type { WishedPort } from '../../../network/driver.ts';
import { planSwitch } from '../../../network/ovs/plan.ts';
import type { BridgeRow, PortRow, SwitchRows } from '../../../network/ovs/rows.ts';

const tap: WishedPort = {
  name: 'ct0123456789n0',
  type: 'tap',
  vlan: 20,
  allowed: { mac: '52:54:00:00:00:01', addresses: ['10.43.0.7'] },
  owner: { vmId: 'vm-1', nic: 'net', network: 'v20' },
};
const tapMarks = {
  croft: 'port',
  'croft-addresses': '10.43.0.7',
  'croft-mac': '52:54:00:00:00:01',
  'croft-network': 'v20',
  'croft-nic': 'net',
  'croft-vm': 'vm-1',
};
const portRow = (more: Partial<PortRow> = {}): PortRow => ({
  uuid: 'p-1',
  name: tap.name,
  tag: 20,
  trunks: [],
  marks: tapMarks,
  interfaces: [{ uuid: 'i-1', name: tap.name, type: '', ofport: 1, linkUp: true }],
  otherConfig: {},
  ...more,
});
const rows = (...ports: PortRow[]): SwitchRows => {
  const bridge: BridgeRow = {
    uuid: 'b-1',
    name: 'croft0',
    datapath: 'netdev',
    failMode: 'standalone',
    marks: { croft: 'bridge' },
    ports,
  };
  return { root: { uuid: 'r', curCfg: 1 }, bridges: [bridge] };
};
const wish = (...ports: WishedPort[]) => ({ bridge: 'croft0', ports });
const count = [
  { op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['next_cfg', '+=', 1]] },
  { op: 'select', table: 'Open_vSwitch', where: [], columns: ['next_cfg'] },
];

describe('planSwitch', () => {
  it('makes the bridge and its ports in one transaction', () => {
    expect(planSwitch({ root: { uuid: 'r', curCfg: 0 }, bridges: [] }, wish(tap), 'netdev')).toEqual([
      {
        op: 'insert',
        table: 'Interface',
        row: { name: tap.name, type: '', mac: ['set', []], mtu_request: ['set', []] },
        'uuid-name': 'interface0_0',
      },
      {
        op: 'insert',
        table: 'Port',
        row: {
          name: tap.name,
          interfaces: ['set', [['named-uuid', 'interface0_0']]],
          tag: ['set', [20]],
          trunks: ['set', []],
          external_ids: [
            'map',
            [
              ['croft', 'port'],
              ['croft-addresses', '10.43.0.7'],
              ['croft-mac', '52:54:00:00:00:01'],
              ['croft-network', 'v20'],
              ['croft-nic', 'net'],
              ['croft-vm', 'vm-1'],
            ],
          ],
        },
        'uuid-name': 'port0',
      },
      { op: 'insert', table: 'Interface', row: { name: 'croft0', type: 'internal' }, 'uuid-name': 'local_interface' },
      {
        op: 'insert',
        table: 'Port',
        row: { name: 'croft0', interfaces: ['named-uuid', 'local_interface'] },
        'uuid-name': 'local_port',
      },
      {
        op: 'insert',
        table: 'Bridge',
        row: {
          name: 'croft0',
          datapath_type: 'netdev',
          fail_mode: 'standalone',
          external_ids: ['map', [['croft', 'bridge']]],
          ports: [
            'set',
            [
              ['named-uuid', 'local_port'],
              ['named-uuid', 'port0'],
            ],
          ],
        },
        'uuid-name': 'bridge',
      },
      { op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['bridges', 'insert', ['set', [['named-uuid', 'bridge']]]]] },
      ...count,
    ]);
  });

  it('plans nothing where nothing differs', () => {
    expect(planSwitch(rows(portRow()), wish(tap), 'netdev')).toEqual([]);
  });

  it('moves a port by changing its tag only', () => {
    const moved = { ...tap, vlan: 30 };
    expect(planSwitch(rows(portRow()), wish(moved), 'netdev')).toEqual([
      { op: 'update', table: 'Port', where: [['_uuid', '==', ['uuid', 'p-1']]], row: { tag: ['set', [30]] } },
      ...count,
    ]);
  });

  it('removes its own orphans and never the ports of others', () => {
    const foreign = portRow({ uuid: 'p-2', name: 'eth1', marks: {} });
    expect(planSwitch(rows(portRow(), foreign), wish(), 'netdev')).toEqual([
      {
        op: 'mutate',
        table: 'Bridge',
        where: [['_uuid', '==', ['uuid', 'b-1']]],
        mutations: [['ports', 'delete', ['set', [['uuid', 'p-1']]]]],
      },
      ...count,
    ]);
  });

  it('refuses names and bridges of others, naming them', () => {
    expect(() => planSwitch(rows(portRow({ marks: {} })), wish(tap), 'netdev')).toThrow(/ct0123456789n0.*not Croft's/);
    const theirs = rows();
    (theirs.bridges[0] as BridgeRow).marks = {};
    expect(() => planSwitch(theirs, wish(), 'netdev')).toThrow(/croft0.*not Croft's/);
  });

  it('gives isolated groups free tags, keeps them, and keeps them off uplinks', () => {
    const isolated: WishedPort = { name: 'cn1', type: 'internal', isolatedGroup: 'g', owner: {} };
    const uplink: WishedPort = { name: 'eth1', type: 'system', owner: { uplink: 'lan' } };
    const taken: WishedPort = { name: 'cn2', type: 'internal', vlan: 4094, owner: {} };
    const inserted = planSwitch(rows(), wish(isolated, uplink, taken), 'netdev').filter((each) => each.table === 'Port');
    const row = (index: number) => (inserted[index] as unknown as { row: Record<string, unknown> }).row;
    expect(row(0).tag).toEqual(['set', [4093]]);
    const [, trunks] = row(1).trunks as [string, number[]];
    expect(trunks).toHaveLength(4094);
    expect(trunks).not.toContain(4093);
    const kept = portRow({
      name: 'cn1',
      tag: 77,
      marks: { croft: 'port', 'croft-group': 'g' },
      interfaces: [{ uuid: 'i', name: 'cn1', type: 'internal', linkUp: true }],
    });
    expect(planSwitch(rows(kept), wish(isolated), 'netdev')).toEqual([]);
  });
});
