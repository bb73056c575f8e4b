/**
 * The nftables table `inet croft`, as text; pure.
 *
 * A network's leg (`cn…`) is the box's own port on it. From a leg guests reach the box's DHCP, DNS and ping,
 * nothing else of the box. A NAT network is masqueraded to the world; networks never reach each other by
 * routing over the box: they are separate segments, and a way around their VLANs would defeat them. What
 * doesn't concern a leg is not touched. The table is replaced as a whole in one transaction.
 */
export type FirewallLeg = {
  /** Interface of the box on the network. */
  name: string;
  /** `10.43.0.0/24` */
  subnet: string;
  nat: boolean;
};

export const tableName = 'croft';

/** For `nft -f -`. Without legs the table goes. */
export function firewallScript(legs: readonly FirewallLeg[]): string {
  // Declared first, so that deleting succeeds whether or not there was one.
  const clear = `table inet ${tableName}\ndelete table inet ${tableName}\n`;
  if (legs.length === 0) return clear;
  const sorted = legs.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const nat = sorted.filter((leg) => leg.nat);
  const set = (names: readonly string[]) => `{ ${names.map((name) => `"${name}"`).join(', ')} }`;
  const all = set(sorted.map((leg) => leg.name));
  const forward = [
    `iifname ${all} oifname ${all} drop`,
    ...(nat.length === 0
      ? []
      : [
          ...nat.map((leg) => `iifname "${leg.name}" ip saddr ${leg.subnet} accept`),
          `oifname ${set(nat.map((leg) => leg.name))} ct state established,related accept`,
        ]),
    `iifname ${all} drop`,
    `oifname ${all} drop`,
  ];
  const input = [
    `iifname != ${all} accept`,
    'ct state established,related accept',
    'udp dport { 53, 67 } accept',
    'tcp dport 53 accept',
    'icmp type echo-request accept',
    'icmpv6 type { echo-request, nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, mld-listener-query, mld-listener-report } accept',
    'drop',
  ];
  const masquerade = nat.map((leg) => `ip saddr ${leg.subnet} oifname != "${leg.name}" masquerade`);
  const chain = (name: string, hook: string, rules: string[]) =>
    `  chain ${name} {\n    ${hook}\n${rules.map((rule) => `    ${rule}\n`).join('')}  }\n`;
  return [
    clear,
    `table inet ${tableName} {\n`,
    chain('input', 'type filter hook input priority filter; policy accept;', input),
    chain('forward', 'type filter hook forward priority filter; policy accept;', forward),
    ...(nat.length === 0 ? [] : [chain('postrouting', 'type nat hook postrouting priority srcnat; policy accept;', masquerade)]),
    '}\n',
  ].join('');
}
