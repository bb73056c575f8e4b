/**
 * The one place that imports implementations: store, network, storage, hypervisor and API become a box here.
 * In the order of what depends on what; `stop` goes the other way round. Guests, switch and DHCP outlive it.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { startOwnK3s } from './cluster/join/box-k3s.ts';
import { joinPeers } from './cluster/peers/box.ts';
import { readIdentity, settingsOf } from './cluster/peers/identity.ts';
import type { Peers } from './cluster/peers/peers.ts';
import { migrationParts } from './cluster/migration-parts.ts';
import { hostSubnets, joinPodNetwork, rememberReads, settleOnCluster } from './compose/cluster.ts';
import { offerFirstImage, offerFirstTypes } from './compose/first-offers.ts';
import { orUndo, type Stack } from './compose/stack.ts';
import { startUpdates } from './compose/updates.ts';
import { keepApiAccount } from './cluster/api-account.ts';
import { createShadowPodPlacement } from './cluster/shadow-pod-placement.ts';
import { pod, shadowLabel } from './cluster/shadow-pod.ts';
import { CroftError } from './errors.ts';
import { makeDirectories, parseListen, type Config } from './config.ts';
import { thisNodeName } from './host/node-name.ts';
import { bootId } from './host/process-info.ts';
import type { Logger } from './host/logger.ts';
import { ensureLocalPool } from './defaults.ts';
import { finishRestore } from './node/restore.ts';
import { reportNode, type Component, type NodeFacts } from './node/report.ts';
import { type PortOwner, servePort } from './port/server.ts';
import type { BoxPort, ImageUploads, VmExports } from './ports.ts';
import { createQemuHypervisor } from './qemu/hypervisor.ts';
import { removeEfiVars } from './qemu/firmware.ts';
import { startInformer, type Informer } from './reconcile/informer.ts';
import { image, network, storagePool } from './resources/croft-kinds.ts';
import { dataVolume, persistentVolumeClaim } from './resources/data-volume.ts';
import { parseBytes } from './resources/quantity.ts';
import { virtualMachineInstanceMigration } from './resources/migration.ts';
import { volumeMove } from './resources/volume-move.ts';
import { virtualMachineClone, virtualMachineRestore, virtualMachineSnapshot } from './resources/snapshot.ts';
import { virtualMachine, virtualMachineInstance } from './resources/virtual-machine.ts';
import { openBoxStore, type BoxStore } from './store/box/box-store.ts';
import { openSqliteStore } from './store/sqlite.ts';
import type { ResourceStore } from './store/store.ts';
import { version } from './version.ts';
import type { Hypervisor } from './vm/hypervisor.ts';
import { hostMemory } from './vm/memory.ts';
import { soloPlacement, type Placement } from './vm/placement.ts';
import { startExports } from './vm/export/exports.ts';
import { startVms, type VmService } from './vm/service.ts';
import { createSimHypervisor } from './vm/sim.ts';
import { ensureDefaultNetwork } from '../network/default-network.ts';
import { startNetwork, type NetworkService } from '../network/reconciler.ts';
import { SimSwitchDriver, simHost } from '../network/sim.ts';
import { startStorage, type StorageService } from '../storage/reconciler.ts';
import { startApi } from '../ui-api/server/start.ts';
import { portPaths, startFace } from './compose-api.ts';

export type Box = {
  /** Where the API answers, e.g. `http://127.0.0.1:8440`. */
  url: string;
  /** The one-time link for the first administrator; absent once there is one. */
  setupUrl: string | undefined;
  /** Resolves when the box's part in its cluster has changed: it must be composed anew. */
  changed: Promise<void>;
  stop(): Promise<void>;
};

export type ComposeOptions = { logger: Logger /** `npm run dev`: simulated machine. */; simulated: boolean };

/** A box without its API: that is another process (compose-api.ts), reached over the port. */
export type BoxPart = Pick<Box, 'changed' | 'stop'> & { shutDownGuests(): Promise<void> };

/** Starts a box and resolves when it serves. Whatever was started is stopped again when a part fails. */
export const composeBox = (config: Config, options: ComposeOptions): Promise<Box> =>
  orUndo(options.logger, (stack) => compose(config, options, stack));

