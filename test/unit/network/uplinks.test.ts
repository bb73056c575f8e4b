import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../../../appliance/host/logger.ts';
import { network } from '../../../appliance/resources/croft-kinds.ts';
import { idLabel, newId } from '../../../appliance/resources/identity.ts';
import { confirmBefore, specBefore, uplink, wrongUplink, type Uplink } from '../../../appliance/resources/uplink.ts';
import { editObject } from '../../../appliance/store/edit.ts';
import { openSqliteStore } from '../../../appliance/store/sqlite.ts';
import type { ResourceStore } from '../../../appliance/store/store.ts';
import { planSwitch } from '../../../network/ovs/plan.ts';
import { startNetwork, type NetworkService } from '../../../network/reconciler.ts';
import { simHost, SimSwitchDriver } from '../../../network/sim.ts';
import { admitUplinks, carries, isMachinePort, movesOf, uplinkPortName, type Nic } from '../../../network/uplinks/admit.ts';
import { planRollback } from '../../../network/uplinks/confirm.ts';
import { offeredNics } from '../../../network/uplinks/offer.ts';
import { membersOf, uplinkConditions } from '../../../network/uplinks/status.ts';
import { wishedSwitch } from '../../../network/wish.ts';
import { eventually } from '../../helpers/eventually.ts';

const make = (name: string, spec: Uplink['spec'], more: Partial<Uplink['metadata']> = {}): Uplink => ({
  apiVersion: 'croft.io/v1',
  kind: 'Uplink',
  metadata: {
    name,
    labels: { [idLabel]: `01890000-0000-7000-8000-0000000000${name}` },
    creationTimestamp: `2026-01-01T00:00:${name}Z`,
    ...more,
  },
  spec,
});
const nic = (name: string, more: Partial<Nic> = {}): Nic => ({ name, up: true, mtu: 1500, addresses: [], ...more });
const nics = [
  nic('eth0', { addresses: ['192.0.2.1/24'] }),
  nic('eth1'),
  nic('eth2'),
  nic('br0', { kind: 'bridge' }),
  nic('eth3', { master: 'br0' }),
  nic('eth4', { master: 'ovs-system' }),
];
const refusalOf = (...uplinks: Uplink[]) => [...admitUplinks(uplinks, nics).refused.values()].join();

