/**
 * Which Uplinks may be, and what each carries; pure. Two uplinks never carry the same VLAN: Croft's switch speaks no
 * spanning tree, so a VLAN with two ways out could be a loop (docs/switch-port.md).
 *
 * A NIC with an address is the machine's own way to the world. It is taken only by an uplink that says to move the address
 * (addresses.ts): else it would stop answering.
 */
import { idLabel, shortId } from '../../appliance/resources/identity.ts';
import { wrongUplink, type Uplink } from '../../appliance/resources/uplink.ts';

/** What is known of a network device of the machine. */
export type Nic = {
  name: string;
  up: boolean;
  mtu: number;
  /** With prefix, link-local ones left out. */
  addresses: string[];
  mac?: string;
  /** Whether there is a link. */
  link?: boolean;
  /** Mbit/s. */
  speed?: number;
  /** The bridge or bond it is in already. */
  master?: string;
  /** `veth`, `bridge`, …; absent for hardware. */
  kind?: string;
};

/** An Uplink that may be, in the form that a port is made of. */
export type UplinkWish = {
  id: string;
  name: string;
  /** MAC address of the port that has the machine's addresses: its first NIC's. */
  mac?: string;
} & Uplink['spec'];

export const uplinkPortName = (id: string): string => `cu${shortId(id)}`;
/** The machine's own port beside an uplink that its addresses were moved from. */
export const machinePortName = (id: string): string => `cm${shortId(id)}`;

export const isMachinePort = (name: string): boolean => /^cm[0-9a-f]{10}$/.test(name);

/** Which NIC's addresses go where. */
export const movesOf = (uplinks: readonly UplinkWish[]): { nic: string; to: string }[] =>
  uplinks.flatMap(({ id, interfaces, moveAddresses }) =>
    moveAddresses ? interfaces.map((nic) => ({ nic, to: machinePortName(id) })) : [],
  );

/** The NICs that uplinks are made of, with the MTU they should have. */
export const nicsOf = (uplinks: readonly UplinkWish[]): { name: string; mtu?: number }[] =>
  uplinks.flatMap(({ interfaces, mtu }) => interfaces.map((name) => ({ name, ...(mtu === undefined ? {} : { mtu }) })));

/** Kinds of devices that are no way out of the machine. */
const inner = new Set(['tun', 'bridge', 'openvswitch', 'vxlan', 'wireguard', 'ifb']);

type Admission = { uplinks: UplinkWish[]; refused: Map<string, string> };

/** NICs on the switch already, by the name of their uplink: they are no longer judged. */
export type HeldNics = ReadonlyMap<string, readonly string[]>;

/**
 * Older uplinks first: of two that clash the younger is refused. A refused one that was in effect stays as it was.
 * @param inEffect the uplinks as they were wished last
 */
export function admitUplinks(
  all: readonly Uplink[],
  nics: readonly Nic[],
  inEffect: readonly UplinkWish[] = [],
  held: HeldNics = new Map(),
): Admission {
  const age = ({ metadata }: Uplink) => `${metadata.creationTimestamp ?? ''} ${metadata.name}`;
  const uplinks: UplinkWish[] = [];
  const refused = new Map<string, string>();
  for (const each of all.toSorted((a, b) => (age(a) < age(b) ? -1 : 1))) {
    const id = each.metadata.labels?.[idLabel];
    if (id === undefined || each.metadata.deletionTimestamp !== undefined) continue;
    const before = inEffect.find((known) => known.id === id);
    const wrong =
      wrongUplink(each.spec)?.message ??
      uplinks.map((other) => clash(each.spec, other)).find((sentence) => sentence !== undefined) ??
      each.spec.interfaces
        .filter((name) => !held.get(each.metadata.name)?.includes(name))
        .map((name) => unusable(name, nics, each.spec.moveAddresses))
        .find((sentence) => sentence !== undefined);
    // Kept while the NIC is away: the port would be made anew with another one.
    const mac = nics.find(({ name }) => name === each.spec.interfaces[0])?.mac ?? before?.mac;
    const port = each.spec.moveAddresses && mac !== undefined ? { mac } : {};
    if (wrong === undefined) uplinks.push({ id, name: each.metadata.name, ...port, ...each.spec });
    else {
      refused.set(each.metadata.name, wrong);
      if (before) uplinks.push(before);
    }
  }
  return { uplinks, refused };
}

const isOwn = (name: string): boolean => name === 'lo' || /^(c[tnpm][0-9a-f]{10}|croft|ovs-)/.test(name);

/** True for what is no NIC that leads out of the machine. */
export const isInner = ({ name, kind }: Nic): boolean => isOwn(name) || (kind !== undefined && inner.has(kind));

/** Why no uplink can be made of it. A device that isn't there may come yet: that is no reason to refuse. */
export function unusable(name: string, nics: readonly Nic[], moveAddresses = false): string | undefined {
  if (isOwn(name)) return `interfaces: ${name} is no NIC that leads out of this machine.`;
  const nic = nics.find((each) => each.name === name);
  if (!nic) return undefined;
  if (nic.kind !== undefined && inner.has(nic.kind)) return `interfaces: ${name} is a ${nic.kind} device, no NIC that leads out.`;
  if (nic.master !== undefined && nic.master !== 'ovs-system')
    return `interfaces: ${name} is in ${nic.master} already; take it out there first.`;
  if (nic.addresses.length > 0 && !moveAddresses) {
    return `interfaces: ${name} has the address ${nic.addresses.join(', ')}; the machine would lose it. Use a NIC without addresses, or move them (moveAddresses).`;
  }
  return undefined;
}

/** VLANs it carries; undefined: all. */
const carried = ({ access, vlans, native }: Uplink['spec']): Set<number> | undefined => {
  if (access !== undefined) return new Set([access]);
  return vlans && new Set([...vlans, ...(native === undefined ? [] : [native])]);
};

/** Whether a network of this VLAN (undefined: untagged) leaves the box here. */
export function carries(uplink: Uplink['spec'], vlan: number | undefined): boolean {
  const set = carried(uplink);
  if (vlan === undefined) return set === undefined && uplink.native === undefined;
  return set === undefined || set.has(vlan);
}

function clash(spec: Uplink['spec'], other: UplinkWish): string | undefined {
  const nic = spec.interfaces.find((name) => other.interfaces.includes(name));
  if (nic !== undefined) return `interfaces: ${nic} is in the uplink ${other.name} already.`;
  const [mine, theirs] = [carried(spec), carried(other)];
  const hint = `A VLAN has one way out; name the VLANs of each uplink (vlans).`;
  if (!theirs) return `The uplink ${other.name} carries all VLANs. ${hint}`;
  if (!mine) return `It would carry all VLANs, those of the uplink ${other.name} too. ${hint}`;
  const both = [...mine].find((vlan) => theirs.has(vlan));
  return both === undefined ? undefined : `vlans: ${both} is carried by the uplink ${other.name} already. ${hint}`;
}
