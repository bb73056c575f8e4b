/** What the engine does to the box beside the switch: one interface, for the real box and the simulated one (sim.ts). */
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { HostChanges } from '../appliance/host/host-changes.ts';
import type { Logger } from '../appliance/host/logger.ts';
import { DhcpServer, findDhcpUser } from './dhcp/server.ts';
import type { DhcpService } from './dhcp/service.ts';
import { Firewall } from './firewall/apply.ts';
import type { FirewallLeg } from './firewall/rules.ts';
import { ipBatch, listAddresses, listTaps, planLegs, type LegWish } from './links.ts';
import { deafen, moveAddresses, noteAddresses, returnAddresses, type AddressMove } from './uplinks/addresses.ts';
import type { Nic } from './uplinks/admit.ts';
import { describeNics, listNics, prepareNics, type NicWish } from './uplinks/nics.ts';
import { deletePodLinks, ensurePodLink, listPodLinks } from './pods/link.ts';
import type { PodLinkShape } from './pods/plan.ts';
import { deleteTaps, ensureTap, isOurTap, type TapWish } from './taps.ts';

export interface NetworkHost {
  ensureTap(wish: TapWish): Promise<void>;
  deleteTaps(names: readonly string[]): Promise<void>;
  /** Names of Croft's taps. */
  listTaps(): Promise<string[]>;
  /** Joins a pod's network namespace to the box; `beforeRemake` runs before an existing link is replaced. */
  ensurePodLink(shape: PodLinkShape, pid: number, beforeRemake: () => Promise<void>): Promise<void>;
  deletePodLinks(names: readonly string[]): Promise<void>;
  /** Names of Croft's pod links, the box's ends. */
  listPodLinks(): Promise<string[]>;
  /** Gives legs their addresses. @returns interface index of each leg that exists */
  ensureLegs(legs: readonly LegWish[]): Promise<ReadonlyMap<string, number>>;
  applyFirewall(legs: readonly FirewallLeg[]): Promise<void>;
  /** Network devices of the machine. */
  listNics(): Promise<Nic[]>;
  /** The same with the speed of each. */
  describeNics(): Promise<Nic[]>;
  /** Makes NICs ready to be uplinks, and gives back those that are uplinks no more. */
  prepareNics(wishes: readonly NicWish[]): Promise<void>;
  /** Notes the machine's own addresses on these NICs, before anything is taken from them. */
  noteAddresses(moves: readonly AddressMove[]): Promise<void>;
  /**
   * Brings them to their ports on the switch, and those of all other NICs back. `deaf`: the kernel must not hear what
   * arrives at the NICs, because it hears it on the ports.
   */
  moveAddresses(moves: readonly AddressMove[], deaf: boolean): Promise<void>;
  /** Lets the box route, for NAT. */
  enableForwarding(): Promise<void>;
  dhcp(networkId: string, onLeases: () => void): DhcpService;
  /** Ids of the networks that have files of a DHCP server, of earlier runs too. */
  listDhcp(): Promise<string[]>;
}

const tunDevice = '/dev/net/tun';

/** @param directories `data` keeps what must survive: leases, given addresses, what was changed on the host; `run` what runs now */
export async function createNetworkHost(directories: { data: string; run: string }, logger: Logger): Promise<NetworkHost> {
  const dhcpDirectory = join(directories.data, 'dhcp');
  const user = await findDhcpUser();
  const firewall = new Firewall();
  const changes = new HostChanges(join(directories.data, 'host-changes.json'));
  return {
    ensureTap: async (wish) => {
      // udev gives everyone the device: a tap still opens for its owner only. Without udev it may be root's alone.
      await changes.addMode(tunDevice, 0o666);
      await ensureTap(wish);
    },
    deleteTaps,
    listTaps: async () => (await listTaps()).map((link) => link.name).filter(isOurTap),
    ensurePodLink,
    deletePodLinks,
    listPodLinks,
    ensureLegs: async (legs) => {
      if (legs.length === 0) return new Map();
      const found = await listAddresses();
      await ipBatch(planLegs(found, legs));
      return new Map(found.filter((link) => legs.some((leg) => leg.name === link.name)).map((link) => [link.name, link.index]));
    },
    applyFirewall: (legs) => firewall.apply(legs),
    listNics,
    describeNics,
    prepareNics: (wishes) => prepareNics(wishes, changes),
    noteAddresses: (moves) => noteAddresses(moves, changes),
    moveAddresses: async (moves, deaf) => {
      await deafen(deaf ? moves.map(({ nic }) => nic) : []);
      await returnAddresses(moves, changes);
      await moveAddresses(moves, changes);
    },
    enableForwarding: () => changes.setSysctl('net.ipv4.ip_forward', '1'),
    dhcp: (networkId, onLeases) =>
      new DhcpServer({
        directory: join(dhcpDirectory, networkId),
        runDirectory: join(directories.run, 'dhcp', networkId),
        user,
        logger,
        onLeases,
      }),
    listDhcp: async () => (existsSync(dhcpDirectory) ? await readdir(dhcpDirectory) : []),
  };
}
