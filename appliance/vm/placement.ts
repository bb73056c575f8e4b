/**
 * Where an instance may run: what the VM controllers know of a cluster. A place is a reservation; it never proves that
 * a guest runs or has stopped (design.md, *Shadow pod*). On a box alone there is nothing to ask: every instance has its
 * place here.
 */
import type { VirtualMachineInstance } from '../resources/virtual-machine.ts';

export type Place =
  /** No place was asked for, or the one there was is gone. */
  | { state: 'none' }
  /** Asked for, not given: why, in one sentence. */
  | { state: 'waiting'; message: string }
  /** This box holds it. */
  | { state: 'here' }
  /** Another box holds it: the instance is not ours. */
  | { state: 'elsewhere'; node: string }
  /** Taken back: the guest is to be shut down within its grace period. */
  | { state: 'withdrawn' };

export type Placement = {
  /** What is known of the instance's place; may lag. */
  placeOf(instance: VirtualMachineInstance): Place;
  /** Asks for a place. `here`: for this very box, where its guest runs already. Repeats without harm. */
  request(instance: VirtualMachineInstance, vmId: string, here: boolean): Promise<void>;
  /** Gives the place back. Repeats without harm. */
  release(instance: VirtualMachineInstance): Promise<void>;
  /**
   * Keeps a place at one of `boxes` for a guest that is to move there. Repeats without harm, with the same answer. Absent:
   * nobody has to be asked.
   * @returns the box, or in one sentence why there is none yet
   */
  reserve?(
    instance: VirtualMachineInstance,
    vmId: string,
    migrationUid: string,
    boxes: readonly string[],
  ): Promise<{ box: string } | { message: string }>;
  /** Gives back what a migration reserved. Repeats without harm. */
  cancel?(migrationUid: string): Promise<void>;
  /** The guest runs here: its place is here as well, and nowhere else. Repeats without harm. */
  settle?(instance: VirtualMachineInstance): Promise<void>;
  /** Called with `namespace/name` of an instance whose place changed. */
  onChange(listener: (key: string) => void): void;
  /** The cached world is complete: before, `none` may only mean "not seen yet". */
  synced(): Promise<void>;
  stop(): Promise<void>;
};

/** A box alone: this box, at once, until the instance ends. */
export const soloPlacement: Placement = {
  placeOf: () => ({ state: 'here' }),
  request: async () => undefined,
  release: async () => undefined,
  onChange: () => undefined,
  synced: async () => undefined,
  stop: async () => undefined,
};
