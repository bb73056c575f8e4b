/** dnsmasq's configuration file for one network, as text; pure. Options are dnsmasq(8)'s. */
import { networkOf, toAddress, type Cidr } from '../ip.ts';

export type DhcpNetwork = {
  /** Name of the Network: its guests are `<host>.<name>.croft.internal`. */
  name: string;
  /** The box's interface on it. */
  leg: string;
  cidr: Cidr;
  /** Guests are told the box as their way out. */
  nat: boolean;
  mtu?: number;
};

export type DhcpFiles = {
  /** One `dhcp-host` line a file; new files are read at once, removed ones at SIGHUP. */
  hosts: string;
  leases: string;
  user: string;
};

export const domainOf = (network: string): string => `${network}.croft.internal`;

export function dnsmasqConfig({ name, leg, cidr, nat, mtu }: DhcpNetwork, files: DhcpFiles): string {
  const domain = domainOf(name);
  const lines = [
    // The leg only, and others' dnsmasq on other interfaces may live beside us.
    `interface=${leg}`,
    'except-interface=lo',
    'bind-dynamic',
    `user=${files.user}`,
    'no-hosts',
    'log-facility=-',
    'quiet-dhcp',
    // Nobody else answers on a network whose DHCP we are: rogue servers are dropped by the switch.
    'dhcp-authoritative',
    `dhcp-range=${toAddress(cidr.first + 1)},${toAddress(cidr.last - 1)},1h`,
    `dhcp-hostsdir=${files.hosts}`,
    `dhcp-leasefile=${files.leases}`,
    `dhcp-lease-max=${Math.min(cidr.last - cidr.first - 1, 65_536)}`,
    `domain=${domain},${networkOf(cidr)}`,
    `local=/croft.internal/`,
    'domain-needed',
    'bogus-priv',
    'expand-hosts',
    // Without NAT the network is closed: names outside aren't asked for on its behalf either.
    ...(nat ? [] : ['no-resolv']),
    `host-record=box.${domain},${cidr.address}`,
    `dhcp-option=option:dns-server,${cidr.address}`,
    // Empty: no router. A guest must not be sent a way that leads nowhere.
    nat ? `dhcp-option=option:router,${cidr.address}` : 'dhcp-option=option:router',
    ...(mtu === undefined ? [] : [`dhcp-option=option:mtu,${mtu}`]),
  ];
  return `${lines.join('\n')}\n`;
}
