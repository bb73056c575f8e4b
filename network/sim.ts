/** The simulated network: the same engine on a switch and a box that exist in memory only. For `npm run dev` and tests. */
import { CroftError } from '../appliance/errors.ts';
import type { Reservation } from './dhcp/addresses.ts';
import type { Lease } from './dhcp/leases.ts';
import type { DhcpService } from './dhcp/service.ts';
import type { ObservedPort, ObservedSwitch, SwitchDriver, WishedPort, WishedSwitch } from './driver.ts';
import type { FirewallLeg } from './firewall/rules.ts';
import type { NetworkHost } from './host.ts';
import type { AddressMove } from './uplinks/addresses.ts';
import type { Nic } from './uplinks/admit.ts';
import type { PodLinkShape } from './pods/plan.ts';
import { isOurTap } from './taps.ts';

export class SimSwitchDriver implements SwitchDriver {
  readonly name = 'sim';
  readonly offloads = true;
  /** What stands on the switch, Croft's ports only. */
  ports = new Map<string, WishedPort>();
  /** Set to make every apply fail with it. */
  failure: CroftError | undefined;
  #present = false;
  #groups = new Map<string, number>();
  readonly #listeners = new Set<() => void>();

  async open(): Promise<void> {
    this.#present = true;
  }

  async close(): Promise<void> {}

  async observe(): Promise<ObservedSwitch> {
    const ports = [...this.ports.values()].map((port, index): ObservedPort => {
      const vlan = port.isolatedGroup === undefined ? port.vlan : this.#groups.get(port.isolatedGroup);
      return {
        name: port.name,
        owner: port.owner,
        ofport: index + 1,
        ...(port.allowed ? { allowed: port.allowed } : {}),
        ...(vlan === undefined ? {} : { vlan }),
        ...(port.members ? { members: port.members.map((member) => ({ name: member, up: true })) } : {}),
        ...(port.trunks ? { trunks: port.trunks.toSorted((a, b) => a - b) } : {}),
      };
    });
    return { bridge: 'croft0', present: this.#present, datapath: 'sim', ports };
  }

  async apply(wish: WishedSwitch): Promise<void> {
    if (this.failure) throw this.failure;
    const before = JSON.stringify([...this.ports]);
    this.ports = new Map(structuredClone(wish.ports).map((port) => [port.name, port]));
    for (const { isolatedGroup } of wish.ports) {
      if (isolatedGroup !== undefined && !this.#groups.has(isolatedGroup))
        this.#groups.set(isolatedGroup, 4094 - this.#groups.size);
    }
    if (JSON.stringify([...this.ports]) !== before) queueMicrotask(() => this.#notify());
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Drift: somebody took a port away. */
  lose(name: string): void {
    this.ports.delete(name);
    this.#notify();
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** A DHCP server whose clients have all asked already. */
class SimDhcp implements DhcpService {
  readonly assigned = new Map<string, Reservation>();
  readonly #onLeases: () => void;

  constructor(onLeases: () => void) {
    this.#onLeases = onLeases;
  }

  get leases(): readonly Lease[] {
    return [...this.assigned.values()];
  }

  async load(): Promise<void> {}
  async ensure(): Promise<void> {}
  async assign(tap: string, given: Reservation): Promise<void> {
    if (this.assigned.get(tap)?.address === given.address) return;
    this.assigned.set(tap, given);
    this.#onLeases();
  }
  async forget(tap: string): Promise<void> {
    if (this.assigned.delete(tap)) this.#onLeases();
  }
  async stop(): Promise<void> {}
  release(): void {}
  async remove(): Promise<void> {
    this.assigned.clear();
  }
}

export type SimHost = NetworkHost & {
  taps: Map<string, { user: number | undefined; up: boolean }>;
  firewall: FirewallLeg[];
  nics: Nic[];
  prepared: string[];
  /** Where addresses of NICs are now. */
  moved: AddressMove[];
  /** Pod links by name, with the process that each leads to. */
  pods: Map<string, { pid: number; shape: PodLinkShape }>;
};

export function simHost(): SimHost {
  const servers = new Map<string, SimDhcp>();
  const host: SimHost = {
    taps: new Map(),
    firewall: [],
    nics: [
      { name: 'lo', up: true, mtu: 65_536, addresses: ['127.0.0.1/8'] },
      { name: 'eth0', up: true, mtu: 1500, addresses: ['192.0.2.10/24'], link: true, speed: 1_000 },
      { name: 'eth1', up: true, mtu: 1500, addresses: [], link: true, speed: 10_000 },
      { name: 'eth2', up: true, mtu: 1500, addresses: [], link: true, speed: 10_000 },
      { name: 'eth3', up: true, mtu: 1500, addresses: [], link: false },
    ],
    prepared: [],
    moved: [],
    pods: new Map(),
    ensureTap: async ({ name, user, up }) => void host.taps.set(name, { user, up }),
    deleteTaps: async (names) => {
      for (const name of names) host.taps.delete(name);
    },
    listTaps: async () => [...host.taps.keys()].filter(isOurTap),
    ensurePodLink: async (shape, pid, beforeRemake) => {
      if (host.pods.get(shape.name)?.pid !== pid) await beforeRemake();
      host.pods.set(shape.name, { pid, shape });
    },
    deletePodLinks: async (names) => {
      for (const name of names) host.pods.delete(name);
    },
    listPodLinks: async () => [...host.pods.keys()],
    ensureLegs: async (legs) => new Map(legs.map((leg, index) => [leg.name, index + 1])),
    applyFirewall: async (legs) => {
      host.firewall = [...legs];
    },
    listNics: async () => structuredClone(host.nics),
    describeNics: async () => structuredClone(host.nics),
    prepareNics: async (wishes) => {
      host.prepared = wishes.map(({ name }) => name);
    },
    noteAddresses: async () => {},
    moveAddresses: async (moves) => {
      host.moved = [...moves];
    },
    enableForwarding: async () => {},
    dhcp: (networkId, onLeases) => {
      const server = servers.get(networkId) ?? new SimDhcp(onLeases);
      servers.set(networkId, server);
      return server;
    },
    listDhcp: async () => [...servers.keys()],
  };
  return host;
}
