/**
 * From Networks and plugged NICs to the switch's whole wished state; pure. Names: leg `cn<10hex>` from the
 * network's id, tap `ct<10hex>n<i>` from the VM's (resources/identity.ts).
 */
import type { Network } from '../appliance/resources/croft-kinds.ts';
import { idLabel, podLinkName, shortId, tapName } from '../appliance/resources/identity.ts';
import type { NicWish, ObservedPort, WishedPort, WishedSwitch } from './driver.ts';
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

const nicPort = (nic: PluggedPort, segment: Segment): WishedPort => ({
  name: tapName(nic.vmId, nic.index),
  type: 'tap',
  ...place(segment),
  allowed: { mac: nic.mac.toLowerCase(), ...(nic.address === undefined ? {} : { addresses: [nic.address] }) },
  owner: { vmId: nic.vmId, nic: nic.nic, network: nic.network },
});

/** The box's end of a pod link: its `mac` and `address` are the pod's end's. */
const podPort = (pod: PluggedPort, segment: Segment): WishedPort => ({
  ...nicPort(pod, segment),
  name: podLinkName(pod.vmId, pod.index),
  type: 'pod',
});

/** NICs of a network that is not there (any more) have no port: they are on no segment. */
export function wishedSwitch(
  segments: ReadonlyMap<string, Segment>,
  nics: Iterable<PluggedPort>,
  pods: Iterable<PluggedPort> = [],
): WishedSwitch {
  const legs = [...segments.values()].filter((segment) => segment.cidr).map(legPort);
  const portsOf = (plugged: Iterable<PluggedPort>, port: typeof nicPort) =>
    [...plugged].flatMap((each) => {
      const segment = segments.get(each.network);
      return segment ? [port(each, segment)] : [];
    });
  const ports = [...portsOf(nics, nicPort), ...portsOf(pods, podPort)];
  return { bridge: bridgeName, ports: [...legs, ...ports].toSorted((a, b) => (a.name < b.name ? -1 : 1)) };
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
  const [address] = port.allowed.addresses ?? [];
  return { vmId, index: Number(index), nic, mac: port.allowed.mac, network, ...(address === undefined ? {} : { address }) };
}
