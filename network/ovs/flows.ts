/**
 * The bridge's OpenFlow table; pure. Every port has its own rule and an unknown port none, so a port that has
 * just been added is silent until its filter stands. What passes goes to NORMAL: learning and VLANs are OVS's.
 *
 * A filtered port (a guest's NIC) may send only
 * - from its own MAC address, and ARP and neighbour discovery that speak of this MAC address only;
 * - from its own addresses where they are known (ARP's sender address and the target of neighbour advertisements
 *   too); 0.0.0.0 and :: only where a client without an address uses them (DHCP, ARP probe, duplicate address
 *   detection);
 * - never from an address that is known to be another's on the network: the box's own among them;
 * - no DHCP or DHCPv6 server answers, no router advertisements or redirects.
 * Field names are ovs-fields(7)'s.
 */
import { isIPv4 } from 'node:net';
import type { WishedPort } from '../driver.ts';

export type FlowPort = { ofport: number; allowed?: WishedPort['allowed'] };

const noMac = '00:00:00:00:00:00';

/** Lines for `ovs-ofctl replace-flows`, in a stable order. `LOCAL` is the bridge's own port. */
export function flowsOf(ports: readonly FlowPort[]): string[] {
  const sorted = ports.toSorted((a, b) => a.ofport - b.ofport);
  return [
    'priority=0,actions=drop',
    'priority=10,in_port=LOCAL,actions=NORMAL',
    ...sorted.flatMap((port) =>
      port.allowed ? filtered(port.ofport, port.allowed) : [`priority=10,in_port=${port.ofport},actions=NORMAL`],
    ),
  ];
}

function filtered(ofport: number, { mac, addresses, denied = [] }: NonNullable<WishedPort['allowed']>): string[] {
  const drop = (priority: number, match: string) => `priority=${priority},in_port=${ofport},${match},actions=drop`;
  const pass = (priority: number, match: string) =>
    `priority=${priority},in_port=${ofport},dl_src=${mac},${match},actions=NORMAL`;
  const v4 = addresses?.filter((address) => isIPv4(address)) ?? [];
  const v6 = addresses?.filter((address) => !isIPv4(address)) ?? [];
  // Others will send to the source of a solicitation and the target of an advertisement: both must be the sender's.
  const sources = v6.length > 0 ? ['fe80::/10', '::', ...v6].map((source) => `,ipv6_src=${source}`) : [''];
  const targets = v6.length > 0 ? ['fe80::/10', ...v6].map((target) => `,nd_target=${target}`) : [''];
  const lines = [
    drop(300, 'udp,tp_src=67'),
    drop(300, 'udp6,tp_src=547'),
    drop(300, 'icmp6,icmp_type=134'),
    drop(300, 'icmp6,icmp_type=137'),
    ...sources.flatMap((source) => [
      pass(200, `icmp6,icmp_type=135,icmp_code=0${source},nd_sll=${mac}`),
      pass(200, `icmp6,icmp_type=135,icmp_code=0${source},nd_sll=${noMac}`),
    ]),
    ...targets.flatMap((target) => [
      pass(200, `icmp6,icmp_type=136,icmp_code=0${target},nd_tll=${mac}`),
      pass(200, `icmp6,icmp_type=136,icmp_code=0${target},nd_tll=${noMac}`),
    ]),
    ...denied.flatMap((address) =>
      isIPv4(address)
        ? [drop(210, `arp,arp_spa=${address}`), drop(210, `ip,nw_src=${address}`)]
        : [drop(210, `icmp6,icmp_type=136,nd_target=${address}`), drop(210, `ipv6,ipv6_src=${address}`)],
    ),
    drop(190, 'icmp6,icmp_type=135'),
    drop(190, 'icmp6,icmp_type=136'),
    drop(190, 'arp'),
  ];
  if (v4.length > 0) {
    for (const address of ['0.0.0.0', ...v4]) lines.push(pass(200, `arp,arp_sha=${mac},arp_spa=${address}`));
    for (const address of v4) lines.push(pass(180, `ip,nw_src=${address}`));
    lines.push(pass(180, 'udp,nw_src=0.0.0.0,tp_src=68,tp_dst=67'), drop(170, 'ip'));
  } else lines.push(pass(200, `arp,arp_sha=${mac}`));
  if (v6.length > 0) {
    for (const address of ['fe80::/10', '::', ...v6]) lines.push(pass(180, `ipv6,ipv6_src=${address}`));
    lines.push(drop(170, 'ipv6'));
  }
  lines.push(`priority=100,in_port=${ofport},dl_src=${mac},actions=NORMAL`);
  return lines;
}
