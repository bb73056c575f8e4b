/**
 * The whole network with real packets: Open vSwitch, dnsmasq and nftables of its own in a network namespace,
 * fake guests in namespaces of theirs.
 */
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isAlive } from '../../appliance/host/process-info.ts';
import { silentLogger } from '../../appliance/host/logger.ts';
import { newId, tapName } from '../../appliance/resources/identity.ts';
import { findDhcpUser } from '../../network/dhcp/server.ts';
import { NetworkEngine } from '../../network/engine.ts';
import { createNetworkHost, type NetworkHost } from '../../network/host.ts';
import { parseCidr } from '../../network/ip.ts';
import { OvsDriver } from '../../network/ovs/driver.ts';
import { findSwitch, type SwitchServer } from '../../network/ovs/server.ts';
import { legName, type Segment } from '../../network/wish.ts';
import { eventually } from '../helpers/eventually.ts';
import { attempt, FakeGuest, must } from '../helpers/fake-guest.ts';
import { TaggingGuest } from '../helpers/tagging-guest.ts';
import { inside, insideMark, namespacesMissing, runInside } from '../helpers/netns.ts';
import { running } from '../helpers/running.ts';

const missing = namespacesMissing();

describe.skipIf(inside || missing !== undefined)('the network', () => {
  it('carries real packets as wished', { timeout: 240_000 }, async () => {
    expect(await runInside(fileURLToPath(import.meta.url), 230_000)).toContain('passed');
  });
});

const segment = (name: string, more: Partial<Segment> = {}): Segment => ({
  id: newId(),
  name,
  isolated: false,
  dhcp: false,
  nat: false,
  reservations: [],
  ...more,
});
const cidr = (text: string) => parseCidr(text) as NonNullable<Segment['cidr']>;

