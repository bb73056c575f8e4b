/** The real store, storage controllers and a `local` pool in a temporary directory; no guests. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { silentLogger } from '../../appliance/host/logger.ts';
import { startInformer } from '../../appliance/reconcile/informer.ts';
import { image, storagePool } from '../../appliance/resources/croft-kinds.ts';
import { dataVolume, persistentVolumeClaim } from '../../appliance/resources/data-volume.ts';
import { openBoxStore, type BoxStore } from '../../appliance/store/box/box-store.ts';
import { openSqliteStore } from '../../appliance/store/sqlite.ts';
import type { ResourceStore } from '../../appliance/store/store.ts';
import { startStorage, type StorageOptions, type StorageService } from '../../storage/reconciler.ts';

export type StorageBox = { store: ResourceStore; box: BoxStore; storage: StorageService; close(): Promise<void> };

/** Opened again on the same `root`, it goes on as a service does after a restart. */
export async function startStorageBox(root: string, more: Partial<StorageOptions> = {}): Promise<StorageBox> {
  mkdirSync(root, { recursive: true });
  const store = openSqliteStore({ path: join(root, 'store.db') });
  const box = openBoxStore(join(root, 'box.db'));
  if (!(await store.get(storagePool, 'local'))) {
    await store.create(storagePool, { metadata: { name: 'local' }, spec: { driver: 'local', reserve: 0 } });
  }
  const informers = {
    storagePool: startInformer(store, storagePool),
    image: startInformer(store, image),
    dataVolume: startInformer(store, dataVolume),
    persistentVolumeClaim: startInformer(store, persistentVolumeClaim),
  };
  const storage = await startStorage({
    store,
    informers,
    tasks: box.tasks,
    events: box.events,
    logger: silentLogger(),
    paths: { pools: join(root, 'pools') },
    config: { data: root, cache: join(root, 'cache') },
    allowOwnAddresses: true,
    ...more,
  });
  return {
    store,
    box,
    storage,
    async close() {
      await storage.stop();
      for (const informer of Object.values(informers)) await informer.stop();
      await store.close();
      await box.close();
    },
  };
}
