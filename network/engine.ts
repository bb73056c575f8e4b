/**
 * The network of one box, without the store: Networks and plugged NICs in, switch, taps, legs, firewall and
 * DHCP out. It holds the whole wish in memory and brings the box there again and again (`converge`): at each
 * change, when the switch says it changed or came back, and once a minute.
 *
 * Plugging a NIC is the short path: tap, address, one switch transaction. NICs are known again after a restart
 * of croftd from the marks on their ports, so that the first converge removes nothing that a guest uses; ports
 * without a VM go by `reap`, on the word of the one who knows the VMs.
 */
import { CroftError, messageOf } from '../appliance/errors.ts';
import type { Logger } from '../appliance/host/logger.ts';
import { podLinkName, tapName } from '../appliance/resources/identity.ts';
import { coalesce } from './coalesce.ts';
import { assignAddress } from './dhcp/addresses.ts';
import type { Lease } from './dhcp/leases.ts';
import type { DhcpService } from './dhcp/service.ts';
import type { NicWish, ObservedMember, PluggedNic, PodLinkWish, SwitchDriver } from './driver.ts';
import type { NetworkHost } from './host.ts';
import { macFor, networkOf } from './ip.ts';
import { podEnd } from './pods/plan.ts';
import { movesOf, nicsOf, type UplinkWish } from './uplinks/admit.ts';
import { defaultMtu, legName, nicOf, type PluggedPort, type Segment, v4Reservations, wishedSwitch } from './wish.ts';

export type EngineOptions = {
  driver: SwitchDriver;
  host: NetworkHost;
  logger: Logger;
  /** Leases of the network of this name changed. */
  onLeases?: (network: string) => void;
  /** The switch changed or came back: links of uplinks among what may have changed. */
  onSwitch?: () => void;
  /** ms; default 60 000. */
  resyncInterval?: number;
};

const firstRetry = 250;
const maxRetry = 30_000;

export class NetworkEngine {
  readonly #options: EngineOptions;
  #segments = new Map<string, Segment>();
  #uplinks: readonly UplinkWish[] = [];
  readonly #nics = new Map<string, PluggedPort>();
  /** By the link's name; address and MAC are those of the pod's end. */
  readonly #pods = new Map<string, PluggedPort>();
  /** By network id. */
  readonly #dhcp = new Map<string, DhcpService>();
  /** Being read back: whoever asks meanwhile gets the same one. */
  readonly #loading = new Map<string, Promise<DhcpService>>();
  #problems = new Map<string, string>();
  #unsubscribe: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;
  #retryDelay = firstRetry;
  #closed = false;
  /** Before the networks are known nothing is applied: an empty wish would cut every guest off. */
  #known = false;
  readonly #applySwitch = coalesce(async () => {
    if (!this.#known) return;
    const ports = { nics: this.#nics.values(), pods: this.#pods.values(), uplinks: this.#uplinks };
    await this.#options.driver.apply(wishedSwitch(this.#segments, ports));
  });
  readonly converge: () => Promise<void>;

