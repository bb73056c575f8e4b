import { describe, expect, it } from 'vitest';
import { CroftError } from '../../../appliance/errors.ts';
import { silentLogger } from '../../../appliance/host/logger.ts';
import { newId, tapName } from '../../../appliance/resources/identity.ts';
import { NetworkEngine } from '../../../network/engine.ts';
import { parseCidr } from '../../../network/ip.ts';
import { simHost, SimSwitchDriver } from '../../../network/sim.ts';
import { legName, type Segment } from '../../../network/wish.ts';
import { eventually } from '../../helpers/eventually.ts';

const segment = (name: string, more: Partial<Segment> = {}): Segment => ({
  id: newId(),
  name,
  isolated: false,
  dhcp: false,
  nat: false,
  reservations: [],
  ...more,
});
const lan = segment('lan', {
  cidr: parseCidr('10.43.0.1/29') as NonNullable<Segment['cidr']>,
  dhcp: true,
  nat: true,
  isolated: true,
});
const v20 = segment('v20', { vlan: 20, mtu: 1400 });

const setUp = async (driver = new SimSwitchDriver(), host = simHost()) => {
  const engine = new NetworkEngine({ driver, host, logger: silentLogger() });
  await engine.start();
  engine.setSegments([lan, v20]);
  await engine.converge();
  const plug = (vmId: string, network: string, index = 0) =>
    engine.plug({ vmId, index, nic: 'net', mac: `52:54:00:00:00:${vmId.slice(-2)}`, network, uid: 1_900_000_000, linkUp: true });
  return { driver, host, engine, plug };
};

