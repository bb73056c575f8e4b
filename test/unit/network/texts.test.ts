/** Everything that is made as text for other programs, compared literally. */
import { describe, expect, it } from 'vitest';
import { dnsmasqConfig } from '../../../network/dhcp/config.ts';
import { parseLeases } from '../../../network/dhcp/leases.ts';
import { firewallScript } from '../../../network/firewall/rules.ts';
import { parseCidr } from '../../../network/ip.ts';
import { parseLinks, planLegs } from '../../../network/links.ts';
import { flowsOf } from '../../../network/ovs/flows.ts';
import { planTap } from '../../../network/taps.ts';

const mac = '52:54:00:00:00:01';

describe('flowsOf', () => {
  it('lets unfiltered ports pass and unknown ones not', () => {
    expect(flowsOf([{ ofport: 3 }])).toEqual([
      'priority=0,actions=drop',
      'priority=10,in_port=LOCAL,actions=NORMAL',
      'priority=10,in_port=3,actions=NORMAL',
    ]);
  });

  it('filters a guest by MAC address, address, ARP, neighbour discovery, DHCP and router advertisements', () => {
    expect(flowsOf([{ ofport: 7, allowed: { mac, addresses: ['10.43.0.7'] } }]).slice(2)).toEqual([
      'priority=300,in_port=7,udp,tp_src=67,actions=drop',
      'priority=300,in_port=7,udp6,tp_src=547,actions=drop',
      'priority=300,in_port=7,icmp6,icmp_type=134,actions=drop',
      'priority=300,in_port=7,icmp6,icmp_type=137,actions=drop',
      `priority=200,in_port=7,dl_src=${mac},icmp6,icmp_type=135,icmp_code=0,nd_sll=${mac},actions=NORMAL`,
      `priority=200,in_port=7,dl_src=${mac},icmp6,icmp_type=135,icmp_code=0,nd_sll=00:00:00:00:00:00,actions=NORMAL`,
      `priority=200,in_port=7,dl_src=${mac},icmp6,icmp_type=136,icmp_code=0,nd_tll=${mac},actions=NORMAL`,
      `priority=200,in_port=7,dl_src=${mac},icmp6,icmp_type=136,icmp_code=0,nd_tll=00:00:00:00:00:00,actions=NORMAL`,
      'priority=190,in_port=7,icmp6,icmp_type=135,actions=drop',
      'priority=190,in_port=7,icmp6,icmp_type=136,actions=drop',
      'priority=190,in_port=7,arp,actions=drop',
      `priority=200,in_port=7,dl_src=${mac},arp,arp_sha=${mac},arp_spa=0.0.0.0,actions=NORMAL`,
      `priority=200,in_port=7,dl_src=${mac},arp,arp_sha=${mac},arp_spa=10.43.0.7,actions=NORMAL`,
      `priority=180,in_port=7,dl_src=${mac},ip,nw_src=10.43.0.7,actions=NORMAL`,
      `priority=180,in_port=7,dl_src=${mac},udp,nw_src=0.0.0.0,tp_src=68,tp_dst=67,actions=NORMAL`,
      'priority=170,in_port=7,ip,actions=drop',
      `priority=100,in_port=7,dl_src=${mac},actions=NORMAL`,
    ]);
  });
});

describe('flowsOf, where addresses are declared', () => {
  const flows = (allowed: { addresses?: string[]; denied?: string[] }) => flowsOf([{ ofport: 7, allowed: { mac, ...allowed } }]);

  it('takes neighbour discovery for own IPv6 addresses only', () => {
    const given = flows({ addresses: ['fd00::7'] });
    const about = (type: number) => given.filter((line) => line.includes(`icmp_type=${type},icmp_code`));
    expect(about(135).map((line) => /ipv6_src=([^,]+)/.exec(line)?.[1])).toEqual([
      'fe80::/10',
      'fe80::/10',
      '::',
      '::',
      'fd00::7',
      'fd00::7',
    ]);
    expect(about(136).map((line) => /nd_target=([^,]+)/.exec(line)?.[1])).toEqual([
      'fe80::/10',
      'fe80::/10',
      'fd00::7',
      'fd00::7',
    ]);
    expect(given).toContain('priority=170,in_port=7,ipv6,actions=drop');
    // Of IPv4 nothing is known: its own MAC address is all that is asked.
    expect(given).toContain(`priority=200,in_port=7,dl_src=${mac},arp,arp_sha=${mac},actions=NORMAL`);
  });

  it('drops what speaks for addresses of others', () => {
    expect(flows({ denied: ['10.0.0.1', 'fd00::1'] }).filter((line) => line.startsWith('priority=210'))).toEqual([
      'priority=210,in_port=7,arp,arp_spa=10.0.0.1,actions=drop',
      'priority=210,in_port=7,ip,nw_src=10.0.0.1,actions=drop',
      'priority=210,in_port=7,icmp6,icmp_type=136,nd_target=fd00::1,actions=drop',
      'priority=210,in_port=7,ipv6,ipv6_src=fd00::1,actions=drop',
    ]);
  });
});