/** Starts all of a box but its API, and the port for the account that runs it. */
export const composeBoxPart = (config: Config, options: ComposeOptions & { apiAccount: PortOwner }): Promise<BoxPart> =>
  orUndo(options.logger, (stack) => composePart(config, options, stack));

async function compose(given: Config, options: ComposeOptions, stack: Stack): Promise<Box> {
  const { logger } = options;
  const core = await composeCore(given, options, stack);
  const { config, store, box, port, uploads, exports, staleSince, nodeName } = core;
  const { tasks, events } = box;
  const api = await startApi({ config, store, box, port, uploads, exports, tasks, events, logger, version, staleSince });
  stack.push('api', () => api.close());
  if (core.inCluster) await startFace(config, { store: core.source, port, nodeName, logger }, stack);
  logger.info({ url: api.url, adopted: core.adopted }, 'ready');
  core.resume();
  return { url: api.url, setupUrl: api.setupUrl, changed: core.changed, stop: () => stack.unwind() };
}

async function composePart(given: Config, options: ComposeOptions & { apiAccount: PortOwner }, stack: Stack): Promise<BoxPart> {
  const { logger, apiAccount } = options;
  if (given.store !== 'kubernetes')
    throw new CroftError('invalid-input', 'CROFT_STORE: box and API as two processes share a cluster; it must be kubernetes.');
  const core = await composeCore(given, options, stack);
  const { config, box, port, uploads, exports } = core;
  const { tasks, events } = box;
  const { portSocket, portKubeconfig } = portPaths(config);
  const account = await keepApiAccount({ admin: config.kubeconfig, target: portKubeconfig, owner: apiAccount, logger });
  stack.push('API account', () => account.stop());
  const served = await servePort(portSocket, apiAccount, { port, uploads, exports, tasks, events, logger });
  stack.push('port', () => served.close());
  logger.info({ adopted: core.adopted }, 'ready');
  core.resume();
  return { changed: core.changed, shutDownGuests: core.shutDownGuests, stop: () => stack.unwind() };
}

type Core = {
  config: Config;
  nodeName: string;
  /** What the API reads: from memory while the cluster is away. */
  store: ResourceStore;
  staleSince: (() => Date | undefined) | undefined;
  /** The store itself. */
  source: ResourceStore;
  box: BoxStore;
  port: BoxPort;
  uploads: ImageUploads;
  exports: VmExports;
  inCluster: boolean;
  /** How many guests were found running. */
  adopted: number;
  changed: Box['changed'];
  /** Before the machine goes down. */
  shutDownGuests(): Promise<void>;
  /** Goes on with what the end of the service cut off. */
  resume(): void;
};

