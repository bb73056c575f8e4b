/**
 * The network of this box: entry of the subsystem.
 *
 * Networks (croft.io/v1) come from the store through a controller; NICs come from the VM reconciler through
 * `plugger`. Both end in the engine (engine.ts), which brings switch, taps, legs, firewall and DHCP to the wish:
 *
 *   Network ─ validate.ts ─ wish.ts ┐              ┌ ovs/   one bridge croft0, ports by VLAN, anti-spoofing flows
 *   NicPlugger.plug ────────────────┴─ engine.ts ──┼ taps, legs (links.ts, taps.ts), firewall/ (nftables)
 *   Uplink ─ uplinks/ ──────────────┘              └ dhcp/  one dnsmasq per network with DHCP
 *
 * A Network that cannot be is refused in its condition `Ready` with one sentence; what it was before stays in
 * effect. Switch and DHCP daemons outlive croftd and are adopted. Where there is no root or no Open vSwitch the
 * box still runs VMs, with QEMU's user-mode networking, and `components` says what is missing.
 */
import type { Config, Paths } from '../appliance/config.ts';
import { isCroftError, messageOf } from '../appliance/errors.ts';
import type { Logger } from '../appliance/host/logger.ts';
import type { NicFact } from '../appliance/ports.ts';
import { startController, watching } from '../appliance/reconcile/controller.ts';
import type { Events } from '../appliance/reconcile/events.ts';
import { startInformer } from '../appliance/reconcile/informer.ts';
import { network as networkKind, type Network } from '../appliance/resources/croft-kinds.ts';
import { uplink as uplinkKind } from '../appliance/resources/uplink.ts';
import { idLabel, newId } from '../appliance/resources/identity.ts';
import { setCondition } from '../appliance/resources/meta.ts';
import { editObject, editStatus } from '../appliance/store/edit.ts';
import type { ResourceStore } from '../appliance/store/store.ts';
import { ensureDefaultNetwork } from './default-network.ts';
import type { NicPlugger, PodLinker, SwitchDriver } from './driver.ts';
import { NetworkEngine } from './engine.ts';
import { createNetworkHost, type NetworkHost } from './host.ts';
import { deleteLinks, listAddresses } from './links.ts';
import { OvsDriver } from './ovs/driver.ts';
import { findSwitch } from './ovs/server.ts';
import { tapPlugger, userPlugger } from './ports.ts';
import { admitUplinks, carries, isMachinePort } from './uplinks/admit.ts';
import { startUplinks } from './uplinks/controller.ts';
import { offeredNics } from './uplinks/offer.ts';
import { validateNetwork } from './validate.ts';
import { bridgeName, isLeg, segmentOf, type Segment } from './wish.ts';

export type NetworkComponent = { name: string; version?: string; state: string; message?: string };

export type NetworkService = {
  plugger: NicPlugger;
  /** Absent where there is no switch. */
  podLinker?: PodLinker;
  /** What uplinks can be chosen from; none where there is no switch. */
  nics(): Promise<NicFact[]>;
  /** For the node's status. */
  components(): NetworkComponent[];
  /** Removes taps and ports of VMs that are not among these; once all VMs are known. */
  reap(keepVmIds: ReadonlySet<string>): Promise<void>;
  /** Resolves when every Network known now has been brought to its wish, or failed to. */
  idle(): Promise<void>;
  /** Lets go: guests keep their network. */
  close(): Promise<void>;
  /** Takes everything of Croft's off the box, daemons included: for uninstalling, after the guests are gone. */
  dismantle(): Promise<void>;
};

export type NetworkOptions = {
  store: ResourceStore;
  events: Events;
  logger: Logger;
  config: Pick<Config, 'ovs' | 'data' | 'run'>;
  paths: Pick<Paths, 'ovs'>;
  /** Instead of the real box: for `npm run dev` and tests. */
  simulated?: { driver: SwitchDriver; host: NetworkHost };
  /** This box's name where several boxes share the store. */
  box?: string | undefined;
};

type Backend = {
  driver: SwitchDriver;
  host: NetworkHost;
  component: () => NetworkComponent;
  /** Subnets the box is on already: the default network keeps out of them. */
  occupied: () => Promise<string[]>;
  release: () => Promise<void>;
  stop: () => Promise<void>;
};

/** Starts the network. Never fails for lack of root or Open vSwitch: then `plugger.mode` is `user`. */
export async function startNetwork(options: NetworkOptions): Promise<NetworkService> {
  const { logger } = options;
  try {
    const backend = await findBackend(options);
    if (typeof backend !== 'string') return await startOn(backend, options);
    return userModeOnly(options, backend);
  } catch (error) {
    if (!isCroftError(error)) throw error;
    logger.warn({ reason: error.message }, 'no switch: guests get user-mode networking');
    return userModeOnly(options, error.message);
  }
}

