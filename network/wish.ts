/**
 * From Networks and plugged NICs to the switch's whole wished state; pure. Names: leg `cn<10hex>` from the
 * network's id, tap `ct<10hex>n<i>` from the VM's (resources/identity.ts).
 */
import { isIP } from 'node:net';
import type { Network } from '../appliance/resources/croft-kinds.ts';
import { idLabel, podLinkName, shortId, tapName } from '../appliance/resources/identity.ts';
import type { NicWish, ObservedPort, WishedPort, WishedSwitch } from './driver.ts';
import { machinePortName, uplinkPortName, type UplinkWish } from './uplinks/admit.ts';
import { macFor, parseCidr, type Cidr } from './ip.ts';

/** A Network that passed validation, in the form that ports are made of. */
export type Segment = {
  id: string;
  name: string;
  vlan?: number;
  trunk?: number[];
  isolated: boolean;
  mtu?: number;
  cidr?: Cidr;
  dhcp: boolean;
  nat: boolean;
  reservations: { mac: string; address: string }[];
};

export const defaultMtu = 1500;
export const bridgeName = 'croft0';
export const isLeg = (name: string): boolean => /^cn[0-9a-f]{10}$/.test(name);
export const legName = (networkId: string): string => `cn${shortId(networkId)}`;

export function segmentOf(network: Network): Segment {
  const { spec } = network;
  const cidr = spec.address === undefined ? undefined : parseCidr(spec.address);
  return {
    id: network.metadata.labels?.[idLabel] ?? '',
    name: network.metadata.name,
    ...(spec.vlan === undefined ? {} : { vlan: spec.vlan }),
    ...(spec.trunk === undefined ? {} : { trunk: spec.trunk }),
    isolated: spec.isolated ?? false,
    ...(spec.mtu === undefined ? {} : { mtu: spec.mtu }),
    ...(cidr ? { cidr } : {}),
    dhcp: spec.dhcp ?? false,
    nat: spec.nat ?? false,
    reservations: spec.reservations ?? [],
  };
}

/** What DHCP may give: of IPv6 addresses it knows nothing. */
export const v4Reservations = ({ reservations }: Segment) => reservations.filter(({ address }) => isIP(address) === 4);

/** A NIC with its address where Croft gave it one. */
export type PluggedPort = Pick<NicWish, 'vmId' | 'index' | 'nic' | 'mac' | 'network'> & { address?: string };

/** Where on the switch a port of this network is. An isolated network with a VLAN keeps its VLAN, and no uplink carries it. */
const place = (segment: Segment): Pick<WishedPort, 'vlan' | 'trunks' | 'isolatedGroup'> => {
  if (segment.trunk) return { trunks: segment.trunk };
  if (segment.vlan !== undefined) return { vlan: segment.vlan };
  return segment.isolated ? { isolatedGroup: segment.id } : {};
};

const legPort = (segment: Segment): WishedPort => ({
  name: legName(segment.id),
  type: 'internal',
  ...place(segment),
  mtu: segment.mtu ?? defaultMtu,
  mac: macFor(segment.id),
  owner: { network: segment.name },
});

/**
 * From where a NIC may speak: what DHCP gave it and what is declared for it; and never from an address of the box or one
 * declared for another NIC, for where nothing is declared anything else may be used.
 */
function allowedFor(nic: PluggedPort, segment: Segment): NonNullable<WishedPort['allowed']> {
  const mac = nic.mac.toLowerCase();
  const declared = segment.reservations.filter((each) => each.mac.toLowerCase() === mac).map(({ address }) => address);
  const addresses = [...new Set([...(nic.address === undefined ? [] : [nic.address]), ...declared])];
  const known = [...(segment.cidr ? [segment.cidr.address] : []), ...segment.reservations.map(({ address }) => address)];
  const unlimited = [4, 6].filter((family) => !addresses.some((address) => isIP(address) === family));
  const denied = [...new Set(known)].filter((address) => unlimited.includes(isIP(address))).toSorted();
  return { mac, ...(addresses.length > 0 ? { addresses } : {}), ...(denied.length > 0 ? { denied } : {}) };
}