/** Store, network, storage, virtual machines and cluster. */
async function composeCore(given: Config, { logger, simulated }: ComposeOptions, stack: Stack): Promise<Core> {
  const identity = await readIdentity(given.data);
  const joined = settingsOf(given, identity);
  const hostName = joined.node === '' ? thisNodeName() : joined.node;
  const paths = makeDirectories(joined);
  parseListen(joined.listen);
  await finishRestore(joined.data);
  const box = openBoxStore(paths.box, { logger });
  stack.push('box store', () => box.close());
  const cluster = await settleOnCluster(joined, { box, logger, nodeName: hostName, founds: !simulated && !identity }, stack);
  const { config } = cluster;
  // The name that Kubernetes knows stays, whatever the host is called by now.
  const nodeName = config.node === '' ? hostName : config.node;
  const inCluster = config.store === 'kubernetes';
  if (identity) await startOwnK3s(config.data, logger);
  const store = await openStore(config, paths.store, logger);
  stack.push('store', () => store.close());

  const peered = inCluster && config.address !== '';
  const peers = peered ? await joinPeers({ config, box: nodeName, identity, keys: paths.keys, store, logger }) : undefined;
  if (peers) stack.push('peers', () => peers.stop());

  // Before the network chooses: k3s has these subnets for pods and Services without being on them yet.
  if (inCluster) await ensureDefaultNetwork(store, [...clusterSubnets, ...hostSubnets()]);

  const informers = {
    virtualMachine: startInformer(store, virtualMachine, { logger }),
    virtualMachineInstance: startInformer(store, virtualMachineInstance, { logger }),
    dataVolume: startInformer(store, dataVolume, { logger }),
    persistentVolumeClaim: startInformer(store, persistentVolumeClaim, { logger }),
    virtualMachineSnapshot: startInformer(store, virtualMachineSnapshot, { logger }),
    virtualMachineRestore: startInformer(store, virtualMachineRestore, { logger }),
    virtualMachineClone: startInformer(store, virtualMachineClone, { logger }),
    volumeMove: startInformer(store, volumeMove, { logger }),
    virtualMachineInstanceMigration: startInformer(store, virtualMachineInstanceMigration, { logger }),
    network: startInformer(store, network, { logger }),
    storagePool: startInformer(store, storagePool, { logger }),
    image: startInformer(store, image, { logger }),
  };
  stack.push('informers', () => Promise.all(Object.values(informers).map((informer) => informer.stop())));

  const simulation = simulated ? { driver: new SimSwitchDriver(), host: simHost() } : undefined;
  const shared = peers && { box: nodeName, address: config.address, gate: peers.gate };
  const networks = await startNetwork({
    store,
    events: box.events,
    logger,
    config,
    paths,
    simulated: simulation,
    box: peers && nodeName,
  });
  stack.push('network', () => networks.close());

  await offerFirstTypes(store, box);
  await ensureLocalPool(store, simulated ? 'sim' : 'local');
  const storage = await startStorage({
    store,
    informers,
    tasks: box.tasks,
    events: box.events,
    logger,
    config,
    paths,
    peers: shared,
  });
  stack.push('storage', () => storage.stop());

  const hypervisor = simulated
    ? createSimHypervisor()
    : createQemuHypervisor({ vms: paths.vms, dataDir: config.data, accel: config.accel as 'auto' | 'kvm' | 'tcg', logger });
  const pods = inCluster ? startInformer(store, pod, { labelSelector: `${shadowLabel}=true`, logger }) : undefined;
  stack.push('pods', async () => pods?.stop());
  const placement = pods ? createShadowPodPlacement(store, pods, nodeName) : soloPlacement;
  const vms = await startVmService({
    config,
    store,
    box,
    informers,
    networks,
    storage,
    hypervisor,
    placement,
    simulated,
    peers,
    nodeName,
    logger,
  });
  stack.push('vms', () => vms.stop());
  peers?.watch({ storage: storage.fence, guests: vms.guests });

  const exports = await startExports({
    store,
    volumes: storage,
    tasks: box.tasks,
    directory: join(config.data, 'exports'),
    logger,
  });
  stack.push('exports', () => exports.stop());

  const { port: clusterPort, replaced } = await cluster.port(store);
  stack.push('cluster', async () => clusterPort?.stop());
  const images = storage.uploads;
  const { updates, uploads } = simulated
    ? { uploads: images }
    : await startUpdates({ config, tasks: box.tasks, nodeName, logger, images }, stack);
  const port = {
    ...vms.port,
    nics: () => networks.nics(),
    ...(clusterPort ? { cluster: clusterPort } : {}),
    ...(updates ? { updates } : {}),
  };
  const reads = inCluster
    ? await rememberReads(store, Object.values(informers) as unknown as Informer[], logger, stack)
    : undefined;
  if (pods) {
    const instances = informers.virtualMachineInstance;
    await joinPodNetwork(config, { pods, instances, linker: networks.podLinker, nodeName, logger }, stack);
  }
  await report({ store, config, nodeName, peer: peers?.facts, networks, hypervisor, logger });
  await offerFirstImage(store, box);
  return {
    config,
    nodeName,
    store: reads?.store ?? store,
    staleSince: reads?.staleSince,
    source: store,
    box,
    port,
    uploads,
    exports,
    inCluster: pods !== undefined,
    adopted: vms.adopted.length,
    changed: Promise.race([replaced, ...(peers ? [peers.changed] : [])]),
    shutDownGuests: () => vms.shutDown(),
    resume: () => clusterPort?.resume(),
  };
}

/** k3s' default subnets of pods and Services (k3s docs, `--cluster-cidr`, `--service-cidr`). */
const clusterSubnets = ['10.42.0.0/16', '10.43.0.0/16'];

