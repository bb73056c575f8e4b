/**
 * The machine's own NICs: read, and made ready to be uplinks (up, MTU, no addresses of their own). What stood there
 * before is noted with the other changes of the host, and comes back when the uplink goes.
 */
import { existsSync } from 'node:fs';
import type { HostChanges } from '../../appliance/host/host-changes.ts';
import { ipBatch, listAddresses } from '../links.ts';
import type { Nic } from './admit.ts';

/** Not where the kernel has no IPv6. */
const hasIpv6 = (name: string): boolean => existsSync(`/proc/sys/net/ipv6/conf/${name}`);

/** All network devices of the machine. */
export const listNics = async (): Promise<Nic[]> =>
  (await listAddresses()).map(({ name, up, mtu, addresses, master, kind }) => ({
    name,
    up,
    mtu,
    addresses: addresses.filter((address) => !address.toLowerCase().startsWith('fe80:')),
    ...(master === undefined ? {} : { master }),
    ...(kind === undefined ? {} : { kind }),
  }));

export type NicWish = { name: string /** Bytes; absent: as it is. */; mtu?: number };

/**
 * Brings NICs of uplinks to the wish and gives back those that are uplinks no more. A NIC that isn't there is passed
 * over: it is made ready when it comes. Idempotent. @throws CroftError `command-failed`
 */
export async function prepareNics(wishes: readonly NicWish[], changes: HostChanges): Promise<void> {
  const found = new Map((await listNics()).map((nic) => [nic.name, nic]));
  await changes.restore((key) => ownerOf(key) !== undefined && !wishes.some(({ name }) => name === ownerOf(key)));
  for (const { name, mtu } of wishes) {
    const nic = found.get(name);
    if (!nic) continue;
    // Router advertisements from outside would give the machine addresses on a wire that is the guests'.
    if (hasIpv6(name)) await changes.setSysctl(`net.ipv6.conf.${name}.disable_ipv6`, '1');
    if (mtu !== undefined && nic.mtu !== mtu) {
      await changes.record(`link:${name}:mtu`, String(nic.mtu));
      await ipBatch([['link', 'set', 'dev', name, 'mtu', String(mtu)]]);
    }
    if (nic.up) continue;
    await changes.record(`link:${name}:state`, 'down');
    await ipBatch([['link', 'set', 'dev', name, 'up']]);
  }
}

/** The NIC that a noted change is about. */
const ownerOf = (key: string): string | undefined =>
  /^(?:link:([^:]+):|sysctl:net\.ipv6\.conf\.([^.]+)\.disable_ipv6$)/.exec(key)?.slice(1).find(Boolean);
