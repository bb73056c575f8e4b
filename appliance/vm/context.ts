/** What the VM controllers are given; composed once in service.ts. */
import type { NicPlugger } from '../../network/driver.ts';
import type { VolumeResolver } from '../../storage/driver.ts';
import type { Logger } from '../host/logger.ts';
import type { MetricsHistory } from '../metrics/history.ts';
import type { Events } from '../reconcile/events.ts';
import type { Gate } from '../reconcile/controller.ts';
import type { Locks } from '../reconcile/locks.ts';
import type { VirtualMachineInstance } from '../resources/virtual-machine.ts';
import type { ResourceStore } from '../store/store.ts';
import type { GuestRegistry } from './guest-registry.ts';
import type { Hypervisor } from './hypervisor.ts';
import type { MemoryPolicy } from './memory.ts';
import type { Placement } from './placement.ts';
import type { SlotJournal } from './slots.ts';

export type VmContext = {
  store: ResourceStore;
  hypervisor: Hypervisor;
  registry: GuestRegistry;
  volumes: VolumeResolver;
  plugger: NicPlugger;
  events: Events;
  history: MetricsHistory;
  journal: SlotJournal;
  memory: MemoryPolicy;
  /** By VM id: held while a guest is started or its devices change, and while its disks are frozen or put back. */
  locks: Locks;
  placement: Placement;
  logger: Logger;
  /** Name of this box's Node. */
  nodeName: string;
  bootId: string;
  /** Directory of cloud-init seeds. */
  seedDirectory: string;
  /** Other boxes share the store: whether this one leads, and what lets a start begin. */
  peers?: { gate: Gate; guard: { enter(): Promise<() => void> } } | undefined;
  /** All instances of this box, from the informer's cache. */
  instances(): VirtualMachineInstance[];
  /** uid and gid for a VM's QEMU; undefined where we are not root. */
  ownerOf(vmId: string): { uid: number; gid: number } | undefined;
};
