import { describe, expect, it } from 'vitest';
import { silentLogger } from '../../../appliance/host/logger.ts';
import { newId, podLinkName, tapName } from '../../../appliance/resources/identity.ts';
import { NetworkEngine } from '../../../network/engine.ts';
import { parseCidr } from '../../../network/ip.ts';
import { isPodLink, parseEnd } from '../../../network/pods/link.ts';
import { markOf, planPodLink, type LinkEnd, type PodLinkObserved, type PodLinkShape } from '../../../network/pods/plan.ts';
import { podRules } from '../../../network/pods/rules.ts';
import { simHost, SimSwitchDriver } from '../../../network/sim.ts';
import type { Segment } from '../../../network/wish.ts';

const shape: PodLinkShape = {
  name: 'cp0123456789n0',
  far: 'croft0',
  mac: '02:00:00:00:00:01',
  mtu: 1500,
  address: '172.30.0.9',
  podAddress: '10.42.0.5',
  guestAddress: '172.30.0.8',
  offloads: false,
};
const rules = podRules({ link: 'croft0', podAddress: '10.42.0.5', guestAddress: '172.30.0.8' });
const near: LinkEnd = { index: 12, peer: 3, up: true, mtu: 1500, mac: '02:aa:00:00:00:01', addresses: [] };
const far: LinkEnd = { index: 3, peer: 12, up: true, mtu: 1500, mac: shape.mac, addresses: ['172.30.0.9/32'] };
const standing: PodLinkObserved = { near, far, marks: ['prerouting', markOf(rules)], forwarding: true };
const route = ['route', 'replace', '172.30.0.8/32', 'dev', 'croft0', 'src', '172.30.0.9'];
const commandsOf = (observed: PodLinkObserved) =>
  planPodLink(observed, shape, 77).batches.map((batch) => [batch.in, batch.commands]);

describe('a pod link', () => {
  it('that stands as wished is left alone, but for its route', () => {
    expect(planPodLink(standing, shape, 77)).toEqual({
      remake: false,
      batches: [{ in: 'pod', commands: [route] }],
      checksumsOff: false,
      forward: false,
    });
  });

  it('is made where there is none, rules and forwarding too', () => {
    const nothing = { near: undefined, far: undefined, marks: [], forwarding: false };
    const plan = planPodLink(nothing, shape, 77);
    expect(plan).toMatchObject({ remake: true, checksumsOff: true, forward: true });
    expect(plan.rules).toBe(`${rules}add chain ip croft ${markOf(rules)}\n`);
    expect(commandsOf(nothing)).toEqual([
      [
        'host',
        [
          'link add name cp0123456789n0 mtu 1500 type veth peer name croft0 mtu 1500 address 02:00:00:00:00:01 netns 77'.split(
            ' ',
          ),
          ['link', 'set', 'dev', shape.name, 'addrgenmode', 'none'],
          ['link', 'set', 'dev', shape.name, 'up'],
        ],
      ],
      ['pod', [['address', 'add', '172.30.0.9/32', 'dev', 'croft0'], ['link', 'set', 'dev', 'croft0', 'up'], route]],
    ]);
    expect(planPodLink(nothing, { ...shape, offloads: true }, 77).checksumsOff).toBe(false);
  });

  it('that leads to an earlier sandbox is made anew', () => {
    const [host] = commandsOf({ ...standing, far: undefined });
    expect(host?.[1]?.slice(0, 2)).toEqual([['link', 'delete', 'dev', shape.name], expect.arrayContaining(['netns', '77'])]);
  });

  it('gives way to no device of its name that is another’s end', () => {
    const [first, second] = commandsOf({ ...standing, far: { ...far, peer: 99 } });
    expect(first).toEqual(['pod', [['link', 'delete', 'dev', 'croft0']]]);
    expect(second?.[0]).toBe('host');
  });

  it('takes old addresses away, and brings ends up', () => {
    const drifted = { near: { ...near, up: false }, far: { ...far, up: false, addresses: ['172.30.0.4/32'] } };
    expect(commandsOf({ ...standing, ...drifted })).toEqual([
      ['host', [['link', 'set', 'dev', shape.name, 'up']]],
      [
        'pod',
        [
          ['address', 'delete', '172.30.0.4/32', 'dev', 'croft0'],
          ['address', 'add', '172.30.0.9/32', 'dev', 'croft0'],
          ['link', 'set', 'dev', 'croft0', 'up'],
          route,
        ],
      ],
    ]);
  });

  it('gets new rules when pod or guest have another address', () => {
    expect(planPodLink(standing, { ...shape, guestAddress: '172.30.0.7' }, 77).rules).toContain('dnat to 172.30.0.7');
  });
});

