/** The VM controllers on the real store with simulated machine: what property tests drive. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '../../appliance/host/logger.ts';
import { memoryJournal } from '../../appliance/reconcile/saga.ts';
import { startInformer } from '../../appliance/reconcile/informer.ts';
import type { EventRecord, Events } from '../../appliance/reconcile/events.ts';
import { network } from '../../appliance/resources/croft-kinds.ts';
import { idLabel } from '../../appliance/resources/identity.ts';
import { virtualMachineInstanceMigration } from '../../appliance/resources/migration.ts';
import { volumeMove } from '../../appliance/resources/volume-move.ts';
import { CroftError } from '../../appliance/errors.ts';
import { dataVolume, moveAnnotation, persistentVolumeClaim, poolOfClaim } from '../../appliance/resources/data-volume.ts';
import { virtualMachineClone, virtualMachineRestore, virtualMachineSnapshot } from '../../appliance/resources/snapshot.ts';
import { virtualMachine, virtualMachineInstance } from '../../appliance/resources/virtual-machine.ts';
import { openBoxStore } from '../../appliance/store/box/box-store.ts';
import { openSqliteStore } from '../../appliance/store/sqlite.ts';
import type { ResourceStore } from '../../appliance/store/store.ts';
import { startVms, type VmService } from '../../appliance/vm/service.ts';
import { createSimHypervisor, createSimWorld, type SimWorld } from '../../appliance/vm/sim.ts';
import type { NicPlugger } from '../../network/driver.ts';
import type { VolumeDriver, VolumeResolver } from '../../storage/driver.ts';

export const memoryEvents = (): Events & { records: EventRecord[] } => {
  const records: EventRecord[] = [];
  return {
    records,
    record: (event) => void records.push({ ...event, seq: records.length + 1, at: new Date().toISOString() }),
    list: () => records,
    subscribe: () => () => undefined,
  };
};

/** Counts plugs, so that a test can see that nothing is left plugged. */
export const countingPlugger = (): NicPlugger & { plugged: Map<string, string> } => {
  const plugged = new Map<string, string>();
  return {
    plugged,
    mode: 'tap',
    plug: async (wish) => {
      const key = `${wish.vmId}/${wish.index}`;
      const moved = plugged.has(key) && plugged.get(key) !== wish.network;
      plugged.set(key, wish.network);
      return { ifname: `ct${wish.index}`, offloads: false, mtu: 1500, moved };
    },
    unplug: async (vmId, index) => void plugged.delete(`${vmId}/${index}`),
    unplugAll: async (vmId) => {
      for (const key of plugged.keys()) if (key.startsWith(`${vmId}/`)) plugged.delete(key);
    },
    addressesOf: () => [],
  };
};

/** A box that HA has shut out, to the one of `startSimBox`. */
export const fencedBox = 'box-fenced';

export type SimBox = {
  /** The test's own view: not behind the injector. */
  store: ResourceStore;
  world: SimWorld;
  plugger: ReturnType<typeof countingPlugger>;
  events: ReturnType<typeof memoryEvents>;
  service: () => VmService;
  /** As `kill -9` and a new start: only the store, the journal and the world survive. */
  restart: () => Promise<void>;
  close: () => Promise<void>;
};

/** Bound claims in these pools, the volume's id being the claim's; no claim is ready without its pool. */
const simVolumes = (store: ResourceStore, pools: Record<string, VolumeDriver>): VolumeResolver => ({
  resolve: async (namespace, name) => {
    const claim = await store.get(persistentVolumeClaim, name, namespace);
    const volumeId = claim?.metadata.labels?.[idLabel] ?? '';
    if (claim?.metadata.annotations?.[moveAnnotation] !== undefined) return { pending: `Disk ${name} is being moved.` };
    const driver = claim && pools[poolOfClaim(claim)];
    const volume = await driver?.get(volumeId);
    return driver && volume ? { driver, volumeId, size: volume.size } : { pending: `Disk ${name} is not there.` };
  },
  pool: (name) => {
    const found = pools[name];
    if (!found) throw new CroftError('not-found', `There is no storage pool ${name}.`);
    return found;
  },
  filesOf: async (_image, paths) => paths.map((path) => `/files${path}`),
});

export async function startSimBox(
  wrap: (store: ResourceStore) => ResourceStore = (store) => store,
  memory = 64 * 2 ** 30,
  pool?: VolumeDriver,
  others: Record<string, VolumeDriver> = {},
): Promise<SimBox> {
  const directory = mkdtempSync(join(tmpdir(), 'croft-sim-'));
  const raw = openSqliteStore({ path: join(directory, 'store.db') });
  const store = wrap(raw);
  const world = createSimWorld();
  const plugger = countingPlugger();
  const events = memoryEvents();
  const journal = memoryJournal();
  let stop: () => Promise<void> = async () => undefined;
  let service: VmService;

  const start = async () => {
    const informers = {
      virtualMachine: startInformer(store, virtualMachine),
      virtualMachineInstance: startInformer(store, virtualMachineInstance),
      dataVolume: startInformer(store, dataVolume),
      persistentVolumeClaim: startInformer(store, persistentVolumeClaim),
      network: startInformer(store, network),
      virtualMachineSnapshot: startInformer(store, virtualMachineSnapshot),
      virtualMachineRestore: startInformer(store, virtualMachineRestore),
      virtualMachineClone: startInformer(store, virtualMachineClone),
      volumeMove: startInformer(store, volumeMove),
      virtualMachineInstanceMigration: startInformer(store, virtualMachineInstanceMigration),
    };
    const box = openBoxStore(join(directory, 'box.db'));
    service = await startVms({
      store,
      informers,
      hypervisor: createSimHypervisor(world),
      volumes: simVolumes(raw, pool ? { local: pool, ...others } : others),
      plugger,
      events,
      history: box.history,
      tasks: box.tasks,
      journal,
      memory: { total: memory, reserve: 0, overcommit: 1 },
      logger: silentLogger(),
      nodeName: 'box-1',
      bootId: 'boot-1',
      seedDirectory: directory,
      ownerOf: () => undefined,
      retire: async () => undefined,
      copyClosed: async () => undefined,
      migration: {
        address: '127.0.0.1',
        certify: () => ({ key: '', cert: '' }),
        targets: async () => [],
        isShared: async () => false,
        isFenced: async (name) => name === fencedBox,
      },
    });
    stop = async () => {
      await service.stop();
      await Promise.all(Object.values(informers).map((informer) => informer.stop()));
      await box.close();
    };
  };
  await start();
  return {
    store: raw,
    world,
    plugger,
    events,
    service: () => service,
    restart: async () => {
      await stop();
      await start();
    },
    close: async () => {
      await stop();
      await raw.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