async function findBackend({ config, paths, logger, simulated }: NetworkOptions): Promise<Backend | string> {
  if (simulated) {
    const nothing = async () => {};
    await simulated.driver.open();
    const component = () => ({ name: 'switch', state: 'simulated' });
    return { ...simulated, component, occupied: async () => [], release: nothing, stop: nothing };
  }
  if (process.getuid?.() !== 0) return 'Croft does not run as root, so it cannot make network ports for guests.';
  const server = await findSwitch(config.ovs, paths.ovs, logger);
  if (!server) return 'CROFT_OVS is none.';
  const driver = new OvsDriver(server, logger);
  await driver.open();
  return {
    driver,
    host: await createNetworkHost(config, logger),
    component: () => ({
      name: 'openvswitch',
      ...(driver.version === undefined ? {} : { version: driver.version }),
      state: 'running',
      message: `${server.own ? 'run by Croft' : 'of the system'}, ${server.datapath === 'system' ? 'kernel' : 'userspace'} datapath`,
    }),
    occupied: async () => (await listAddresses()).filter((link) => !isLeg(link.name)).flatMap((link) => link.addresses),
    release: async () => {
      await driver.close();
      server.release();
    },
    stop: async () => {
      await driver.remove();
      await driver.close();
      await server.stop();
      // The userspace datapath's devices are persistent: a switch that died before could not take them along.
      if (server.own)
        await deleteLinks((name) => name === bridgeName || name === 'ovs-netdev' || isLeg(name) || isMachinePort(name));
    },
  };
}

function userModeOnly({ store, logger }: NetworkOptions, reason: string): NetworkService {
  // Networks can be told why nothing happens to them; nothing else is needed of the store.
  const informer = startInformer(store, networkKind, { logger });
  const controller = startController({
    name: 'network',
    logger,
    watches: [watching(informer)],
    reconcile: async (key) => {
      await editStatus(store, networkKind, { name: key }, (network) =>
        markReady(network, `There is no switch: ${reason}`, 'NoSwitch'),
      );
    },
  });
  return {
    plugger: userPlugger(),
    nics: async () => [],
    components: () => [{ name: 'openvswitch', state: 'missing', message: `${reason} Guests get user-mode networking.` }],
    reap: async () => {},
    idle: () => controller.idle(),
    close: async () => {
      await controller.stop();
      await informer.stop();
    },
    dismantle: async () => {},
  };
}