describe('admitUplinks', () => {
  it('never takes what the machine is reached by or what others use', () => {
    expect(refusalOf(make('10', { interfaces: ['eth0'] }))).toContain('eth0 has the address 192.0.2.1/24');
    expect(refusalOf(make('10', { interfaces: ['br0'] }))).toContain('br0 is a bridge device');
    expect(refusalOf(make('10', { interfaces: ['eth3'] }))).toContain('eth3 is in br0 already');
    expect(refusalOf(make('10', { interfaces: ['croft0'] }))).toContain('croft0 is no NIC');
    expect(refusalOf(make('10', { interfaces: ['lo'] }))).toContain('lo is no NIC');
    expect(refusalOf(make('10', { interfaces: ['eth1', 'eth4'] }))).toBe('');
    // It may be plugged in later.
    expect(refusalOf(make('10', { interfaces: ['eth9'] }))).toBe('');
  });

  it("takes a NIC with addresses only where they move along, to where the wire's untagged frames are", () => {
    const mine = [nic('eth0', { addresses: ['192.0.2.1/24'], mac: '02:00:00:00:00:01' })];
    const wishOf = (spec: Partial<Uplink['spec']>) =>
      admitUplinks([make('10', { interfaces: ['eth0'], moveAddresses: true, ...spec })], mine).uplinks;
    const portOf = (spec: Partial<Uplink['spec']>) =>
      wishedSwitch(new Map(), { nics: [], uplinks: wishOf(spec) }).ports.find(({ name }) => isMachinePort(name));
    expect(portOf({})).toMatchObject({ type: 'internal', trunks: [0], mac: '02:00:00:00:00:01', owner: { uplink: '10' } });
    expect(portOf({ native: 7 })).toMatchObject({ vlan: 7 });
    expect(portOf({ access: 8 })).toMatchObject({ vlan: 8 });
    expect(movesOf(wishOf({}))).toEqual([{ nic: 'eth0', to: portOf({})?.name }]);
    expect(refusalOf(make('10', { interfaces: ['eth0'], moveAddresses: true, vlans: [20] }))).toContain('add native');
    // The MAC address stays while the NIC is away.
    const [before] = wishOf({});
    const gone = admitUplinks([make('10', { interfaces: ['eth0'], moveAddresses: true })], [], before ? [before] : []);
    expect(gone.uplinks[0]?.mac).toBe('02:00:00:00:00:01');
    // Without the wish there is no such port.
    expect(portOf({ moveAddresses: false })).toBeUndefined();
  });

  it('keeps what is on the switch already, whatever its NIC looks like now', () => {
    const held = new Map([['10', ['eth0']]]);
    expect(admitUplinks([make('10', { interfaces: ['eth0'] })], nics, [], held).refused.size).toBe(0);
  });

  it('gives a VLAN one way out: of two uplinks that clash the younger is refused', () => {
    expect(refusalOf(make('20', { interfaces: ['eth2'] }), make('10', { interfaces: ['eth1'] }))).toContain(
      '10 carries all VLANs',
    );
    expect(refusalOf(make('10', { interfaces: ['eth1'], vlans: [10] }), make('20', { interfaces: ['eth2'] }))).toContain(
      'It would carry all',
    );
    const both = [make('10', { interfaces: ['eth1'], vlans: [10], native: 5 }), make('20', { interfaces: ['eth2'], access: 5 })];
    expect(refusalOf(...both)).toContain('5 is carried by the uplink 10');
    expect(
      refusalOf(make('10', { interfaces: ['eth1'], vlans: [10] }), make('20', { interfaces: ['eth1'], vlans: [20] })),
    ).toContain('eth1 is in the uplink 10');
    expect(refusalOf(make('10', { interfaces: ['eth1'], vlans: [10] }), make('20', { interfaces: ['eth2'], vlans: [20] }))).toBe(
      '',
    );
  });

  it('names what is wrong within one', () => {
    expect(wrongUplink({ interfaces: ['a', 'a'] })?.message).toContain('a is named twice');
    expect(wrongUplink({ interfaces: ['a'], mode: 'active-backup' })?.field).toBe('mode');
    expect(wrongUplink({ interfaces: ['a'], access: 1, vlans: [2] })?.message).toContain(
      'access to one VLAN (access) or a trunk (vlans)',
    );
    expect(wrongUplink({ interfaces: ['a'], mode: 'lacp' })).toBeUndefined();
  });

  it('knows what an uplink carries', () => {
    const spec = (more: Partial<Uplink['spec']> = {}) => ({ interfaces: ['a'], ...more });
    expect([carries(spec(), 7), carries(spec(), undefined)]).toEqual([true, true]);
    expect([
      carries(spec({ vlans: [7] }), 7),
      carries(spec({ vlans: [7] }), 8),
      carries(spec({ vlans: [7] }), undefined),
    ]).toEqual([true, false, false]);
    expect([carries(spec({ native: 7 }), 7), carries(spec({ native: 7 }), undefined)]).toEqual([true, false]);
    expect([carries(spec({ access: 7 }), 7), carries(spec({ access: 7 }), 8)]).toEqual([true, false]);
  });
});

describe('the switch of an uplink', () => {
  const row = (spec: Uplink['spec']) => {
    const segments = new Map([
      ['kept', { id: newId(), name: 'kept', vlan: 40, isolated: true, dhcp: false, nat: false, reservations: [] }],
    ]);
    const wish = wishedSwitch(segments, { nics: [], uplinks: [{ id: newId(), name: 'lan', ...spec }] });
    const inserts = planSwitch({ root: { uuid: 'r', curCfg: 0 }, bridges: [] }, wish, 'system');
    return inserts.find((each) => each.table === 'Port')?.row as { trunks: ['set', number[]] } & Record<string, unknown>;
  };

  it('keeps isolated VLANs in, also when they are named', () => {
    expect(row({ interfaces: ['eth1'] }).trunks[1]).not.toContain(40);
    expect(row({ interfaces: ['eth1'] }).trunks[1]).toContain(0);
    expect(row({ interfaces: ['eth1'], vlans: [30, 40] }).trunks).toEqual(['set', [30]]);
  });

  it('sends the native VLAN untagged, and no untagged network with it', () => {
    const wished = row({ interfaces: ['eth1'], native: 20 });
    expect(wished).toMatchObject({ tag: ['set', [20]], vlan_mode: ['set', ['native-untagged']] });
    expect(wished.trunks[1]).not.toContain(0);
  });

  it('makes a bond of several NICs', () => {
    expect(row({ interfaces: ['eth1'] })).toMatchObject({ bond_mode: ['set', []], lacp: ['set', []] });
    expect(row({ interfaces: ['eth1', 'eth2'] })).toMatchObject({ bond_mode: ['set', ['active-backup']], lacp: ['set', []] });
    expect(row({ interfaces: ['eth1', 'eth2'], mode: 'lacp' })).toMatchObject({
      bond_mode: ['set', ['balance-tcp']],
      lacp: ['set', ['active']],
    });
  });
});

