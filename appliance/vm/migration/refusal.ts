/** Why a VM cannot leave its box while it runs, from its disks. */
import { storagePool } from '../../resources/croft-kinds.ts';
import { moveAnnotation, persistentVolumeClaim, poolOfClaim } from '../../resources/data-volume.ts';
import type { VirtualMachineInstance } from '../../resources/virtual-machine.ts';
import type { ResourceStore } from '../../store/store.ts';
import { wishedDisks } from '../guest-shape.ts';

/** @returns undefined when nothing keeps it */
export async function refusalOf(
  store: ResourceStore,
  isShared: (pool: string) => Promise<boolean>,
  instance: VirtualMachineInstance,
): Promise<string | undefined> {
  const { name, namespace } = instance.metadata;
  for (const { claim, volume } of wishedDisks(instance.spec)) {
    const found = await store.get(persistentVolumeClaim, claim, namespace);
    const pool = found && poolOfClaim(found);
    if (found?.metadata.annotations?.[moveAnnotation] !== undefined) return `Disk ${volume} is being moved to another pool.`;
    if (pool === undefined) return `Disk ${volume} has no volume.`;
    if (await isShared(pool)) continue;
    return `Disk ${volume} is in pool ${pool}, which only this box has; move it first: croft vm move-disk ${name} ${volume} --pool POOL.`;
  }
  return undefined;
}

/** The pools that all boxes reach, by their driver. */
export const sharedByDriver =
  (store: ResourceStore) =>
  async (pool: string): Promise<boolean> =>
    (await store.get(storagePool, pool))?.spec.driver === 'rbd';
