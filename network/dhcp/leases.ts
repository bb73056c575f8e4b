/** dnsmasq's lease file: `<expiry, s since 1970> <mac> <address> <hostname or *> <client id or *>` a line (dnsmasq lease.c). Pure. */
export type Lease = { mac: string; address: string; hostname?: string /** ISO time; absent: never. */; expires?: string };

/** IPv4 leases that hold at `now`; lines of DHCPv6 (after `duid`) and unreadable ones are left out. */
export function parseLeases(text: string, now = Date.now()): Lease[] {
  const leases: Lease[] = [];
  for (const line of text.split('\n')) {
    const [expiry, mac, address, hostname] = line.split(' ');
    if (expiry === 'duid') break;
    if (!expiry || !mac || !address || !/^\d+$/.test(expiry) || !/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(mac)) continue;
    const end = Number(expiry) * 1000;
    if (end !== 0 && end < now) continue;
    leases.push({
      mac: mac.toLowerCase(),
      address,
      ...(hostname && hostname !== '*' ? { hostname } : {}),
      ...(end === 0 ? {} : { expires: new Date(end).toISOString() }),
    });
  }
  return leases;
}
