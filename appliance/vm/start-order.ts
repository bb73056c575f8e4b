/**
 * After a reboot of the box its VMs start in the order they declare (annotation `croft.io/start-order`, lowest first;
 * those without come last): a VM waits until the ones before it run. Nobody waits for ever: one that cannot start keeps
 * the others for two minutes at most. The order holds for the start of the box only.
 */
import type { VirtualMachine } from '../resources/virtual-machine.ts';
import { runStrategyOf } from './lifecycle.ts';

export const startOrderAnnotation = 'croft.io/start-order';

/** ms that a later VM waits for the ones of one order before it. */
export const patience = 120_000;

export function startOrderOf(vm: VirtualMachine): number {
  const order = Number(vm.metadata.annotations?.[startOrderAnnotation] ?? Number.NaN);
  return Number.isInteger(order) ? order : Number.POSITIVE_INFINITY;
}

const isUp = (vm: VirtualMachine): boolean => vm.status?.printableStatus === 'Running' || vm.status?.printableStatus === 'Paused';

/** The VMs that `vm` has to wait for now; empty: it may start. `sinceBoot` is in ms. Pure. */
export function waitsFor(vm: VirtualMachine, all: readonly VirtualMachine[], sinceBoot: number): VirtualMachine[] {
  const order = startOrderOf(vm);
  const before = all.filter(
    (other) => startOrderOf(other) < order && runStrategyOf(other.spec) === 'Always' && !other.metadata.deletionTimestamp,
  );
  // Each order that comes first gets its time.
  const orders = new Set(before.map(startOrderOf)).size;
  return sinceBoot > orders * patience ? [] : before.filter((other) => !isUp(other));
}

export type StartGate = (vm: VirtualMachine) => string | undefined;

/** Open always, where the box wasn't rebooted. */
export const openGate: StartGate = () => undefined;

/** The sentence why a VM has to wait, while it has to. */
export function createStartGate(all: () => readonly VirtualMachine[], now: () => number = Date.now): StartGate {
  const boot = now();
  return (vm) => {
    if (runStrategyOf(vm.spec) !== 'Always') return undefined;
    const first = waitsFor(vm, all(), now() - boot)[0];
    if (!first) return undefined;
    return `The box was rebooted: it starts after ${first.metadata.name} (start order ${startOrderOf(first)}) runs.`;
  };
}