/** The store that the settings name; a cluster gets our kinds first. */
async function openStore(config: Config, path: string, logger: Logger): Promise<ResourceStore> {
  if (config.store !== 'kubernetes') {
    return openSqliteStore({ path, onBackgroundError: (error) => logger.error({ err: error }, 'store') });
  }
  // Loaded only here: the Kubernetes client is larger than the rest of a solo box's code.
  const [{ installCrds }, { openKubernetesStore }] = await Promise.all([
    import('./store/kubernetes-setup.ts'),
    import('./store/kubernetes.ts'),
  ]);
  await installCrds(config.kubeconfig);
  return openKubernetesStore({ kubeconfig: config.kubeconfig });
}

type VmParts = {
  config: Config;
  store: ResourceStore;
  box: BoxStore;
  informers: Parameters<typeof startVms>[0]['informers'];
  networks: NetworkService;
  storage: StorageService;
  hypervisor: Hypervisor;
  placement: Placement;
  simulated: boolean;
  peers: Peers | undefined;
  nodeName: string;
  logger: Logger;
};

async function startVmService({
  config,
  store,
  box,
  informers,
  networks,
  storage,
  hypervisor,
  placement,
  simulated,
  peers,
  nodeName,
  logger,
}: VmParts): Promise<VmService> {
  await Promise.all(Object.values(informers).map((informer) => informer.synced()));
  const seedDirectory = join(config.data, 'seeds');
  const root = process.getuid?.() === 0;
  const vms = await startVms({
    store,
    informers,
    hypervisor,
    volumes: storage,
    plugger: networks.plugger,
    events: box.events,
    history: box.history,
    tasks: box.tasks,
    journal: box.journal,
    memory: hostMemory(parseBytes(config.reserve, 'CROFT_MEMORY_RESERVE'), Number(config.overcommit)),
    placement,
    peers,
    logger,
    nodeName,
    bootId: await bootId(),
    seedDirectory,
    // There are no bytes to copy where the pools are simulated.
    ...(simulated ? { copyClosed: async () => undefined } : {}),
    migration: migrationParts(store, nodeName, peers ? config.address : '127.0.0.1'),
    ownerOf: (vmId) => {
      if (!root) return undefined;
      const uid = box.uids.allocate(vmId);
      return { uid, gid: uid };
    },
    retire: async (vmId) => {
      await rm(join(seedDirectory, `${vmId}.iso`), { force: true });
      await removeEfiVars(config.data, vmId);
      box.history.forget(vmId);
      box.uids.release(vmId);
    },
  });
  // Ports of VMs that were deleted while nobody looked; running and stored ones keep theirs.
  const known = [...informers.virtualMachine.list(), ...informers.virtualMachineInstance.list()].map(
    (object) => object.metadata.labels?.['croft.io/id'] ?? '',
  );
  await networks.reap(new Set([...known, ...vms.adopted]));
  return vms;
}

/** Tells the store what this box is. The accelerator's probe may take seconds, so it is told when it is known. */
type ReportParts = Pick<VmParts, 'store' | 'config' | 'nodeName' | 'networks' | 'hypervisor' | 'logger'> & {
  peer: NodeFacts['peer'] | undefined;
};

async function report({ store, config, nodeName, peer, networks, hypervisor, logger }: ReportParts): Promise<void> {
  const facts = async (accelerator: string) => {
    const versions = await hypervisor.versions().catch((error: unknown) => ({ qemu: undefined, error }));
    const qemu: Component = versions.qemu
      ? { name: 'qemu', version: versions.qemu, state: 'ready' }
      : { name: 'qemu', state: 'missing', message: 'Install the package qemu-system-x86.' };
    return {
      ...(peer ? { peer } : {}),
      bootId: await bootId(),
      accelerator,
      memoryReserved: parseBytes(config.reserve, 'CROFT_MEMORY_RESERVE'),
      components: [qemu, ...networks.components()],
    };
  };
  await reportNode(store, nodeName, await facts('unknown'));
  const tellLater = async () => reportNode(store, nodeName, await facts((await hypervisor.accelerator()).name));
  tellLater().catch((error: unknown) => logger.warn({ err: error }, 'the accelerator is not known'));
}
