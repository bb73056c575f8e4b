/**
 * Virtual machines, theory of operation.
 *
 * Two controllers. The VirtualMachine controller (vm-reconciler.ts) turns a run strategy and requests into the
 * being or not-being of a VirtualMachineInstance. The instance reconciler (instance-reconciler.ts) turns an
 * instance into a running guest on this box. Both observe, plan purely, and take steps that may be repeated.
 *
 * Guests outlive us. At start the registry adopts those that run and learns how others ended; only then are the
 * controllers started, so that nothing is launched twice. From then on everything is driven by events: of the
 * store (watches), of guests (QMP) and of leases.
 */
import { availableParallelism } from 'node:os';
import type { NicPlugger } from '../../network/driver.ts';
import type { VolumeResolver } from '../../storage/driver.ts';
import type { Logger } from '../host/logger.ts';
import type { MetricsHistory } from '../metrics/history.ts';
import { startSampler } from '../metrics/sampler.ts';
import { startController, watching } from '../reconcile/controller.ts';
import type { Events } from '../reconcile/events.ts';
import { fromKey, keyOf, type Informer } from '../reconcile/informer.ts';
import { createLocks } from '../reconcile/locks.ts';
import type { network } from '../resources/croft-kinds.ts';
import { dataVolume, persistentVolumeClaim } from '../resources/data-volume.ts';
import { idLabel } from '../resources/identity.ts';
import type { Resource } from '../resources/meta.ts';
import { virtualMachine, virtualMachineInstance } from '../resources/virtual-machine.ts';
import type { ResourceStore } from '../store/store.ts';
import { createBoxPort, type GuestPort } from './box-port.ts';
import type { VmContext } from './context.ts';
import { createGuestRegistry } from './guest-registry.ts';
import { networkOf, wishedDisks, wishedNics } from './guest-shape.ts';
import type { Hypervisor } from './hypervisor.ts';
import { reconcileInstance } from './instance-reconciler.ts';
import type { MemoryPolicy } from './memory.ts';
import { soloPlacement, type Placement } from './placement.ts';
import type { SlotJournal } from './slots.ts';
import type { CopyClosed } from './moves/copy-closed.ts';
import { startMoves, type MoveInformers } from './moves/service.ts';
import type { MigrationParts } from './migration/parts.ts';
import { startMigrations, type MigrationInformers } from './migration/service.ts';
import { shutDownGuests } from './shut-down.ts';
import { createStartGate, openGate, type StartGate, startOrderOf } from './start-order.ts';
import { startSpaceWatch } from './space-watch.ts';
import { startSnapshots, type SnapshotInformers } from './snapshots/service.ts';
import type { ResumableTasks } from './snapshots/track.ts';
import { reconcileVm, type Retire } from './vm-reconciler.ts';

export type VmServiceOptions = {
  store: ResourceStore;
  informers: {
    virtualMachine: Informer<typeof virtualMachine>;
    virtualMachineInstance: Informer<typeof virtualMachineInstance>;
    dataVolume: Informer<typeof dataVolume>;
    persistentVolumeClaim: Informer<typeof persistentVolumeClaim>;
    network: Informer<typeof network>;
  } & SnapshotInformers &
    MoveInformers &
    MigrationInformers;
  tasks: ResumableTasks;
  hypervisor: Hypervisor;
  volumes: VolumeResolver;
  plugger: NicPlugger;
  events: Events;
  history: MetricsHistory;
  journal: SlotJournal;
  memory: MemoryPolicy;
  /** Default: this box, at once. */
  placement?: Placement;
  peers?: VmContext['peers'];
  logger: Logger;
  nodeName: string;
  bootId: string;
  seedDirectory: string;
  ownerOf: VmContext['ownerOf'];
  retire: Retire;
  /** Copies volumes that nobody has open; default: qemu-img. */
  copyClosed?: CopyClosed;
  /** What migration between boxes needs of the cluster. */
  migration: Omit<MigrationParts, 'context'>;
};

export type VmService = {
  port: GuestPort;
  /** Ids of the guests that ran already when the service started. */
  adopted: string[];
  /** What runs here, and a forced end of one. */
  guests: { all(): { id: string; epoch: number }[]; end(id: string): Promise<void> };
  /** The machine goes down: ends all guests, those that listen by their power button. Before `stop`; nothing starts again. */
  shutDown(): Promise<void>;
  stop(): Promise<void>;
};

/** Both kinds are of a project: their keys have a namespace. */
const vmKey = (key: string): { name: string; namespace: string } => ({ namespace: 'default', ...fromKey(key) });