describe.runIf(inside)('inside', () => {
  // Outside, this block is read but not run.
  const directory = inside ? mkdtempSync(join(tmpdir(), 'croft-n-')) : '';
  // As the data directory is: dnsmasq is unprivileged and must get through to its files.
  if (inside) chmodSync(directory, 0o711);
  const prefix = process.env[insideMark] as string;
  const logger = silentLogger();
  const lan = segment('default', { cidr: cidr('10.43.0.1/24'), dhcp: true, nat: true, isolated: true });
  const other = segment('other', { cidr: cidr('10.44.0.1/24'), dhcp: true, nat: true, isolated: true });
  const segments = [lan, other, segment('v20', { vlan: 20 }), segment('v30', { vlan: 30 }), segment('both', { trunk: [20, 30] })];
  const guests = new Map<string, FakeGuest>();
  const vmIds = new Map<string, string>();
  const world = new FakeGuest(`${prefix}-world`, 'world0', '02:00:00:00:ff:01');
  let server: SwitchServer;
  let driver: OvsDriver;
  let host: NetworkHost;
  let engine: NetworkEngine;

  const begin = async () => {
    server = (await findSwitch('own', join(directory, 'ovs'), logger)) as SwitchServer;
    driver = new OvsDriver(server, logger);
    await driver.open();
    host = await createNetworkHost({ data: directory, run: join(directory, 'run') }, logger);
    // A veth stands for each guest's tap: QEMU isn't needed to see packets.
    engine = new NetworkEngine({ driver, host: { ...host, ensureTap: async () => {}, deleteTaps: async () => {} }, logger });
    await engine.start();
    engine.setSegments(segments);
    await engine.converge();
  };

  const plug = async (name: string, network: string) => {
    const guest = guests.get(name) as FakeGuest;
    const vmId = vmIds.get(name) as string;
    return await engine.plug({ vmId, index: 0, nic: 'net', mac: guest.mac, network, uid: undefined, linkUp: true });
  };

  const addGuest = async (name: string, network: string, address?: string): Promise<FakeGuest> => {
    const vmId = newId();
    const mac = `52:54:00:00:00:${String(guests.size + 1).padStart(2, '0')}`;
    const guest = new FakeGuest(`${prefix}-${name}`, tapName(vmId, 0), mac);
    guests.set(name, guest);
    vmIds.set(name, vmId);
    await guest.start();
    await plug(name, network);
    if (address) await guest.run('ip', 'address', 'add', address, 'dev', 'eth0');
    return guest;
  };

  const guest = (name: string): FakeGuest => guests.get(name) as FakeGuest;

  beforeAll(async () => {
    await begin();
    await addGuest('a', 'v20', '10.20.0.1/24');
    await addGuest('b', 'v20', '10.20.0.2/24');
    await addGuest('c', 'v30', '10.20.0.3/24');
    await addGuest('d', 'default');
    await addGuest('e', 'default');
    await addGuest('f', 'other');
  });

  afterAll(async () => {
    for (const each of [...guests.values(), world]) await each.stop();
    engine?.close();
    await engine?.dismantle();
    await driver?.close();
    await server?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  it('lets one VLAN talk, by ping and by TCP with data, over IPv6 too', async () => {
    expect(await guest('a').reaches('10.20.0.2')).toBe(true);
    expect(await guest('b').reaches('10.20.0.1')).toBe(true);
    await guest('a').run('ip', 'address', 'add', 'fd00::1/64', 'dev', 'eth0', 'nodad');
    await guest('b').run('ip', 'address', 'add', 'fd00::2/64', 'dev', 'eth0', 'nodad');
    expect(await guest('a').pings('fd00::2')).toBe(true);
    expect(await guest('a').fetches('[fd00::2]')).toBe(true);
  });

  it('keeps VLANs apart', async () => {
    expect(await guest('a').pings('10.20.0.3')).toBe(false);
    expect(await guest('c').pings('10.20.0.1')).toBe(false);
  });

  it('gives addresses, names and a way out by DHCP, and nothing to wrong networks', async () => {
    const [address, router, dns, domain] = (await guest('d').askDhcp()).split('|');
    expect(address).toMatch(/^10\.43\.0\.\d+$/);
    expect([router, dns, domain]).toEqual(['10.43.0.1', '10.43.0.1', 'default.croft.internal']);
    await guest('e').askDhcp();
    expect(await guest('e').reaches(address as string)).toBe(true);
    await eventually(() => engine.addressesOf(guest('d').mac)[0] === address);
    const resolve = `const r = new (require('dns').promises.Resolver)(); r.setServers(['10.43.0.1']); r.resolve4('box.default.croft.internal').then(console.log)`;
    expect(await guest('d').attempt([process.execPath, '-e', resolve])).toContain('10.43.0.1');
    expect(
      await guest('a').attempt(['busybox', 'udhcpc', '-i', 'eth0', '-n', '-q', '-f', '-t', '2', '-T', '1', '-s', '/bin/true']),
    ).toBeUndefined();
  });

  it('takes a NAT network out to the world, and no network to another', async () => {
    await world.start();
    await must(['ip', 'address', 'add', '198.51.100.1/24', 'dev', 'world0']);
    await world.run('ip', 'address', 'add', '198.51.100.2/24', 'dev', 'eth0');
    expect(await guest('d').reaches('198.51.100.2')).toBe(true);
    const address = (await guest('f').askDhcp()).split('|')[0] as string;
    expect(await guest('f').reaches('198.51.100.2')).toBe(true);
    expect(await guest('d').pings(address)).toBe(false);
    expect(await guest('d').pings('10.43.0.1')).toBe(true);
    // The box's other addresses and services are not the guests' business.
    expect(await guest('d').fetches('198.51.100.1')).toBe(false);
  });

  it('records what it changed on the host', () => {
    const changes = JSON.parse(readFileSync(join(directory, 'host-changes.json'), 'utf8'));
    expect(changes).toEqual({ 'sysctl:net.ipv4.ip_forward': '0' });
  });

  it('moves a guest to another network while it runs', async () => {
    expect(await plug('c', 'v20')).toMatchObject({ moved: true });
    await eventually(() => guest('a').reaches('10.20.0.3'));
    await plug('b', 'v30');
    expect(await guest('a').pings('10.20.0.2')).toBe(false);
    await plug('b', 'v20');
    await plug('c', 'v30');
    await eventually(() => guest('a').reaches('10.20.0.2'));
    expect(await guest('a').pings('10.20.0.3')).toBe(false);
  });

  it('carries both VLANs tagged on a trunk, and no other', async () => {
    const [vmId, mac] = [newId(), '52:54:00:00:00:aa'];
    const trunk = new TaggingGuest(server.socket, tapName(vmId, 0));
    const vlans = [20, 30, 40].map((tag) => ({ device: `in${tag}`, tag, address: `10.${tag}.0.50/24` }));
    await trunk.start(mac, server.datapath, vlans);
    await engine.plug({ vmId, index: 0, nic: 'net', mac, network: 'both', uid: undefined, linkUp: true });
    for (const address of ['10.30.0.3/24', '10.40.0.3/24']) await guest('c').run('ip', 'address', 'add', address, 'dev', 'eth0');
    await eventually(() => trunk.pings('10.20.0.1'));
    await eventually(() => trunk.pings('10.30.0.3'));
    // A VLAN that is not on the trunk goes nowhere, though a guest is on it.
    engine.setSegments([...segments, segment('v40', { vlan: 40 })]);
    await engine.converge();
    await plug('c', 'v40');
    expect(await trunk.pings('10.40.0.3')).toBe(false);
    await plug('c', 'v30');
    await engine.unplugAll(vmId);
    engine.setSegments(segments);
    await engine.converge();
    await trunk.stop();
    for (const address of ['10.30.0.3/24', '10.40.0.3/24']) {
      await guest('c').run('ip', 'address', 'delete', address, 'dev', 'eth0');
    }
  });

  const spoof = async (name: string, mac: string) => {
    await guest(name).run('ip', 'link', 'set', 'eth0', 'address', mac);
    await guest(name).run('ip', 'neighbour', 'flush', 'all');
  };

  it('drops frames from a wrong MAC address', async () => {
    await spoof('b', '52:54:00:00:00:77');
    expect(await guest('b').pings('10.20.0.1')).toBe(false);
    await spoof('b', guest('b').mac);
    await eventually(() => guest('b').pings('10.20.0.1'));
  });

  it('drops packets and ARP from a wrong IPv4 address where addresses are known', async () => {
    const stolen = '10.43.0.250/24';
    await guest('d').run('ip', 'address', 'add', stolen, 'dev', 'eth0');
    const [own] = engine.addressesOf(guest('e').mac) as [string];
    expect(await guest('d').attempt(['busybox', 'ping', '-c', '1', '-W', '1', '-I', '10.43.0.250', own])).toBeUndefined();
    expect(
      await guest('d').attempt(['busybox', 'arping', '-c', '1', '-w', '1', '-s', '10.43.0.250', '-I', 'eth0', own]),
    ).toBeUndefined();
    expect(await guest('d').pings(own)).toBe(true);
    await guest('d').run('ip', 'address', 'delete', stolen, 'dev', 'eth0');
  });

  it('holds a NIC to the addresses declared for it where there is no DHCP, and others off them', async () => {
    const mac = guest('a').mac;
    const declared = segments.map((each) =>
      each.name === 'v20' ? { ...each, reservations: ['10.20.0.1', 'fd00::1'].map((address) => ({ mac, address })) } : each,
    );
    engine.setSegments(declared);
    await engine.converge();
    await eventually(() => guest('a').reaches('10.20.0.2'));
    expect(await guest('a').pings('fd00::2')).toBe(true);
    // The one it is declared for may use nothing else …
    await guest('a').run('ip', 'address', 'add', '10.20.0.77/24', 'dev', 'eth0');
    await guest('a').run('ip', 'address', 'add', 'fd00::77/64', 'dev', 'eth0', 'nodad');
    const from = (name: string, source: string, to: string) =>
      guest(name).attempt(['busybox', 'ping', '-c', '1', '-W', '1', '-I', source, to]);
    expect(await from('a', '10.20.0.77', '10.20.0.2')).toBeUndefined();
    expect(await from('a', 'fd00::77', 'fd00::2')).toBeUndefined();
    expect(await guest('b').pings('10.20.0.77')).toBe(false);
    expect(await guest('b').pings('fd00::77')).toBe(false);
    // … and the others may use anything but that.
    await guest('b').run('ip', 'address', 'add', '10.20.0.78/24', 'dev', 'eth0');
    await eventually(async () => (await from('b', '10.20.0.78', '10.20.0.1')) !== undefined);
    await guest('c').run('ip', 'address', 'flush', 'dev', 'eth0', 'scope', 'global');
    await plug('c', 'v20');
    await guest('c').run('ip', 'address', 'add', '10.20.0.1/24', 'dev', 'eth0');
    await guest('c').run('ip', 'address', 'add', 'fd00::1/64', 'dev', 'eth0', 'nodad');
    await guest('b').run('ip', 'neighbour', 'flush', 'all');
    const stolen = ['busybox', 'arping', '-c', '1', '-w', '1', '-s', '10.20.0.1', '-I', 'eth0', '10.20.0.2'];
    expect(await guest('c').attempt(stolen)).toBeUndefined();
    expect(await from('c', '10.20.0.1', '10.20.0.2')).toBeUndefined();
    expect(await from('c', 'fd00::1', 'fd00::2')).toBeUndefined();
    await guest('b').run('ip', 'neighbour', 'flush', 'all');
    expect(await guest('b').pings('10.20.0.1')).toBe(true);
    const neighbours = await guest('b').run('ip', 'neighbour', 'show', '10.20.0.1');
    expect(neighbours).toContain(mac);
    await guest('c').run('ip', 'address', 'flush', 'dev', 'eth0', 'scope', 'global');
    await guest('c').run('ip', 'address', 'add', '10.20.0.3/24', 'dev', 'eth0');
    await guest('a').run('ip', 'address', 'delete', '10.20.0.77/24', 'dev', 'eth0');
    await plug('c', 'v30');
    engine.setSegments(segments);
    await engine.converge();
  });

  it('lets no guest be a router', async () => {
    await guest('a').run('ip', 'address', 'add', 'fd00:66::1/64', 'dev', 'eth0', 'nodad');
    const before = await guest('b').run('ip', '-6', 'route');
    await guest('b').run('sysctl', '-qw', 'net.ipv6.conf.eth0.accept_ra=2');
    const config = ['--port=0', '--interface=eth0', '--enable-ra', '--dhcp-range=fd00:66::,ra-only', '--keep-in-foreground'];
    const files = ['--conf-file=/dev/null', '--pid-file=', `--dhcp-leasefile=${join(directory, 'rogue6')}`];
    await guest('a').attempt(['dnsmasq', ...config, ...files], 5_000);
    expect(await guest('b').run('ip', '-6', 'route')).toBe(before);
    // It did advertise: the switch has counted what it dropped.
    const ofport = (await driver.observe()).ports.find((port) => port.name === guest('a').tap)?.ofport;
    const target = `unix:${join(directory, 'ovs', 'croft0.mgmt')}`;
    const flows = await must(['ovs-ofctl', '-O', 'OpenFlow14', 'dump-flows', target, `icmp6,in_port=${ofport},icmp_type=134`]);
    expect(Number(/n_packets=(\d+)/.exec(flows)?.[1])).toBeGreaterThan(0);
    await guest('a').run('ip', 'address', 'delete', 'fd00:66::1/64', 'dev', 'eth0');
  });

  it('lets no guest be a DHCP server', async () => {
    const config = [
      '--port=0',
      '--interface=eth0',
      '--dhcp-range=10.20.0.100,10.20.0.110',
      '--keep-in-foreground',
      '--conf-file=/dev/null',
    ];
    const rogue = guest('a').attempt(
      ['dnsmasq', ...config, '--pid-file=', `--dhcp-leasefile=${join(directory, 'rogue')}`],
      5_000,
    );
    expect(
      await guest('b').attempt(['busybox', 'udhcpc', '-i', 'eth0', '-n', '-q', '-f', '-t', '3', '-T', '1', '-s', '/bin/true']),
    ).toBeUndefined();
    await rogue;
  });

  it('comes back by itself when ovs-vswitchd is killed, filters included', async () => {
    const killed = server.pids().vswitchd as number;
    process.kill(killed, 'SIGKILL');
    const since = Date.now();
    await eventually(() => server.pids().vswitchd !== undefined && server.pids().vswitchd !== killed, { timeout: 15_000 });
    await eventually(() => guest('a').reaches('10.20.0.2'), { timeout: 20_000 });
    await eventually(() => guest('d').reaches('198.51.100.2'), { timeout: 20_000 });
    process.stdout.write(`figure: switch killed: traffic back after ${Date.now() - since} ms\n`);
    await spoof('b', '52:54:00:00:00:77');
    await eventually(async () => !(await guest('b').pings('10.20.0.1')));
    await spoof('b', guest('b').mac);
    await guest('d').askDhcp();
  });

  it('comes back when ovsdb-server is killed', async () => {
    const killed = server.pids().ovsdb as number;
    await eventually(() => guest('a').reaches('10.20.0.2'));
    const losses = guest('a').losses('10.20.0.2', 4);
    process.kill(killed, 'SIGKILL');
    const lost = await losses;
    process.stdout.write(`figure: switch database killed: ${lost} of 20 packets lost\n`);
    expect(lost).toBeLessThanOrEqual(1);
    await eventually(() => plug('c', 'v20'), { timeout: 15_000 });
    await eventually(() => guest('a').reaches('10.20.0.3'));
    await plug('c', 'v30');
  });

  it('repairs drift', async () => {
    await must(['ovs-vsctl', `--db=unix:${server.socket}`, 'del-port', 'croft0', guest('a').tap]);
    await eventually(() => guest('a').reaches('10.20.0.2'));
    await must(['ip', 'address', 'flush', 'dev', legName(lan.id)]);
    await engine.converge();
    expect(await guest('d').pings('10.43.0.1')).toBe(true);
  });

  it('leaves ports of others alone', async () => {
    await must([
      'ovs-vsctl',
      `--db=unix:${server.socket}`,
      'add-port',
      'croft0',
      'croft-foreign',
      '--',
      'set',
      'interface',
      'croft-foreign',
      'type=internal',
    ]);
    await plug('c', 'v20');
    await plug('c', 'v30');
    expect(await must(['ovs-vsctl', `--db=unix:${server.socket}`, 'list-ports', 'croft0'])).toContain('croft-foreign');
    await must(['ovs-vsctl', `--db=unix:${server.socket}`, 'del-port', 'croft0', 'croft-foreign']);
  });

  it('keeps traffic while the service is away, and finds everything again', async () => {
    const before = server.pids();
    const dnsmasq = (await attempt(['cat', join(directory, 'run', 'dhcp', lan.id, 'dnsmasq.json')])) as string;
    const losses = guest('a').losses('10.20.0.2', 4);
    engine.close();
    await driver.close();
    server.release();
    expect(await guest('a').reaches('10.20.0.2')).toBe(true);
    await begin();
    const lost = await losses;
    process.stdout.write(`figure: service away and back: ${lost} of 20 packets lost\n`);
    expect(lost).toBeLessThanOrEqual(1);
    expect(server.pids()).toEqual(before);
    expect(await attempt(['cat', join(directory, 'run', 'dhcp', lan.id, 'dnsmasq.json')])).toBe(dnsmasq);
    expect(await guest('a').reaches('10.20.0.2')).toBe(true);
    expect(await guest('d').reaches('198.51.100.2')).toBe(true);
    // An adopted daemon's death is seen too.
    process.kill(before.vswitchd as number, 'SIGKILL');
    await eventually(() => server.pids().vswitchd !== before.vswitchd && server.pids().vswitchd !== undefined, {
      timeout: 15_000,
    });
    await eventually(() => guest('a').reaches('10.20.0.2'), { timeout: 20_000 });
  });

  it('reaps what no VM owns, and runs dnsmasq unprivileged', async () => {
    const record = JSON.parse(readFileSync(join(directory, 'run', 'dhcp', lan.id, 'dnsmasq.json'), 'utf8'));
    expect(await isAlive(record)).toBe(true);
    const uid = /^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${record.pid}/status`, 'utf8'))?.[1];
    expect(Number(uid)).toBe((await findDhcpUser()).uid);
    await engine.reap(new Set([vmIds.get('a') as string, vmIds.get('b') as string]));
    const ports = (await driver.observe()).ports.map((port) => port.name);
    expect(ports.filter((name) => name.startsWith('ct')).toSorted()).toEqual([guest('a').tap, guest('b').tap].toSorted());
    expect(await guest('a').reaches('10.20.0.2')).toBe(true);
  });

  it('takes everything down with the networks', async () => {
    const record = JSON.parse(readFileSync(join(directory, 'run', 'dhcp', lan.id, 'dnsmasq.json'), 'utf8'));
    engine.setSegments([]);
    await engine.converge();
    expect(await running(record.pid)).toBe(false);
    expect((await driver.observe()).ports).toEqual([]);
    expect(await attempt(['nft', 'list', 'table', 'inet', 'croft'])).toBeUndefined();
  });
});