  constructor(options: EngineOptions) {
    this.#options = options;
    /**
     * Brings the box to the wish. What fails for one network only is found in `problemOf`.
     * @throws CroftError when the switch or the firewall cannot be brought there; it is tried again by itself
     */
    this.converge = coalesce(() => this.#converge());
  }

  /** Learns what earlier runs plugged, and follows the switch from now on. Nothing is changed yet. */
  async start(): Promise<void> {
    const { driver, resyncInterval = 60_000 } = this.#options;
    for (const port of (await driver.observe()).ports) {
      const nic = nicOf(port);
      if (nic) this.#nics.set(port.name, nic);
      const pod = nicOf(port, 'cp');
      if (pod) this.#pods.set(port.name, pod);
    }
    this.#unsubscribe = driver.subscribe(() => {
      this.#convergeLater(0);
      this.#options.onSwitch?.();
    });
    this.#timer = setInterval(() => {
      driver.distrust?.();
      this.#convergeLater(0);
    }, resyncInterval);
    this.#timer.unref();
  }

  /** Lets go: guests keep their network, DHCP serves on. */
  close(): void {
    this.#closed = true;
    this.#unsubscribe?.();
    clearInterval(this.#timer);
    clearTimeout(this.#retry);
    for (const dhcp of this.#dhcp.values()) dhcp.release();
  }

  /** All uplinks there are, valid ones; to be told before the first networks. Takes effect with the next converge. */
  setUplinks(uplinks: readonly UplinkWish[]): void {
    this.#uplinks = uplinks;
  }

  get uplinks(): readonly UplinkWish[] {
    return this.#uplinks;
  }

  /** What the switch says of the members of its uplinks, by the uplink's name. */
  async members(): Promise<ReadonlyMap<string, readonly ObservedMember[]>> {
    const { ports } = await this.#options.driver.observe();
    return new Map(ports.flatMap(({ owner, members }) => (owner.uplink && members ? [[owner.uplink, members]] : [])));
  }

  /** All networks there are, valid ones. Takes effect with the next converge. */
  setSegments(segments: readonly Segment[]): void {
    this.#segments = new Map(segments.map((segment) => [segment.name, segment]));
    this.#known = true;
  }

  segment(name: string): Segment | undefined {
    return this.#segments.get(name);
  }

  /** Why this network isn't as wished after the last converge. */
  problemOf(network: string): string | undefined {
    return this.#problems.get(network);
  }

  leasesOf(network: string): readonly Lease[] {
    const id = this.#segments.get(network)?.id;
    return (id === undefined ? undefined : this.#dhcp.get(id)?.leases) ?? [];
  }

  addressesOf(mac: string): string[] {
    const wanted = mac.toLowerCase();
    // A NIC that was moved has a lease on its former network too, until that ends: it is not its address any more.
    const on = [...this.#nics.values()].find((nic) => nic.mac === wanted)?.network;
    const leases = on === undefined ? [...this.#dhcp.values()].flatMap((dhcp) => dhcp.leases) : this.leasesOf(on);
    return [...new Set(leases.filter((lease) => lease.mac === wanted).map((lease) => lease.address))];
  }

  /** See NicPlugger.plug. */
  async plug(wish: NicWish): Promise<PluggedNic> {
    const { host, driver } = this.#options;
    const segment = this.#segments.get(wish.network);
    if (!this.#known) throw new CroftError('unavailable', 'The networks are not read yet.');
    if (!segment) throw new CroftError('not-found', `There is no Network ${wish.network} for the NIC ${wish.nic}.`);
    const name = tapName(wish.vmId, wish.index);
    const mac = wish.mac.toLowerCase();
    const mtu = segment.mtu ?? defaultMtu;
    const before = this.#nics.get(name);
    const moved = before !== undefined && before.network !== wish.network;
    if (moved) await this.#forgetAddress(name, before.network);
    const address = await this.#address(name, mac, segment);
    const { vmId, index, nic, network } = wish;
    const port = { vmId, index, nic, mac, network, ...(address === undefined ? {} : { address }) };
    if (before) this.#nics.set(name, port);
    // A new one's tap comes first: another NIC's change would put a port on the switch for a device that isn't there.
    await host.ensureTap({ name, user: wish.uid, mtu, up: wish.linkUp });
    this.#nics.set(name, port);
    await this.#applySwitch();
    await this.#checkPort(name, wish.nic);
    return { ifname: name, offloads: driver.offloads, mtu, ...(moved ? { moved } : {}) };
  }

  /** See PodLinker.linkPod. */
  async linkPod({ vmId, nic, pid, podAddress }: PodLinkWish): Promise<void> {
    const { host, driver } = this.#options;
    const plugged = [...this.#nics.values()].find((each) => each.vmId === vmId && each.nic === nic);
    const segment = plugged && this.#segments.get(plugged.network);
    if (!plugged || !segment) throw new CroftError('unavailable', `The NIC ${nic} is on no network of this box.`);
    if (plugged.address === undefined) {
      throw new CroftError(
        'unavailable',
        `The network ${segment.name} gives no addresses, so nothing can be forwarded to the NIC ${nic}.`,
      );
    }
    const name = podLinkName(vmId, plugged.index);
    const mac = macFor(name);
    const before = this.#pods.get(name);
    if (before && before.network !== segment.name) await this.#forgetAddress(name, before.network);
    const address = await this.#address(name, mac, segment);
    if (address === undefined) throw new CroftError('unavailable', `The network ${segment.name} gives no addresses.`);
    const ends = { address, podAddress, guestAddress: plugged.address };
    const shape = { ...ends, name, far: podEnd(plugged.index), mac, mtu: segment.mtu ?? defaultMtu, offloads: driver.offloads };
    await host.ensurePodLink(shape, pid, async () => {
      // The switch holds a device, not a name: it lets go of the old one, and takes the new one below.
      if (this.#pods.delete(name)) await this.#applySwitch();
    });
    this.#pods.set(name, { vmId, index: plugged.index, nic, mac, network: plugged.network, address });
    // Unplugged meanwhile: then the link goes as the NIC did.
    if (!this.#nics.has(tapName(vmId, plugged.index))) return this.#removePods([name]);
    await this.#applySwitch();
    await this.#checkPort(name, nic);
  }

  async unplug(vmId: string, index: number): Promise<void> {
    await this.#remove((nic) => nic.vmId === vmId && nic.index === index, [tapName(vmId, index)]);
    await this.#removePods([podLinkName(vmId, index)]);
  }

  async unplugAll(vmId: string): Promise<void> {
    const { host } = this.#options;
    const of = (name: string) => (each: string) => each.startsWith(name.slice(0, -1));
    await this.#remove((nic) => nic.vmId === vmId, (await host.listTaps()).filter(of(tapName(vmId, 0))));
    await this.#removePods([...this.#pods.keys(), ...(await host.listPodLinks())].filter(of(podLinkName(vmId, 0))));
  }

  /** Removes taps and ports of VMs that are not among these. To be called once all VMs are known. */
  async reap(keepVmIds: ReadonlySet<string>): Promise<void> {
    const { host } = this.#options;
    const orphans = (names: readonly string[], nameOf: typeof tapName) => {
      const keep = new Set([...keepVmIds].map((id) => nameOf(id, 0).slice(0, -1)));
      return names.filter((name) => !keep.has(name.replace(/\d+$/, '')));
    };
    await this.#remove((nic) => !keepVmIds.has(nic.vmId), orphans(await host.listTaps(), tapName));
    await this.#removePods(orphans([...this.#pods.keys(), ...(await host.listPodLinks())], podLinkName));
  }

  /** Stops DHCP servers and removes the firewall: for uninstalling. Taps go by reap, addresses by `returnAddresses`. */
  async dismantle(): Promise<void> {
    for (const dhcp of this.#dhcp.values()) await dhcp.stop();
    await this.#options.host.prepareNics([]);
    await this.#options.host.applyFirewall([]);
  }

  /** Gives NICs back the machine's addresses, once there is no switch any more. */
  async returnAddresses(): Promise<void> {
    await this.#options.host.moveAddresses([], false);
  }

  async #remove(which: (nic: PluggedPort) => boolean, taps: readonly string[]): Promise<void> {
    const gone = [...this.#nics].filter(([, nic]) => which(nic));
    for (const [name, nic] of gone) {
      this.#nics.delete(name);
      await this.#forgetAddress(name, nic.network);
    }
    const names = [...new Set([...gone.map(([name]) => name), ...taps])];
    if (names.length === 0) return;
    if (gone.length > 0) await this.#applySwitch();
    await this.#options.host.deleteTaps(names);
  }

  async #removePods(names: readonly string[]): Promise<void> {
    const known = names.flatMap((name) => {
      const pod = this.#pods.get(name);
      return pod ? [{ name, pod }] : [];
    });
    for (const { name, pod } of known) {
      this.#pods.delete(name);
      await this.#forgetAddress(name, pod.network);
    }
    if (known.length > 0) await this.#applySwitch();
    if (names.length > 0) await this.#options.host.deletePodLinks(names);
  }

  /** @throws CroftError `unavailable` when the switch has no such port */
  async #checkPort(name: string, nic: string): Promise<void> {
    const port = (await this.#options.driver.observe()).ports.find((each) => each.name === name);
    if (port && port.error === undefined) return;
    throw new CroftError('unavailable', `The switch could not take ${name} (${nic}): ${port?.error ?? 'there is no such port'}.`);
  }

  async #address(tap: string, mac: string, segment: Segment): Promise<string | undefined> {
    if (!segment.dhcp || !segment.cidr) return undefined;
    const dhcp = await this.#dhcpOf(segment);
    const others = [...dhcp.assigned].filter(([name]) => name !== tap).map(([, given]) => given.address);
    const leased = dhcp.leases.filter((lease) => lease.mac !== mac).map((lease) => lease.address);
    const present = dhcp.assigned.get(tap)?.address ?? dhcp.leases.find((lease) => lease.mac === mac)?.address;
    const address = assignAddress(segment.cidr, mac, {
      reservations: v4Reservations(segment),
      present,
      taken: new Set([...others, ...leased]),
    });
    if (address === undefined) {
      throw new CroftError('unavailable', `The network ${segment.name} (${networkOf(segment.cidr)}) has no free address left.`);
    }
    await dhcp.assign(tap, { mac, address });
    return address;
  }

  async #forgetAddress(tap: string, network: string): Promise<void> {
    const segment = this.#segments.get(network);
    if (segment?.dhcp) await this.#dhcp.get(segment.id)?.forget(tap);
  }

  /** The one DHCP server of a network: two would each know half of what was given out. */
  #dhcpOf({ id, name }: Segment): Promise<DhcpService> {
    const known = this.#dhcp.get(id);
    if (known) return Promise.resolve(known);
    const loading = this.#loading.get(id) ?? this.#loadDhcp(id, name).finally(() => this.#loading.delete(id));
    this.#loading.set(id, loading);
    return loading;
  }

  async #loadDhcp(id: string, name: string): Promise<DhcpService> {
    const dhcp = this.#options.host.dhcp(id, () => this.#options.onLeases?.(name));
    await dhcp.load();
    this.#dhcp.set(id, dhcp);
    return dhcp;
  }

  async #converge(): Promise<void> {
    if (!this.#known) return;
    try {
      const problems = new Map<string, string>();
      await this.#refreshAddresses(problems);
      const moves = movesOf(this.#uplinks);
      await this.#options.host.noteAddresses(moves);
      await this.#options.host.prepareNics(nicsOf(this.#uplinks));
      await this.#applySwitch();
      await this.#options.host.moveAddresses(moves, !this.#options.driver.offloads);
      await this.#legs(problems);
      this.#problems = problems;
      if (problems.size > 0) this.#retryLater();
      else this.#retryDelay = firstRetry;
    } catch (error) {
      this.#options.logger.warn({ error: messageOf(error) }, 'the network is not as wished');
      this.#retryLater();
      throw error;
    }
  }

  /** A network that got DHCP or another range gives its NICs addresses of it. */
  async #refreshAddresses(problems: Map<string, string>): Promise<void> {
    for (const plugged of [this.#nics, this.#pods]) {
      for (const [name, port] of plugged) {
        const segment = this.#segments.get(port.network);
        if (!segment) continue;
        try {
          const address = await this.#address(name, port.mac, segment);
          // The same object where nothing changed: linkPod tells a NIC that was plugged anew by it.
          if (address === port.address) continue;
          const { address: _old, ...rest } = port;
          plugged.set(name, address === undefined ? rest : { ...rest, address });
        } catch (error) {
          problems.set(segment.name, messageOf(error));
        }
      }
    }
  }

  async #legs(problems: Map<string, string>): Promise<void> {
    const { host } = this.#options;
    const withLeg = [...this.#segments.values()].flatMap((segment) => (segment.cidr ? [{ segment, cidr: segment.cidr }] : []));
    const legs = withLeg.map(({ segment, cidr }) => ({ name: legName(segment.id), address: cidr.address, prefix: cidr.prefix }));
    const indexes = await host.ensureLegs(legs);
    // Rules first: no packet is routed before they stand.
    await host.applyFirewall(
      withLeg.map(({ segment, cidr }) => ({ name: legName(segment.id), subnet: networkOf(cidr), nat: segment.nat })),
    );
    if (withLeg.some(({ segment }) => segment.nat)) await host.enableForwarding();
    for (const { segment, cidr } of withLeg.filter((each) => each.segment.dhcp)) {
      try {
        await this.#serve(segment, cidr, indexes.get(legName(segment.id)));
      } catch (error) {
        problems.set(segment.name, messageOf(error));
      }
    }
    for (const id of new Set([...this.#dhcp.keys(), ...(await host.listDhcp())])) {
      // Asked of the networks as they are now: one that was made during this run has given addresses already.
      if ([...this.#segments.values()].some((segment) => segment.id === id && segment.dhcp && segment.cidr)) continue;
      await (this.#dhcp.get(id) ?? host.dhcp(id, () => {})).remove();
      this.#dhcp.delete(id);
    }
  }

  async #serve(segment: Segment, cidr: NonNullable<Segment['cidr']>, legIndex: number | undefined): Promise<void> {
    const leg = legName(segment.id);
    if (legIndex === undefined) throw new CroftError('unavailable', `The box's port ${leg} on the network is not there yet.`);
    const dhcp = await this.#dhcpOf(segment);
    const network = {
      name: segment.name,
      leg,
      cidr,
      nat: segment.nat,
      ...(segment.mtu === undefined ? {} : { mtu: segment.mtu }),
    };
    await dhcp.ensure(network, v4Reservations(segment), legIndex);
  }

  #convergeLater(delay: number): void {
    if (this.#closed) return;
    clearTimeout(this.#retry);
    // A failure is logged in #converge, which also tries again.
    this.#retry = setTimeout(() => void this.converge().catch(() => undefined), delay);
    this.#retry.unref();
  }

  #retryLater(): void {
    this.#convergeLater(this.#retryDelay);
    this.#retryDelay = Math.min(this.#retryDelay * 2, maxRetry);
  }
}
