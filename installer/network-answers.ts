/**
 * A fixed address for the box: the answers' `network`, checked, and the files that systemd-networkd reads on each start
 * (systemd.network(5)). Without it every wired port asks by DHCP (units/full/80-croft-uplink.network). The files lie on
 * the state partition; units/full/networkd.conf puts them before the others.
 */
import { isIP } from 'node:net';
import { type Static, Type } from 'typebox';

const address = { minLength: 2, maxLength: 64 };

export const networkSchema = Type.Object(
  {
    /** The port: its MAC address, which a change of kernel leaves alone, or its name. */
    interface: Type.String({ pattern: '^([0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}|[A-Za-z0-9._-]{1,15})$' }),
    /** With prefix: 192.0.2.10/24. */
    addresses: Type.Array(Type.String(address), { minItems: 1, maxItems: 8 }),
    gateway: Type.Optional(Type.String(address)),
    dns: Type.Optional(Type.Array(Type.String(address), { maxItems: 4 })),
    /** The port carries this VLAN tagged. */
    vlan: Type.Optional(Type.Integer({ minimum: 1, maximum: 4094 })),
  },
  { additionalProperties: false },
);
export type NetworkAnswers = Static<typeof networkSchema>;

/** What is wrong with it beyond its shape; undefined when nothing is. Pure. */
export function wrongNetwork({ addresses, gateway, dns = [] }: NetworkAnswers): string | undefined {
  for (const text of addresses) {
    const [host = '', prefix = '', ...more] = text.split('/');
    const family = isIP(host);
    const longest = family === 6 ? 128 : 32;
    if (family === 0 || more.length > 0 || !/^\d{1,3}$/.test(prefix) || Number(prefix) < 1 || Number(prefix) > longest)
      return `addresses: ${JSON.stringify(text)} must be an address with its prefix, e.g. 192.0.2.10/24`;
  }
  for (const [name, text] of [['gateway', gateway] as const, ...dns.map((server) => ['dns', server] as const)]) {
    if (text !== undefined && isIP(text) === 0) return `${name}: ${JSON.stringify(text)} must be an address`;
  }
  return undefined;
}

/** File name → text. Pure. */
export function networkFiles({ interface: port, addresses, gateway, dns = [], vlan }: NetworkAnswers): Record<string, string> {
  const match = port.includes(':') ? ['Type=ether', 'Kind=!*', `MACAddress=${port}`] : [`Name=${port}`];
  const own = [
    ...addresses.map((each) => `Address=${each}`),
    ...(gateway === undefined ? [] : [`Gateway=${gateway}`]),
    ...dns.map((server) => `DNS=${server}`),
    'LinkLocalAddressing=ipv6',
  ];
  const file = (matched: readonly string[], network: readonly string[]): string =>
    `${['[Match]', ...matched, '', '[Network]', ...network, '', '[Link]', 'RequiredForOnline=no'].join('\n')}\n`;
  if (vlan === undefined) return { '60-croft-port.network': file(match, own) };
  const name = `croft-vlan${vlan}`;
  return {
    '60-croft-vlan.netdev': `[NetDev]\nName=${name}\nKind=vlan\n\n[VLAN]\nId=${vlan}\n`,
    '60-croft-port.network': file(match, [`VLAN=${name}`, 'LinkLocalAddressing=no']),
    '61-croft-vlan.network': file([`Name=${name}`], own),
  };
}