describe('NetworkEngine', () => {
  it('plugs a NIC: tap, filtered port, address', async () => {
    const { driver, host, engine, plug } = await setUp();
    const vmId = newId();
    expect(await plug(vmId, 'lan')).toEqual({ ifname: tapName(vmId, 0), offloads: true, mtu: 1500 });
    const port = driver.ports.get(tapName(vmId, 0));
    expect(port?.isolatedGroup).toBe(lan.id);
    expect(port?.allowed?.addresses).toEqual(engine.addressesOf(port?.allowed?.mac ?? ''));
    expect(host.taps.get(tapName(vmId, 0))).toEqual({ user: 1_900_000_000, up: true });
    expect(host.firewall).toEqual([{ name: legName(lan.id), subnet: '10.43.0.0/29', nat: true }]);
  });

  it('moves it live, and says so', async () => {
    const { driver, engine, plug } = await setUp();
    const vmId = newId();
    await plug(vmId, 'lan');
    expect(await plug(vmId, 'v20')).toMatchObject({ moved: true, mtu: 1400 });
    expect(await plug(vmId, 'v20')).not.toHaveProperty('moved');
    const port = driver.ports.get(tapName(vmId, 0));
    expect(port).toMatchObject({ vlan: 20 });
    expect(port?.allowed?.addresses).toBeUndefined();
    expect(engine.addressesOf(port?.allowed?.mac ?? '')).toEqual([]);
  });

  it('tells no address of a network that it left, though the lease there lasts', async () => {
    const { driver, host, engine, plug } = await setUp();
    const vmId = newId();
    await plug(vmId, 'lan');
    const mac = driver.ports.get(tapName(vmId, 0))?.allowed?.mac ?? '';
    await plug(vmId, 'v20');
    // A real DHCP server keeps the lease until it ends.
    await host.dhcp(lan.id, () => undefined).assign('kept', { mac, address: '10.43.0.5' });
    expect(engine.addressesOf(mac)).toEqual([]);
    expect(engine.leasesOf('lan')).toHaveLength(1);
  });

  it('names what is missing', async () => {
    const { plug } = await setUp();
    await expect(plug(newId(), 'nowhere')).rejects.toThrow('There is no Network nowhere');
  });

  it('runs out of addresses with a sentence', async () => {
    const { plug } = await setUp();
    for (let index = 0; index < 5; index++) await plug(`01890000-0000-7000-8000-0000000000${10 + index}`, 'lan');
    await expect(plug('01890000-0000-7000-8000-000000000099', 'lan')).rejects.toThrow(
      'lan (10.43.0.0/29) has no free address left',
    );
  });

  it('knows its NICs again after a restart, and touches nothing before the networks are known', async () => {
    const { driver, host, engine, plug } = await setUp();
    const vmId = newId();
    await plug(vmId, 'lan');
    const before = structuredClone(driver.ports);
    engine.close();
    const again = new NetworkEngine({ driver, host, logger: silentLogger() });
    await again.start();
    await again.converge();
    expect(driver.ports).toEqual(before);
    again.setSegments([lan, v20]);
    await again.converge();
    expect(driver.ports).toEqual(before);
    await again.reap(new Set([vmId]));
    expect(driver.ports).toEqual(before);
    await again.reap(new Set());
    expect([...driver.ports.keys()]).toEqual([legName(lan.id)]);
    expect(host.taps.size).toBe(0);
    again.close();
  });

  it('repairs drift when the switch says so', async () => {
    const { driver, plug } = await setUp();
    const vmId = newId();
    await plug(vmId, 'v20');
    driver.lose(tapName(vmId, 0));
    await eventually(() => driver.ports.has(tapName(vmId, 0)));
  });

  it('tries again by itself when the switch failed', async () => {
    const { driver, engine, plug } = await setUp();
    driver.failure = new CroftError('unavailable', 'the switch is away');
    const vmId = newId();
    await expect(plug(vmId, 'v20')).rejects.toThrow('the switch is away');
    await expect(engine.converge()).rejects.toThrow('the switch is away');
    driver.failure = undefined;
    await eventually(() => driver.ports.has(tapName(vmId, 0)));
  });

  it('unplugs one NIC, or all of a VM, twice as well as once', async () => {
    const { driver, host, engine, plug } = await setUp();
    const vmId = newId();
    await plug(vmId, 'v20');
    await plug(vmId, 'lan', 1);
    for (let time = 0; time < 2; time++) await engine.unplug(vmId, 0);
    expect(driver.ports.has(tapName(vmId, 0))).toBe(false);
    expect(driver.ports.has(tapName(vmId, 1))).toBe(true);
    for (let time = 0; time < 2; time++) await engine.unplugAll(vmId);
    expect(host.taps.size).toBe(0);
  });

  it('has one DHCP server for a network, however many ask for it at once', async () => {
    const host = simHost();
    const made: string[] = [];
    const slow = {
      ...host,
      dhcp: (id: string, onLeases: () => void) => {
        made.push(id);
        const server = host.dhcp(id, onLeases);
        const load = server.load.bind(server);
        server.load = async () => {
          await new Promise((resolve) => setTimeout(resolve, 20));
          await load();
        };
        return server;
      },
    };
    const engine = new NetworkEngine({ driver: new SimSwitchDriver(), host: slow, logger: silentLogger() });
    await engine.start();
    engine.setSegments([lan]);
    const converged = engine.converge();
    const macs = ['52:54:00:00:00:01', '52:54:00:00:00:02'];
    await Promise.all(
      macs.map((mac) => engine.plug({ vmId: newId(), index: 0, nic: 'net', mac, network: 'lan', uid: undefined, linkUp: true })),
    );
    await converged;
    expect(made).toEqual([lan.id]);
    expect(new Set(macs.map((mac) => engine.addressesOf(mac)[0])).size).toBe(2);
  });

  it('keeps the addresses of a network that was made while the box was being brought to its wish', async () => {
    const { host, engine, plug } = await setUp();
    const other = segment('other', { cidr: parseCidr('10.44.0.1/24') as NonNullable<Segment['cidr']>, dhcp: true });
    const vmId = newId();
    const listDhcp = host.listDhcp;
    let plugged: Promise<unknown> | undefined;
    host.listDhcp = async () => {
      // The last thing a converge looks at, with what it began from already old.
      host.listDhcp = listDhcp;
      engine.setSegments([lan, v20, other]);
      plugged = plug(vmId, 'other');
      await plugged;
      return listDhcp();
    };
    await engine.converge();
    await plugged;
    expect(engine.addressesOf(`52:54:00:00:00:${vmId.slice(-2)}`)).toHaveLength(1);
  });

  it('puts a port on the switch only once its tap is there', async () => {
    const { driver, host, engine, plug } = await setUp();
    const vmId = newId();
    const ensureTap = host.ensureTap;
    let early: boolean | undefined;
    host.ensureTap = async (wish) => {
      await engine.converge();
      early = driver.ports.has(wish.name);
      await ensureTap(wish);
    };
    await plug(vmId, 'v20');
    expect(early).toBe(false);
    expect(driver.ports.has(tapName(vmId, 0))).toBe(true);
  });
});