const nicPort = (nic: PluggedPort, segment: Segment): WishedPort => ({
  name: tapName(nic.vmId, nic.index),
  type: 'tap',
  ...place(segment),
  allowed: allowedFor(nic, segment),
  owner: { vmId: nic.vmId, nic: nic.nic, network: nic.network },
});

function uplinkPort(uplink: UplinkWish, segments: Iterable<Segment>): WishedPort {
  const isolated = [...segments].flatMap((segment) => (segment.isolated && segment.vlan !== undefined ? [segment.vlan] : []));
  const { access, vlans, native } = uplink;
  const trunks =
    vlans && [...new Set([...vlans, ...(native === undefined ? [] : [native])])].filter((id) => !isolated.includes(id));
  return {
    name: uplinkPortName(uplink.id),
    type: 'system',
    members: uplink.interfaces,
    ...(uplink.interfaces.length > 1 || uplink.mode === 'lacp' ? { bond: uplink.mode ?? 'active-backup' } : {}),
    ...(access === undefined ? {} : { vlan: access }),
    ...(trunks ? { trunks } : {}),
    ...(native === undefined ? {} : { native }),
    ...(access === undefined && !trunks && isolated.length > 0 ? { except: isolated } : {}),
    owner: { uplink: uplink.name },
  };
}

/** The machine's own place where untagged frames of the uplink are: what it had on the NIC itself. */
const machinePort = ({ id, name, access, native, mac, mtu }: UplinkWish): WishedPort => ({
  name: machinePortName(id),
  type: 'internal',
  // Absent would be all VLANs.
  ...((access ?? native) === undefined ? { trunks: [0] } : { vlan: access ?? native }),
  ...(mac === undefined ? {} : { mac }),
  ...(mtu === undefined ? {} : { mtu }),
  owner: { uplink: name },
});

/** The box's end of a pod link: its `mac` and `address` are the pod's end's. */
const podPort = (pod: PluggedPort, segment: Segment): WishedPort => ({
  ...nicPort(pod, segment),
  name: podLinkName(pod.vmId, pod.index),
  type: 'pod',
});

/** What is on the switch, by kind. */
export type Plugged = { nics: Iterable<PluggedPort>; pods?: Iterable<PluggedPort>; uplinks?: readonly UplinkWish[] };

/** NICs of a network that is not there (any more) have no port: they are on no segment. */
export function wishedSwitch(segments: ReadonlyMap<string, Segment>, { nics, pods = [], uplinks = [] }: Plugged): WishedSwitch {
  const legs = [...segments.values()].filter((segment) => segment.cidr).map(legPort);
  const portsOf = (plugged: Iterable<PluggedPort>, port: typeof nicPort) =>
    [...plugged].flatMap((each) => {
      const segment = segments.get(each.network);
      return segment ? [port(each, segment)] : [];
    });
  const out = uplinks.flatMap((uplink) => [
    uplinkPort(uplink, segments.values()),
    ...(uplink.moveAddresses ? [machinePort(uplink)] : []),
  ]);
  const ports = [...legs, ...portsOf(nics, nicPort), ...portsOf(pods, podPort), ...out];
  return { bridge: bridgeName, ports: ports.toSorted((a, b) => (a.name < b.name ? -1 : 1)) };
}

/**
 * What a port of ours says about the NIC it was made for: how NICs and pod links are known again after a restart of
 * croftd. @param kind of the port: `ct` a NIC's tap, `cp` a pod link
 */
export function nicOf(port: ObservedPort, kind: 'ct' | 'cp' = 'ct'): PluggedPort | undefined {
  const { vmId, nic, network } = port.owner;
  const [, prefix, index] = /^(c[tp])[0-9a-f]{10}n(\d+)$/.exec(port.name) ?? [];
  if (prefix !== kind) return undefined;
  if (vmId === undefined || nic === undefined || network === undefined || index === undefined || !port.allowed) return undefined;
  const address = port.allowed.addresses?.find((each) => isIP(each) === 4);
  return { vmId, index: Number(index), nic, mac: port.allowed.mac, network, ...(address === undefined ? {} : { address }) };
}
