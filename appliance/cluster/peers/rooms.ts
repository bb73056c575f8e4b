/** Which boxes take VMs now, and what each has for them. */
import { node, type Node } from '../../resources/croft-kinds.ts';
import { fence } from '../../resources/peer-kinds.ts';
import { virtualMachineInstance, type VirtualMachineInstance } from '../../resources/virtual-machine.ts';
import type { ResourceStore } from '../../store/store.ts';
import { cpusOf, memoryOf, vcpuCount } from '../../vm/guest-shape.ts';
import { isFinished } from '../../vm/instance-phase.ts';
import { qemuOverhead } from '../../vm/memory.ts';
import { isMigrating } from '../../vm/migration/record.ts';
import { refusalOf, sharedByDriver } from '../../vm/migration/refusal.ts';
import type { BoxLoad } from './balance.ts';
import type { Room } from './evacuation.ts';

/** Ready, heard, no witness, and not in maintenance. */
export function takesVms({ spec, status }: Node): boolean {
  if (spec.maintenance === true || status?.peer?.witness === true) return false;
  return status?.conditions?.every(({ type, status: is }) => !['Ready', 'Reachable'].includes(type) || is === 'True') ?? false;
}

export const bytesOf = (instance: VirtualMachineInstance): number => memoryOf(instance.spec) + qemuOverhead;

/** The instances that a box runs or is about to. */
export const heldBy = (instances: readonly VirtualMachineInstance[], box: string): VirtualMachineInstance[] =>
  instances.filter((one) => one.status?.nodeName === box && !isFinished(one));

/** Of the boxes that take VMs. */
export function roomsOf(nodes: readonly Node[], instances: readonly VirtualMachineInstance[]): Room[] {
  return nodes.filter(takesVms).map(({ metadata: { name: box }, status }) => {
    const given = heldBy(instances, box).reduce((sum, one) => sum + bytesOf(one), 0);
    return { box, free: (status?.memory ?? 0) - (status?.memoryReserved ?? 0) - given };
  });
}

/** What the balancer plans from: boxes that take VMs, and those they run. */
export async function loadsOf(store: ResourceStore): Promise<BoxLoad[]> {
  const { nodes, instances } = await readBoxes(store);
  const isShared = sharedByDriver(store);
  const load = async ({ metadata: { name: box }, status }: Node): Promise<BoxLoad> => ({
    box,
    memory: (status?.memory ?? 0) - (status?.memoryReserved ?? 0),
    cpus: status?.cpus ?? 0,
    vms: await Promise.all(
      heldBy(instances, box).map(async (instance) => {
        const { name: vm, namespace: project = 'default' } = instance.metadata;
        const stays = await refusalOf(store, isShared, instance);
        const asked = { vm, project, memory: bytesOf(instance), vcpus: vcpuCount(cpusOf(instance.spec)) };
        return { ...asked, moving: isMigrating(instance), ...(stays === undefined ? {} : { stays }) };
      }),
    ),
  });
  return Promise.all(nodes.filter(takesVms).map(load));
}

/** Whether VMs of a box that dies are started elsewhere without anybody's help; else why not. */
export function takeoverOf(nodes: readonly Node[]): string | undefined {
  const voters = nodes.filter(({ status }) => status?.peer?.role === 'voter').length;
  return voters < 3
    ? `Nothing is taken over by itself with ${voters} of 3 voters: let a third box or a witness join.`
    : undefined;
}

/** Nodes without those that are shut out, and all instances. */
export async function readBoxes(store: ResourceStore): Promise<{ nodes: Node[]; instances: VirtualMachineInstance[] }> {
  const [nodes, fences, instances] = await Promise.all([store.list(node), store.list(fence), store.list(virtualMachineInstance)]);
  const shutOut = new Set(fences.items.map(({ metadata }) => metadata.name));
  return { nodes: nodes.items.filter(({ metadata }) => !shutOut.has(metadata.name)), instances: instances.items };
}