describe('the status of an uplink', () => {
  const spec: Uplink['spec'] = { interfaces: ['eth1', 'eth2'], mode: 'lacp' };
  const told = (...observed: Parameters<typeof membersOf>[1]) => {
    const [ready, degraded] = uplinkConditions(spec, membersOf(spec, observed, nics));
    return [ready?.status, degraded?.status, degraded?.message || ready?.message];
  };

  it('tells a missing leg, a dead wire and a silent partner apart', () => {
    expect(told({ name: 'eth1', up: true, negotiated: true }, { name: 'eth2', up: true, negotiated: true })).toEqual([
      'True',
      'False',
      'The uplink carries its VLANs.',
    ]);
    expect(told({ name: 'eth1', up: true, negotiated: true }, { name: 'eth2', up: false })[2]).toContain('eth2 has no link');
    expect(told({ name: 'eth1', up: true, negotiated: false }, { name: 'eth2', up: true, negotiated: false })[2]).toContain(
      'does not speak LACP on eth1, eth2',
    );
    expect(told()).toEqual(['False', 'False', expect.stringContaining('eth1, eth2 have no link')]);
    const gone = membersOf({ interfaces: ['eth9'] }, [], nics);
    expect(uplinkConditions({ interfaces: ['eth9'] }, gone)[0]).toMatchObject({
      status: 'False',
      message: 'eth9 is not in this machine.',
    });
  });
});

describe('planRollback', () => {
  const waiting = (before: string) =>
    make(
      '10',
      { interfaces: ['eth1'] },
      { annotations: { [confirmBefore]: new Date(1_000).toISOString(), [specBefore]: before } },
    );

  it('waits, then puts back what was, or takes away what was not there', () => {
    expect(planRollback(make('10', { interfaces: ['eth1'] }), 5_000)).toEqual({ do: 'nothing' });
    expect(planRollback(waiting(''), 400)).toEqual({ do: 'wait', ms: 600 });
    expect(planRollback(waiting(''), 1_000)).toEqual({ do: 'delete' });
    expect(planRollback(waiting('{"interfaces":["eth2"]}'), 1_000)).toEqual({ do: 'put-back', spec: { interfaces: ['eth2'] } });
  });
});

