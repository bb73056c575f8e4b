/** Admission by memory: the host keeps a reserve, and guests are overcommitted only by an explicit factor. */
import { totalmem } from 'node:os';
import type { VirtualMachineInstance } from '../resources/virtual-machine.ts';
import { memoryOf } from './guest-shape.ts';
import { isFinished } from './instance-phase.ts';

/** QEMU's own memory beside the guest's: measured with q35, VNC and virtio under TCG and KVM, rounded up. Bytes. */
export const qemuOverhead = 64 * 2 ** 20;

export type MemoryPolicy = { /** bytes */ total: number /** bytes */; reserve: number; overcommit: number };

export const hostMemory = (reserve: number, overcommit: number): MemoryPolicy => ({ total: totalmem(), reserve, overcommit });

/** Bytes that may still be given, counting every instance that has started or is about to, except `except`. */
export function memoryFree(policy: MemoryPolicy, instances: readonly VirtualMachineInstance[], except?: string): number {
  const given = instances
    .filter((instance) => instance.metadata.uid !== except && !isFinished(instance) && hasStarted(instance))
    .reduce((sum, instance) => sum + memoryOf(instance.spec) + qemuOverhead, 0);
  return (policy.total - policy.reserve) * policy.overcommit - given - qemuOverhead;
}

const hasStarted = (instance: VirtualMachineInstance): boolean =>
  instance.status?.phase === 'Scheduled' || instance.status?.phase === 'Running';
