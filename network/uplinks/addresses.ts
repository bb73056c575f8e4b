/**
 * The machine's own addresses on a NIC that becomes an uplink. A NIC on the switch hears nothing itself; so its addresses
 * and routes move to a port of the switch that has the NIC's MAC address and is where its untagged frames are, and neighbours
 * notice nothing. They are noted first with the other changes of the host (`addresses:<nic>`): a service that is killed in
 * between goes on, and when the uplink goes, or Croft, they come back.
 *
 * What another program gives the NIC later (a DHCP client with a new address) is moved after it at the next look. A note of
 * an earlier boot says nothing: the machine has set up its NICs anew since.
 */
import { bootId } from '../../appliance/host/process-info.ts';
import type { HostChanges } from '../../appliance/host/host-changes.ts';
import { bothOf, planGive, planTake, readNicAddresses, type NicAddresses } from '../../appliance/host/nic-addresses.ts';
import { run } from '../../appliance/host/exec.ts';
import { ipBatch, listAddresses } from '../links.ts';

/** `to`: the switch's port that has the addresses of `nic`. */
export type AddressMove = { nic: string; to: string };

const keyOf = (nic: string): string => `addresses:${nic}`;
const nicOfKey = (key: string): string | undefined => /^addresses:(.+)$/.exec(key)?.[1];

type Note = NicAddresses & { bootId: string };

async function noteOf(changes: HostChanges, nic: string): Promise<Note | undefined> {
  const text = (await changes.list())[keyOf(nic)];
  const note = text === undefined ? undefined : (JSON.parse(text) as Note);
  return note?.bootId === (await bootId()) ? note : undefined;
}

/** Notes what the NICs have; to be called before anything is taken from them. */
export async function noteAddresses(moves: readonly AddressMove[], changes: HostChanges): Promise<void> {
  const there = new Set((await listAddresses()).map(({ name }) => name));
  for (const { nic } of moves) {
    if (!there.has(nic)) continue;
    const present = await readNicAddresses(nic);
    if (present.addresses.length === 0) continue;
    const before = await noteOf(changes, nic);
    const note: Note = { ...(before ? bothOf(before, present) : present), bootId: await bootId() };
    await changes.replace(keyOf(nic), JSON.stringify(note));
  }
}

/** Brings noted addresses to their ports, once these are on the switch. Idempotent. @throws CroftError `command-failed` */
export async function moveAddresses(moves: readonly AddressMove[], changes: HostChanges): Promise<void> {
  const links = new Map((await listAddresses()).map((link) => [link.name, link]));
  for (const { nic, to } of moves) {
    const note = await noteOf(changes, nic);
    const port = links.get(to);
    if (!note || !port) continue;
    const given = planGive(to, note, port.up ? await readNicAddresses(to) : { addresses: [], routes: [] });
    const taken = links.has(nic) ? planTake(nic, await readNicAddresses(nic)) : [];
    const isAddress = ([object]: readonly string[]): boolean => object === 'address';
    // First there, then away here, then the routes: for no moment are the addresses nobody's.
    await ipBatch([
      ...(port.up ? [] : [['link', 'set', 'dev', to, 'up']]),
      ...given.filter(isAddress),
      ...taken,
      ...given.filter((command) => !isAddress(command)),
    ]);
  }
}

/** Gives NICs that are in none of these moves their addresses back, once they are off the switch. */
export const returnAddresses = (moves: readonly AddressMove[], changes: HostChanges): Promise<void> =>
  changes.restore((key) => {
    const nic = nicOfKey(key);
    return nic !== undefined && !moves.some((move) => move.nic === nic);
  });

/**
 * With the userspace datapath the kernel hears a NIC's frames beside the switch, and would answer them twice: it is made deaf
 * on NICs whose MAC address is now another port's. Packet sockets, by which the switch reads, come before this hook.
 */
export const deafScript = (nics: readonly string[]): string =>
  [
    'table netdev croft\ndelete table netdev croft\n',
    ...(nics.length === 0
      ? []
      : [
          'table netdev croft {\n',
          ...nics.map(
            (nic, index) =>
              `  chain deaf${index} {\n    type filter hook ingress device "${nic}" priority filter; policy drop;\n  }\n`,
          ),
          '}\n',
        ]),
  ].join('');

let deaf = '';

/** Idempotent; asks nothing of the kernel where nothing changed and nothing was ever deaf. */
export async function deafen(nics: readonly string[]): Promise<void> {
  const there = new Set((await listAddresses()).map(({ name }) => name));
  const script = deafScript(nics.filter((name) => there.has(name)).toSorted());
  if (script === deaf || (deaf === '' && nics.length === 0)) return;
  await run(['nft', '-f', '-'], { input: script });
  deaf = script;
}