describe('Uplinks of a box', () => {
  let directory: string;
  let store: ResourceStore;
  let service: NetworkService;
  const driver = new SimSwitchDriver();
  const host = simHost();
  const events: string[] = [];
  const get = (name: string) => store.get(uplink, name);
  const port = () => [...driver.ports.values()].find((each) => each.owner.uplink === 'lan');

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'croft-r-'));
    store = openSqliteStore({ path: join(directory, 'store.db') });
    service = await startNetwork({
      store,
      events: { record: ({ reason }) => void events.push(reason), list: () => [], subscribe: () => () => {} },
      logger: silentLogger(),
      config: { ovs: 'own', data: directory, run: join(directory, 'run') },
      paths: { ovs: join(directory, 'ovs') },
      simulated: { driver, host },
    });
  });

  afterEach(async () => {
    await service.close();
    await store.close();
    rmSync(directory, { recursive: true, force: true });
  });

  it('come and go, and networks tell which of them they leave by', async () => {
    await store.create(network, { metadata: { name: 'red' }, spec: { vlan: 20 } });
    await store.create(uplink, { metadata: { name: 'lan' }, spec: { interfaces: ['eth1', 'eth2'] } });
    await eventually(
      async () =>
        (await get('lan'))?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true,
    );
    const id = (await get('lan'))?.metadata.labels?.[idLabel] as string;
    expect(port()).toMatchObject({ name: uplinkPortName(id), members: ['eth1', 'eth2'], bond: 'active-backup' });
    expect(host.prepared).toEqual(['eth1', 'eth2']);
    await eventually(async () => (await store.get(network, 'red'))?.status?.uplink === 'lan');
    expect((await store.get(network, 'default'))?.status?.uplink).toBeUndefined();
    await store.delete(uplink, 'lan');
    await eventually(async () => (await store.get(network, 'red'))?.status?.uplink === undefined && !port());
    expect(host.prepared).toEqual([]);
  });

  it('say why they are refused', async () => {
    await store.create(uplink, { metadata: { name: 'lan' }, spec: { interfaces: ['eth0'] } });
    await eventually(
      async () =>
        (await get('lan'))?.status?.conditions
          ?.find(({ type }) => type === 'Ready')
          ?.message?.includes('eth0 has the address') === true,
    );
    expect(port()).toBeUndefined();
  });

  it('give addresses back that nobody confirmed the move of', async () => {
    await store.create(uplink, {
      metadata: { name: 'lan', annotations: { [confirmBefore]: new Date(Date.now() + 500).toISOString(), [specBefore]: '' } },
      spec: { interfaces: ['eth0'], moveAddresses: true },
    });
    await eventually(() => host.moved[0]?.nic === 'eth0');
    await eventually(async () => (await get('lan')) === undefined && host.moved.length === 0, { timeout: 5_000 });
    expect([...driver.ports.keys()].filter(isMachinePort)).toEqual([]);
  });

  it('undo by themselves what nobody confirmed', async () => {
    await store.create(uplink, { metadata: { name: 'lan' }, spec: { interfaces: ['eth1'] } });
    await eventually(() => port()?.members?.[0] === 'eth1');
    await editObject(store, uplink, { name: 'lan' }, (draft) => {
      draft.metadata.annotations = {
        [confirmBefore]: new Date(Date.now() + 600).toISOString(),
        [specBefore]: JSON.stringify(draft.spec),
      };
      draft.spec = { interfaces: ['eth2'] };
    });
    await eventually(() => port()?.members?.[0] === 'eth2');
    await eventually(() => port()?.members?.[0] === 'eth1', { timeout: 5_000 });
    expect((await get('lan'))?.metadata.annotations).toEqual({});
    expect(events).toContain('RolledBack');
    await store.create(uplink, {
      metadata: { name: 'wan', annotations: { [confirmBefore]: new Date(Date.now() + 300).toISOString(), [specBefore]: '' } },
      spec: { interfaces: ['eth2'], vlans: [9] },
    });
    await eventually(async () => (await get('wan')) === undefined, { timeout: 5_000 });
  });
});

describe('offeredNics', () => {
  const nic = (name: string, rest: Partial<Nic> = {}): Nic => ({ name, up: true, mtu: 1500, addresses: [], ...rest });

  it('names what can be an uplink, what is one, and why others are not; devices that lead nowhere are left out', () => {
    const nics = [
      nic('eth10'),
      nic('eth2', { link: true, speed: 10_000, mac: '52:54:00:00:00:02' }),
      nic('eth0', { addresses: ['192.0.2.1/24'] }),
      nic('eth3', { master: 'br0' }),
      nic('lo'),
      nic('ct0123456789'),
      nic('br0', { kind: 'bridge' }),
    ];
    const uplinks = [{ id: 'u', name: 'lan', interfaces: ['eth10'] }];
    expect(offeredNics(nics, uplinks)).toEqual([
      { name: 'eth0', mtu: 1500, addresses: ['192.0.2.1/24'], refusal: expect.stringContaining('the machine would lose it') },
      { name: 'eth2', mtu: 1500, addresses: [], link: true, speed: 10_000, mac: '52:54:00:00:00:02' },
      { name: 'eth3', mtu: 1500, addresses: [], refusal: expect.stringContaining('br0 already') },
      { name: 'eth10', mtu: 1500, addresses: [], uplink: 'lan' },
    ]);
  });
});
