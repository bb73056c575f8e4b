/**
 * From a pod link as read to the commands that bring it to the wish; pure. A link is a veth pair: `cp…` on the box's
 * switch, `croft<i>` in the pod's network namespace, which holds an address of the guest's network and a route to the
 * guest alone. The pair dies with the namespace, so a pod that is made anew gets a new pair.
 */
import { createHash } from 'node:crypto';
import { podRules, podTable } from './rules.ts';

/** One end, as `ip -j address show dev NAME` has it; `peer` is the other end's index in its own namespace. */
export type LinkEnd = {
  index: number;
  peer?: number;
  up: boolean;
  mtu: number;
  mac: string /** IPv4, with prefix. */;
  addresses: string[];
};

export type PodLinkShape = {
  /** The box's end. */
  name: string;
  /** The pod's end. */
  far: string;
  mac: string;
  mtu: number;
  /** Of the pod's end, on the guest's network. */
  address: string;
  podAddress: string;
  guestAddress: string;
  /** Whether the switch takes frames whose checksums are left to the hardware (SwitchDriver.offloads). */
  offloads: boolean;
};

/** The pod's end of the link of a VM's n-th NIC. */
export const podEnd = (index: number): string => `croft${index}`;

export type PodLinkObserved = {
  near: LinkEnd | undefined;
  far: LinkEnd | undefined;
  /** Marks of the rule sets that stand in the pod. */
  marks: readonly string[];
  /** The pod's namespace routes. */
  forwarding: boolean;
};

export type PodLinkPlan = {
  /** The pair is made anew: whoever holds the old one has to let go first. */
  remake: boolean;
  /** `ip` commands in their order, each batch in the pod's namespace or the box's. */
  batches: { in: 'pod' | 'host'; commands: string[][] }[];
  checksumsOff: boolean;
  forward: boolean;
  /** For `nft -f -` in the pod. */
  rules?: string;
};

/** The kernel keeps rules in a form of its own: an empty chain carries the digest of the text they came from. */
export const markOf = (script: string): string => `croft-${createHash('sha256').update(script).digest('hex').slice(0, 16)}`;

const isPair = (near: LinkEnd | undefined, far: LinkEnd | undefined): boolean =>
  near !== undefined && far !== undefined && near.peer === far.index && far.peer === near.index;

/** @param pid a process in the pod's namespace */
export function planPodLink({ near, far, marks, forwarding }: PodLinkObserved, wish: PodLinkShape, pid: number): PodLinkPlan {
  const pair = isPair(near, far);
  const remake = !pair || far?.mac !== wish.mac || far.mtu !== wish.mtu;
  const script = podRules({ link: wish.far, podAddress: wish.podAddress, guestAddress: wish.guestAddress });
  const mark = markOf(script);
  const present = remake ? [] : (far?.addresses ?? []);
  const address = `${wish.address}/32`;
  const batches: PodLinkPlan['batches'] = [
    // An end of another making has our name; one of this pair goes with its other end.
    { in: 'pod', commands: far && !pair ? [['link', 'delete', 'dev', wish.far]] : [] },
    {
      in: 'host',
      commands: [
        ...(remake && near ? [['link', 'delete', 'dev', wish.name]] : []),
        ...(remake ? [makePair(wish, pid), ['link', 'set', 'dev', wish.name, 'addrgenmode', 'none']] : []),
        ...(remake || !near?.up ? [['link', 'set', 'dev', wish.name, 'up']] : []),
      ],
    },
    {
      in: 'pod',
      commands: [
        ...present.filter((each) => each !== address).map((each) => ['address', 'delete', each, 'dev', wish.far]),
        ...(present.includes(address) ? [] : [['address', 'add', address, 'dev', wish.far]]),
        ...(remake || !far?.up ? [['link', 'set', 'dev', wish.far, 'up']] : []),
        // Replaced each time: the guest may have got another address, and routes are not read.
        ['route', 'replace', `${wish.guestAddress}/32`, 'dev', wish.far, 'src', wish.address],
      ],
    },
  ];
  return {
    remake,
    batches: batches.filter(({ commands }) => commands.length > 0),
    checksumsOff: remake && !wish.offloads,
    forward: !forwarding,
    ...(marks.includes(mark) ? {} : { rules: `${script}add chain ip ${podTable} ${mark}\n` }),
  };
}

const makePair = ({ name, far, mac, mtu }: PodLinkShape, pid: number): string[] =>
  // prettier-ignore
  [
    'link',
    'add',
    'name',
    name,
    'mtu',
    String(mtu),
    'type',
    'veth',
    'peer',
    'name',
    far,
    'mtu',
    String(mtu),
    'address',
    mac,
    'netns',
    String(pid),
  ];
