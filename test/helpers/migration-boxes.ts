/** Two boxes on one machine that share a store and disks: what of a box takes part in a migration, with real QEMUs. */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { silentLogger } from '../../appliance/host/logger.ts';
import { createQemuHypervisor } from '../../appliance/qemu/hypervisor.ts';
import { startInformer } from '../../appliance/reconcile/informer.ts';
import { createLocks } from '../../appliance/reconcile/locks.ts';
import { memoryJournal } from '../../appliance/reconcile/saga.ts';
import { persistentVolumeClaim } from '../../appliance/resources/data-volume.ts';
import { idLabel } from '../../appliance/resources/identity.ts';
import { virtualMachineInstanceMigration } from '../../appliance/resources/migration.ts';
import { virtualMachineInstance } from '../../appliance/resources/virtual-machine.ts';
import type { ResourceStore } from '../../appliance/store/store.ts';
import type { VmContext } from '../../appliance/vm/context.ts';
import { createGuestRegistry } from '../../appliance/vm/guest-registry.ts';
import type { Hypervisor } from '../../appliance/vm/hypervisor.ts';
import { startMigrations } from '../../appliance/vm/migration/service.ts';
import { soloPlacement } from '../../appliance/vm/placement.ts';
import type { VolumeDriver } from '../../storage/driver.ts';
import { selfSigned } from '../../appliance/host/self-signed.ts';
import { countingPlugger, memoryEvents } from './sim-box.ts';

const mib = 2 ** 20;
const day = 24 * 3_600_000;
const namespace = 'default';
const uid = process.getuid?.() === 0 ? 1_900_000_777 : undefined;

/** `vmId`: of the one VM; `store`: what the box sees of it. */
export type MigrationWorld = { base: string; store: ResourceStore; driver: VolumeDriver; vmId: string };

export type MigrationBox = Awaited<ReturnType<typeof makeMigrationBox>>;

const certify = (name: string) =>
  selfSigned({
    commonName: name,
    names: [{ type: 'dns', value: name }],
    notBefore: new Date(Date.now() - day),
    notAfter: new Date(Date.now() + day),
  });

/** One box: what of it takes part in a migration. `restart`: as a killed service that is started again. */
export async function makeMigrationBox({ base, store, driver, vmId }: MigrationWorld, name: string, other: string) {
  const directory = join(base, name);
  for (const path of [directory, join(directory, 'vms'), join(directory, 'data'), join(directory, 'seeds')]) {
    await mkdir(path, { mode: 0o711 });
  }
  const journal = memoryJournal();
  let hypervisor: Hypervisor;
  let context: VmContext;
  let stop: () => Promise<void>;
  const start = async (): Promise<void> => {
    const logger = silentLogger();
    hypervisor = createQemuHypervisor({ vms: join(directory, 'vms'), dataDir: join(directory, 'data'), accel: 'tcg', logger });
    const informers = {
      virtualMachineInstanceMigration: startInformer(store, virtualMachineInstanceMigration),
      virtualMachineInstance: startInformer(store, virtualMachineInstance),
    };
    context = {
      store,
      hypervisor,
      registry: createGuestRegistry(hypervisor, logger),
      volumes: {
        resolve: async (_namespace: string, claim: string) => {
          const found = await store.get(persistentVolumeClaim, claim, namespace);
          return { driver, volumeId: found?.metadata.labels?.[idLabel] ?? '', size: 64 * mib };
        },
        pool: () => driver,
      },
      plugger: countingPlugger(),
      events: memoryEvents(),
      journal,
      memory: { total: 2 ** 34, reserve: 0, overcommit: 1 },
      locks: createLocks(),
      placement: soloPlacement,
      logger,
      nodeName: name,
      bootId: 'boot',
      seedDirectory: join(directory, 'seeds'),
      instances: () => informers.virtualMachineInstance.list(),
      ownerOf: () => (uid === undefined ? undefined : { uid, gid: uid }),
    } as unknown as VmContext;
    await context.registry.adopt();
    const parts = {
      context,
      address: '127.0.0.1',
      certify,
      targets: async () => [other],
      isShared: async () => true,
      isFenced: async () => false,
    };
    const migrations = startMigrations(parts, informers, logger);
    stop = async () => {
      await migrations.stop();
      await Promise.all(Object.values(informers).map((informer) => informer.stop()));
      await hypervisor.close();
    };
  };
  await start();
  return {
    name,
    get context() {
      return context;
    },
    guest: () => context.registry.get(vmId),
    serialLog: () => readFile(join(directory, 'vms', vmId, 'serial.log'), 'latin1').catch(() => ''),
    stop: () => stop(),
    async restart() {
      await stop();
      await start();
    },
    async dispose() {
      await context.registry.get(vmId)?.kill();
      await stop();
    },
  };
}