async function startOn(backend: Backend, { store, events, logger, box }: NetworkOptions): Promise<NetworkService> {
  const { driver, host } = backend;
  const engine = new NetworkEngine({
    driver,
    host,
    logger,
    onLeases: (name) => controller.enqueue(name),
    onSwitch: () => void lookAtUplinks(),
  });
  // Every change of the switch says so; only links that came or went are the uplinks' news.
  let seen = '';
  let refreshUplinks = (): void => {};
  async function lookAtUplinks(): Promise<void> {
    const members = JSON.stringify([...(await engine.members())]);
    if (members !== seen) refreshUplinks();
    seen = members;
  }
  await engine.start();
  await ensureDefaultNetwork(store, await backend.occupied());
  const informer = startInformer(store, networkKind, { logger });
  const controller = startController({
    name: 'network',
    logger,
    watches: [watching(informer)],
    reconcile: (key) => reconcile(key),
    concurrency: 1,
  });

  async function reconcile(name: string): Promise<void> {
    const found = await store.get(networkKind, name);
    if (found && found.metadata.labels?.[idLabel] === undefined) {
      await editObject(store, networkKind, { name }, (network) => {
        network.metadata.labels = { [idLabel]: newId(), ...network.metadata.labels };
      });
    }
    const { refused, failure } = await bring();
    let problem = refused.networks.get(name);
    let reason = 'Invalid';
    if (failure !== undefined) {
      problem ??= failure;
      reason = 'SwitchFailed';
    }
    if (!found) return;
    if (problem === undefined) {
      problem = engine.problemOf(name);
      reason = 'ServiceFailed';
    }
    await report(found, problem, reason);
  }

  /** Brings the box to all that is wished now: networks and uplinks are one wish, of one switch. */
  async function bring() {
    const [networks, wishedUplinks, nics] = await Promise.all([store.list(networkKind), store.list(uplinkKind), host.listNics()]);
    const held = new Map([...(await engine.members())].map(([uplink, members]) => [uplink, members.map(({ name }) => name)]));
    const before = JSON.stringify(engine.uplinks);
    const { uplinks: valid, refused: refusedUplinks } = admitUplinks(wishedUplinks.items, nics, engine.uplinks, held);
    const { segments, refused } = admit(networks.items, (each) => engine.segment(each));
    engine.setUplinks(valid);
    engine.setSegments(segments);
    const failure = await engine.converge().then(
      () => undefined,
      (error: unknown) => messageOf(error),
    );
    // Which of them leave the box is told by each network.
    if (JSON.stringify(valid) !== before) for (const { metadata } of networks.items) controller.enqueue(metadata.name);
    return { refused: { networks: refused, uplinks: refusedUplinks }, failure };
  }

  const uplinks = startUplinks({
    store,
    events,
    logger,
    nics: () => host.listNics(),
    membersOf: async (name) => (await engine.members()).get(name) ?? [],
    bring: async (name) => {
      const { refused, failure } = await bring();
      const wrong = refused.uplinks.get(name);
      if (wrong !== undefined) return { reason: 'Invalid', message: wrong };
      return failure === undefined ? undefined : { reason: 'SwitchFailed', message: failure };
    },
  });

  refreshUplinks = () => uplinks.refresh();

  async function report(before: Network, problem: string | undefined, reason: string): Promise<void> {
    const { name } = before.metadata;
    await editStatus(store, networkKind, { name }, (network) => {
      markReady(network, problem, reason);
      const { uplink: _before, ...rest } = network.status ?? {};
      const { spec } = network;
      const out = spec.isolated
        ? undefined
        : engine.uplinks.find((each) => (spec.trunk ?? [spec.vlan]).some((vlan) => carries(each, vlan)))?.name;
      const own = engine.leasesOf(name).map((lease) => ({ ...lease }));
      network.status = {
        ...rest,
        ...(out === undefined ? {} : { uplink: out }),
        leases: box === undefined ? own : beside(network.status?.leases ?? [], own, box),
      };
    });
    const known = before.status?.conditions?.find((condition) => condition.type === 'Ready');
    if (problem !== undefined && known?.message !== problem) {
      const id = before.metadata.labels?.[idLabel];
      events.record({
        type: 'Warning',
        reason,
        message: problem,
        about: { kind: 'Network', name, ...(id === undefined ? {} : { id }) },
      });
    }
    // Repaired by the engine itself; looked at again so that the condition follows.
    if (problem !== undefined && reason !== 'Invalid') controller.enqueueAfter(name, 2_000);
  }

  // Who gets the plugger can use it at once: the networks of the store are up, or say why not.
  await controller.idle();
  await uplinks.idle();

  const release = async () => {
    await uplinks.stop();
    await controller.stop();
    await informer.stop();
    engine.close();
  };
  return {
    plugger: tapPlugger(engine),
    podLinker: { linkPod: (wish) => engine.linkPod(wish) },
    nics: async () => offeredNics(await host.describeNics(), engine.uplinks),
    components: () => [backend.component()],
    reap: (keep) => engine.reap(keep),
    idle: async () => {
      await uplinks.idle();
      await controller.idle();
    },
    close: async () => {
      await release();
      await backend.release();
    },
    dismantle: async () => {
      await release();
      await engine.reap(new Set());
      await engine.dismantle();
      await backend.stop();
      await engine.returnAddresses();
    },
  };
}

/** Older networks first: of two that clash the younger is refused. A refused one that was in effect stays as it was. Pure. */
export function admit(
  networks: readonly Network[],
  inEffect: (name: string) => Segment | undefined,
): { segments: Segment[]; refused: Map<string, string> } {
  const age = ({ metadata }: Network) => `${metadata.creationTimestamp ?? ''} ${metadata.name}`;
  const accepted: Network[] = [];
  const segments: Segment[] = [];
  const refused = new Map<string, string>();
  for (const each of networks.toSorted((a, b) => (age(a) < age(b) ? -1 : 1))) {
    // Without an id nothing can be named after it yet: its own reconcile gives it one first.
    if (each.metadata.labels?.[idLabel] === undefined || each.metadata.deletionTimestamp !== undefined) continue;
    const wrong = validateNetwork(each, accepted);
    if (wrong === undefined) {
      accepted.push(each);
      segments.push(segmentOf(each));
      continue;
    }
    refused.set(each.metadata.name, wrong);
    const before = inEffect(each.metadata.name);
    if (before && before.id === each.metadata.labels[idLabel]) segments.push(before);
  }
  return { segments, refused };
}

function markReady(network: Network, problem: string | undefined, reason: string): void {
  const condition =
    problem === undefined
      ? ({ type: 'Ready', status: 'True', reason: 'Ready', message: 'The network is as wished.' } as const)
      : ({ type: 'Ready', status: 'False', reason, message: problem } as const);
  network.status = { ...network.status, conditions: setCondition(network.status?.conditions, condition) };
}

type SaidLease = NonNullable<NonNullable<Network['status']>['leases']>[number];

/** Each box of a cluster speaks for itself, and leaves what others said. In one order, so that nobody writes for nothing. */
const beside = (said: readonly SaidLease[], own: readonly SaidLease[], box: string): SaidLease[] =>
  [...own.map((lease) => ({ ...lease, node: box })), ...said.filter(({ node }) => node !== undefined && node !== box)].toSorted(
    (a, b) => (`${a.mac} ${a.node}` < `${b.mac} ${b.node}` ? -1 : 1),
  );