/** Adopts guests and starts the controllers. */
export async function startVms(options: VmServiceOptions): Promise<VmService> {
  const { informers, logger } = options;
  const registry = createGuestRegistry(options.hypervisor, logger);
  const { placement = soloPlacement } = options;
  await placement.synced();
  const context: VmContext = {
    ...options,
    placement,
    registry,
    locks: createLocks(),
    instances: () =>
      informers.virtualMachineInstance.list().filter(({ status }) => !options.peers || status?.nodeName === options.nodeName),
  };
  const adopted = await registry.adopt();

  const gate = gateOfBoot(options);
  const vmController = startController({
    name: 'vm',
    logger,
    gate: options.peers?.gate,
    watches: [
      watching(informers.virtualMachine),
      watching(informers.virtualMachineInstance),
      watching(informers.dataVolume, ownersOf),
    ],
    reconcile: (key) => reconcileVm(options.store, options.retire, vmKey(key), gate),
  });
  const instanceController = startController({
    name: 'instance',
    logger,
    // Starts of many VMs run side by side: each waits mostly for its QEMU.
    concurrency: Math.max(4, 2 * availableParallelism()),
    watches: [
      watching(informers.virtualMachineInstance),
      watching(informers.persistentVolumeClaim, (claim) => instancesUsing(informers.virtualMachineInstance.list(), claim)),
      // Leases stand in a Network's status: an address that came or went is the instance's news too.
      watching(informers.network, ({ metadata }) => instancesOn(informers.virtualMachineInstance.list(), metadata.name)),
    ],
    reconcile: (key) => reconcileInstance(context, vmKey(key)),
  });
  const enqueueId = (id: string) => {
    const instance = informers.virtualMachineInstance.list().find((candidate) => candidate.metadata.labels?.[idLabel] === id);
    if (instance) instanceController.enqueue(keyOf(instance));
  };
  registry.onChange(enqueueId);
  const snapshots = startSnapshots(context, informers, options.tasks, logger);
  const moves = startMoves(context, informers, { logger, retire: options.retire, copyClosed: options.copyClosed });
  const space = startSpaceWatch({
    ...options,
    registry,
    instanceOf: (id) => informers.virtualMachineInstance.list().find(({ metadata }) => metadata.labels?.[idLabel] === id),
    changed: enqueueId,
  });
  const migrations = startMigrations({ ...options.migration, context }, informers, logger);
  placement.onChange((key) => instanceController.enqueue(key));

  const port = createBoxPort(context, ({ namespace, name }) => instanceController.enqueue(`${namespace}/${name}`));
  const sampler = startSampler({ history: options.history, port, logger });

  let stopping: Promise<unknown> | undefined;
  const stopControllers = (): Promise<unknown> =>
    (stopping ??= Promise.all([
      vmController.stop(),
      instanceController.stop(),
      snapshots.stop(),
      moves.stop(),
      migrations.stop(),
    ]));

  return {
    port,
    adopted,
    guests: {
      all: () => registry.all().map(({ id, epoch }) => ({ id, epoch })),
      end: async (id) => registry.get(id)?.kill(),
    },
    shutDown: async () => {
      await stopControllers();
      const orders = new Map(informers.virtualMachine.list().map((vm) => [vm.metadata.labels?.[idLabel], startOrderOf(vm)]));
      const orderOf = (id: string): number => orders.get(id) ?? Number.POSITIVE_INFINITY;
      await shutDownGuests({ guests: registry.all(), orderOf, patience: shutDownPatience, logger });
    },
    stop: async () => {
      await Promise.all([sampler.stop(), space.stop()]);
      await stopControllers();
      await placement.stop();
      await options.hypervisor.close();
    },
  };
}

/** ms; less than what systemd gives us (installer/units/full/croftd.service). */
const shutDownPatience = 180_000;

const bootKey = 'boot-id';

/** The order of starts counts where the box was rebooted since the service ran last. */
function gateOfBoot({ journal, bootId, informers }: VmServiceOptions): StartGate {
  const before = journal.get(bootKey);
  if (before !== bootId) journal.put(bootKey, bootId);
  return before === undefined || before === bootId ? openGate : createStartGate(() => informers.virtualMachine.list());
}

const ownersOf = ({ metadata }: Resource): string[] =>
  (metadata.ownerReferences ?? [])
    .filter((owner) => owner.kind === 'VirtualMachine')
    .map((owner) => `${metadata.namespace}/${owner.name}`);

const instancesUsing = (instances: ReturnType<Informer<typeof virtualMachineInstance>['list']>, claim: Resource): string[] =>
  instances
    .filter((instance) => instance.metadata.namespace === claim.metadata.namespace)
    .filter((instance) => wishedDisks(instance.spec).some((disk) => disk.claim === claim.metadata.name))
    .map(keyOf);

const instancesOn = (instances: ReturnType<Informer<typeof virtualMachineInstance>['list']>, name: string): string[] =>
  instances.filter(({ spec }) => wishedNics(spec).some((nic) => networkOf(spec, nic.name) === name)).map(keyOf);
