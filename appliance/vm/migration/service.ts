/**
 * Migration of running VMs between boxes, theory of operation.
 *
 * A VirtualMachineInstanceMigration is the wish. The box that holds the instance chooses a target and writes the protocol's
 * record into the instance (record.ts); from then on both boxes plan from that record and their own QEMU (protocol.ts),
 * and the instance's own reconciler leaves the guest alone. The target's QEMU is the same machine to the last port, on
 * the same disks, which QEMU itself hands over with the guest; the stream is TLS with keys made for this one migration.
 * A service that is killed on either side goes on from what is: nothing is remembered but the keys and, on the target, the
 * note that the guest may have run.
 */
import type { Logger } from '../../host/logger.ts';
import { startController, watching } from '../../reconcile/controller.ts';
import { fromKey, keyOf, type Informer } from '../../reconcile/informer.ts';
import { idLabel } from '../../resources/identity.ts';
import type { virtualMachineInstanceMigration } from '../../resources/migration.ts';
import type { virtualMachineInstance } from '../../resources/virtual-machine.ts';
import { reconcileMigration } from './migration-reconciler.ts';
import type { MigrationParts } from './parts.ts';
import { watchPause } from './source.ts';

export type MigrationInformers = {
  virtualMachineInstanceMigration: Informer<typeof virtualMachineInstanceMigration>;
  virtualMachineInstance: Informer<typeof virtualMachineInstance>;
};

/** Guests must have been adopted: a migration that was cut off goes on. */
export function startMigrations(parts: MigrationParts, informers: MigrationInformers, logger: Logger): { stop(): Promise<void> } {
  const { registry } = parts.context;
  const { virtualMachineInstanceMigration: migrations, virtualMachineInstance: instances } = informers;
  const migrationsOf = (namespace: string | undefined, instance: string): string[] =>
    migrations
      .list(namespace)
      .filter(({ spec, status }) => spec.vmiName === instance && status?.croft?.endedAt === undefined)
      .map(keyOf);
  const watched = new Map<string, { pid: number; stop: () => void }>();
  const watchPauses = (): void => {
    for (const guest of registry.all()) {
      if (watched.get(guest.id)?.pid === guest.pid) continue;
      watched.get(guest.id)?.stop();
      const stop = watchPause(guest, (error) =>
        error === undefined
          ? logger.warn({ vm: guest.id }, 'the store did not answer during a migration: the guest goes on here')
          : logger.debug({ err: error, vm: guest.id }, 'a guest could not be asked whether it stands still'),
      );
      watched.set(guest.id, { pid: guest.pid, stop });
    }
    for (const [id, { stop }] of watched) {
      if (registry.get(id)) continue;
      stop();
      watched.delete(id);
    }
  };
  watchPauses();
  const controller = startController({
    name: 'migration',
    logger,
    watches: [watching(migrations), watching(instances, ({ metadata }) => migrationsOf(metadata.namespace, metadata.name))],
    reconcile: (key) => {
      watchPauses();
      return reconcileMigration(parts, { namespace: 'default', ...fromKey(key) });
    },
  });
  registry.onChange((id) => {
    for (const instance of instances.list()) {
      if (instance.metadata.labels?.[idLabel] !== id) continue;
      for (const key of migrationsOf(instance.metadata.namespace, instance.metadata.name)) controller.enqueue(key);
    }
  });
  return {
    async stop() {
      for (const { stop } of watched.values()) stop();
      await controller.stop();
    },
  };
}
