/** Which VMs a box holds that another may take over: those whose disks are all on shared pools. */
import { isCroftError } from '../../errors.ts';
import { storagePool } from '../../resources/croft-kinds.ts';
import { persistentVolumeClaim, poolOfClaim } from '../../resources/data-volume.ts';
import { fence } from '../../resources/peer-kinds.ts';
import { virtualMachineInstance, type VirtualMachineInstance } from '../../resources/virtual-machine.ts';
import type { ResourceStore } from '../../store/store.ts';
import { pod, shadowLabel } from '../shadow-pod.ts';
import { wishedDisks } from '../../vm/guest-shape.ts';
import { isFinished } from '../../vm/instance-phase.ts';
import { holdersOf } from '../../vm/migration/protocol.ts';
import { recordOf, stateOf } from '../../vm/migration/record.ts';
import { setEnded } from '../../vm/instance-status.ts';

/** Read by quorum, with the versions that a later compare-and-swap is made on. */
export async function heldBy(store: ResourceStore, box: string): Promise<VirtualMachineInstance[]> {
  const { items } = await store.list(virtualMachineInstance, { consistent: true });
  const mine: VirtualMachineInstance[] = [];
  for (const instance of items) {
    if (instance.status?.nodeName === box && !isFinished(instance) && !(await isBetween(store, instance, box)))
      mine.push(instance);
  }
  if (mine.length === 0) return [];
  const pools = (await store.list(storagePool)).items;
  const shared = new Set(pools.filter(({ spec }) => spec.driver === 'rbd').map(({ metadata }) => metadata.name));
  const found: VirtualMachineInstance[] = [];
  for (const instance of mine) if (await isShared(store, instance, shared)) found.push(instance);
  return found;
}

/** Its guest is between two boxes, and the other one lives: that one says what becomes of it (vm/migration/protocol.ts). */
async function isBetween(store: ResourceStore, instance: VirtualMachineInstance, box: string): Promise<boolean> {
  const state = stateOf(instance);
  const holders = holdersOf(box, state && recordOf(state));
  for (const other of holders.filter((name) => name !== box)) {
    if ((await store.get(fence, other))?.status?.phase !== 'confirmed') return true;
  }
  return false;
}

/** A VM that keeps anything on its box stays that box's: elsewhere it would be another VM. */
async function isShared(store: ResourceStore, { metadata, spec }: VirtualMachineInstance, pools: Set<string>): Promise<boolean> {
  const disks = wishedDisks(spec);
  for (const { claim } of disks) {
    if (claim === undefined) continue;
    const found = await store.get(persistentVolumeClaim, claim, metadata.namespace);
    if (!found || !pools.has(poolOfClaim(found))) return false;
  }
  return disks.length > 0;
}

/** Takes places back that Kubernetes had given on the box, of instances that never began there. */
export async function freePlaces(store: ResourceStore, box: string): Promise<void> {
  const { items } = await store.list(pod, { labelSelector: `${shadowLabel}=true` });
  for (const { metadata } of items.filter(({ spec }) => spec.nodeName === box)) {
    const owner = metadata.ownerReferences?.find(({ kind }) => kind === 'VirtualMachineInstance');
    const instance = owner && (await store.get(virtualMachineInstance, owner.name, metadata.namespace));
    if (instance?.status?.nodeName !== undefined) continue;
    const { uid } = metadata;
    await store.delete(pod, metadata.name, metadata.namespace, { graceSeconds: 0, ...(uid === undefined ? {} : { uid }) });
  }
}

/**
 * Ends an instance for its box, as it was read; nothing happens when it changed since. The VM controller does the rest:
 * another instance, with the next epoch.
 * @returns true when it is free
 */
export async function setFree(store: ResourceStore, instance: VirtualMachineInstance, detail: string): Promise<boolean> {
  const draft = structuredClone(instance);
  setEnded(draft, 'Fenced', detail);
  try {
    await store.updateStatus(virtualMachineInstance, draft);
    return true;
  } catch (error) {
    if (isCroftError(error, 'conflict') || isCroftError(error, 'not-found')) return false;
    throw error;
  }
}