describe('podRules', () => {
  it('forwards what arrives at the pod’s address, and nothing else', () => {
    expect(rules).toContain('iifname "eth0" ip daddr 10.42.0.5 dnat to 172.30.0.8');
    expect(rules).toContain('type filter hook forward priority filter; policy drop;');
    expect(rules).toContain('oifname "croft0" ip daddr 172.30.0.8 masquerade');
  });
});

describe('parseEnd', () => {
  it('reads what ip prints, and nothing of a device that is not there', () => {
    const json = JSON.stringify([
      {
        ifindex: 3,
        link_index: 12,
        ifname: 'croft0',
        flags: ['BROADCAST', 'UP'],
        mtu: 1500,
        address: shape.mac,
        addr_info: [
          { family: 'inet', local: '172.30.0.9', prefixlen: 32 },
          { family: 'inet6', local: 'fe80::1', prefixlen: 64 },
        ],
      },
    ]);
    expect(parseEnd(json)).toEqual(far);
    expect(parseEnd('')).toBeUndefined();
    expect(parseEnd('[{}]')).toBeUndefined();
  });
});

describe('the engine', () => {
  const lan: Segment = {
    id: newId(),
    name: 'lan',
    isolated: true,
    dhcp: true,
    nat: true,
    reservations: [],
    cidr: parseCidr('172.30.0.1/24') as NonNullable<Segment['cidr']>,
  };
  const bare: Segment = { id: newId(), name: 'bare', vlan: 7, isolated: false, dhcp: false, nat: false, reservations: [] };
  const setUp = async (driver = new SimSwitchDriver(), host = simHost()) => {
    const engine = new NetworkEngine({ driver, host, logger: silentLogger() });
    await engine.start();
    engine.setSegments([lan, bare]);
    await engine.converge();
    return { driver, host, engine };
  };
  const vmId = newId();
  const plug = (engine: NetworkEngine, network: string) =>
    engine.plug({ vmId, index: 0, nic: 'net', mac: '52:54:00:00:00:01', network, uid: undefined, linkUp: true });
  const link = (engine: NetworkEngine, pid: number) => engine.linkPod({ vmId, nic: 'net', pid, podAddress: '10.42.0.5' });
  const name = podLinkName(vmId, 0);

  it('puts the link on the guest’s network with an address of its own, filtered', async () => {
    const { driver, host, engine } = await setUp();
    await plug(engine, 'lan');
    await link(engine, 7);
    const guest = driver.ports.get(tapName(vmId, 0))?.allowed?.addresses?.[0];
    const port = driver.ports.get(name);
    expect(isPodLink(name)).toBe(true);
    expect(port).toMatchObject({ type: 'pod', isolatedGroup: lan.id });
    expect(host.pods.get(name)).toMatchObject({ pid: 7, shape: { guestAddress: guest, address: port?.allowed?.addresses?.[0] } });
    expect(port?.allowed?.addresses?.[0]).not.toBe(guest);
    engine.close();
  });

  it('lets the switch go of the link before it is made anew for another sandbox', async () => {
    const { driver, host, engine } = await setUp();
    await plug(engine, 'lan');
    await link(engine, 7);
    const address = host.pods.get(name)?.shape.address;
    let without = 0;
    const apply = driver.apply.bind(driver);
    driver.apply = async (wish) => {
      if (!wish.ports.some((port) => port.name === name)) without += 1;
      await apply(wish);
    };
    await link(engine, 8);
    expect(without).toBe(1);
    await link(engine, 8);
    expect(without).toBe(1);
    expect(host.pods.get(name)).toMatchObject({ pid: 8, shape: { address } });
    engine.close();
  });

  it('knows links again after a restart, and removes them with the NIC, the VM, or as orphans', async () => {
    const { driver, host, engine } = await setUp();
    await plug(engine, 'lan');
    await link(engine, 7);
    const before = structuredClone(driver.ports);
    engine.close();
    const { engine: again } = await setUp(driver, host);
    expect(driver.ports).toEqual(before);
    await again.reap(new Set([vmId]));
    expect(driver.ports).toEqual(before);
    for (const remove of [() => again.unplug(vmId, 0), () => again.unplugAll(vmId), () => again.reap(new Set())]) {
      await remove();
      expect([driver.ports.has(name), host.pods.size]).toEqual([false, 0]);
      await plug(again, 'lan');
      await link(again, 7);
    }
    again.close();
  });

  it('removes a pair that a crash left without a port', async () => {
    const { host, engine } = await setUp();
    await host.ensurePodLink({ ...shape, name }, 7, async () => {});
    await engine.reap(new Set());
    expect(host.pods.size).toBe(0);
    engine.close();
  });

  it('says why there can be no link', async () => {
    const { engine } = await setUp();
    await expect(link(engine, 7)).rejects.toThrow('The NIC net is on no network of this box.');
    await plug(engine, 'bare');
    await expect(link(engine, 7)).rejects.toThrow('The network bare gives no addresses');
    engine.close();
  });
});