describe('firewallScript', () => {
  it('masquerades NAT networks and lets none reach another', () => {
    expect(
      firewallScript([
        { name: 'cn2', subnet: '10.44.0.0/24', nat: false },
        { name: 'cn1', subnet: '10.43.0.0/24', nat: true },
      ]),
    ).toBe(`table inet croft
delete table inet croft
table inet croft {
  chain input {
    type filter hook input priority filter; policy accept;
    iifname != { "cn1", "cn2" } accept
    ct state established,related accept
    udp dport { 53, 67 } accept
    tcp dport 53 accept
    icmp type echo-request accept
    icmpv6 type { echo-request, nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, mld-listener-query, mld-listener-report } accept
    drop
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname { "cn1", "cn2" } oifname { "cn1", "cn2" } drop
    iifname "cn1" ip saddr 10.43.0.0/24 accept
    oifname { "cn1" } ct state established,related accept
    iifname { "cn1", "cn2" } drop
    oifname { "cn1", "cn2" } drop
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr 10.43.0.0/24 oifname != "cn1" masquerade
  }
}
`);
  });

  it('removes the table when there is no leg', () => {
    expect(firewallScript([])).toBe('table inet croft\ndelete table inet croft\n');
  });
});

describe('dnsmasqConfig', () => {
  const files = { hosts: '/d/hosts', leases: '/d/leases/dnsmasq.leases', user: 'dnsmasq' };
  const cidr = parseCidr('10.43.0.1/24') as NonNullable<ReturnType<typeof parseCidr>>;

  it('serves a NAT network', () => {
    expect(dnsmasqConfig({ name: 'default', leg: 'cn1', cidr, nat: true, mtu: 1400 }, files)).toBe(`interface=cn1
except-interface=lo
bind-dynamic
user=dnsmasq
no-hosts
log-facility=-
quiet-dhcp
dhcp-authoritative
dhcp-range=10.43.0.1,10.43.0.254,1h
dhcp-hostsdir=/d/hosts
dhcp-leasefile=/d/leases/dnsmasq.leases
dhcp-lease-max=254
domain=default.croft.internal,10.43.0.0/24
local=/croft.internal/
domain-needed
bogus-priv
expand-hosts
host-record=box.default.croft.internal,10.43.0.1
dhcp-option=option:dns-server,10.43.0.1
dhcp-option=option:router,10.43.0.1
dhcp-option=option:mtu,1400
`);
  });

  it('names no way out, and asks nobody outside, where there is none', () => {
    const lines = dnsmasqConfig({ name: 'lab', leg: 'cn1', cidr, nat: false }, files).split('\n');
    expect(lines).toContain('dhcp-option=option:router');
    expect(lines).toContain('no-resolv');
  });
});

describe('parseLeases', () => {
  it('reads leases that hold, and leaves out the rest', () => {
    const text = `2000 52:54:00:00:00:01 10.43.0.7 web ff:01\n0 52:54:00:00:00:02 10.43.0.8 * *\n10 52:54:00:00:00:03 10.43.0.9 old *\ngarbage\nduid 00:01\n2000 1 fd00::1 x *\n`;
    expect(parseLeases(text, 1_000_000)).toEqual([
      { mac: '52:54:00:00:00:01', address: '10.43.0.7', hostname: 'web', expires: '1970-01-01T00:33:20.000Z' },
      { mac: '52:54:00:00:00:02', address: '10.43.0.8' },
    ]);
  });
});

describe('links', () => {
  const json = `[{},{"ifname":"ct1","ifindex":2,"mtu":1400,"flags":["UP","LOWER_UP"],"address":"26:79:47:4c:6f:9a","linkinfo":{"info_kind":"tun","info_data":{"type":"tap","vnet_hdr":false,"user":1900000001}}}]`;

  it('reads what ip -j prints', () => {
    expect(parseLinks(json)).toEqual([
      {
        name: 'ct1',
        index: 2,
        mtu: 1400,
        up: true,
        link: true,
        mac: '26:79:47:4c:6f:9a',
        kind: 'tun',
        tap: { user: 1_900_000_001 },
        addresses: [],
      },
    ]);
    expect(parseLinks('')).toEqual([]);
  });

  it('plans taps: nothing when right, in place where possible, anew for another user', () => {
    const [found] = parseLinks(json);
    const wish = { name: 'ct1', user: 1_900_000_001, mtu: 1400, up: true };
    expect(planTap(found, wish)).toEqual([]);
    expect(planTap(found, { ...wish, up: false })).toEqual([['link', 'set', 'dev', 'ct1', 'mtu', '1400', 'down']]);
    expect(planTap(found, { ...wish, user: 7 })).toEqual([
      ['link', 'delete', 'dev', 'ct1'],
      ['tuntap', 'add', 'dev', 'ct1', 'mode', 'tap', 'user', '7'],
      ['link', 'set', 'dev', 'ct1', 'addrgenmode', 'none'],
      ['link', 'set', 'dev', 'ct1', 'mtu', '1400', 'up'],
    ]);
  });

  it('gives legs their one address', () => {
    const leg = { name: 'cn1', index: 3, mtu: 1500, up: false, link: false, addresses: ['10.9.0.1/24', 'fe80::1/64'] };
    expect(planLegs([leg], [{ name: 'cn1', address: '10.43.0.1', prefix: 24 }])).toEqual([
      ['address', 'delete', '10.9.0.1/24', 'dev', 'cn1'],
      ['address', 'add', '10.43.0.1/24', 'dev', 'cn1'],
      ['link', 'set', 'dev', 'cn1', 'up'],
    ]);
  });
});
