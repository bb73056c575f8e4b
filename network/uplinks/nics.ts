/**
 * The machine's own NICs: read, and made ready to be uplinks (up, MTU, no addresses of their own). What stood there
 * before is noted with the other changes of the host, and comes back when the uplink goes.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { HostChanges } from '../../appliance/host/host-changes.ts';
import { ipBatch, listAddresses } from '../links.ts';
import type { Nic } from './admit.ts';

/** Not where the kernel has no IPv6. */
const hasIpv6 = (name: string): boolean => existsSync(`/proc/sys/net/ipv6/conf/${name}`);

/** All network devices of the machine. */
export const listNics = async (): Promise<Nic[]> =>
  (await listAddresses()).map(({ name, up, mtu, addresses, mac, link, master, kind }) => ({
    name,
    up,
    mtu,
    link,
    addresses: addresses.filter((address) => !address.toLowerCase().startsWith('fe80:')),
    ...(mac === undefined ? {} : { mac }),
    ...(master === undefined ? {} : { master }),
    ...(kind === undefined ? {} : { kind }),
  }));

/** Mbit/s; undefined where there is no link, or the device has no speed (sysfs-class-net). */
async function speedOf(name: string): Promise<number | undefined> {
  const text = await readFile(`/sys/class/net/${name}/speed`, 'utf8').catch(() => '');
  const speed = Number(text);
  return text !== '' && speed > 0 ? speed : undefined;
}

/** With how fast each is: for people, who choose among them. */
export async function describeNics(): Promise<Nic[]> {
  const nics = await listNics();
  const speeds = await Promise.all(nics.map(({ name }) => speedOf(name)));
  return nics.map((nic, index) => ({ ...nic, ...(speeds[index] === undefined ? {} : { speed: speeds[index] }) }));
}

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
