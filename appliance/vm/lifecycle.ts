/**
 * Which action is possible in which state: one table shared by the API's 409s, the reconciler, the CLI and the
 * console's buttons. And how start, stop and restart become desired state, as upstream's subresources do
 * (kubevirt pkg/virt-api/rest/subresource.go). Pure: the browser imports this file too.
 */
import type { PrintableStatus, RunStrategy, VirtualMachine } from '../resources/virtual-machine.ts';

export type VmAction =
  | 'start'
  | 'stop'
  | 'restart'
  | 'pause'
  | 'unpause'
  | 'reset'
  | 'soft-reboot'
  | 'freeze'
  | 'unfreeze'
  | 'migrate'
  | 'delete'
  | 'console'
  | 'vnc';

const everyState: readonly PrintableStatus[] = [
  'Stopped',
  'Provisioning',
  'Starting',
  'Running',
  'Paused',
  'Stopping',
  'Terminating',
  'CrashLoopBackOff',
  'Migrating',
  'Unknown',
  'ErrorUnschedulable',
  'DataVolumeError',
];
const withGuest: readonly PrintableStatus[] = ['Starting', 'Running', 'Paused', 'Stopping', 'Migrating', 'Unknown'];

/** States from which each action is accepted. Stop is accepted wherever something may run: no VM can be stuck. */
export const actionStates = {
  start: ['Stopped', 'CrashLoopBackOff', 'ErrorUnschedulable', 'DataVolumeError', 'Stopping'],
  stop: [...withGuest, 'Provisioning', 'CrashLoopBackOff', 'ErrorUnschedulable', 'DataVolumeError'],
  restart: ['Running', 'Paused', 'Unknown'],
  pause: ['Running'],
  unpause: ['Paused'],
  reset: ['Running', 'Paused'],
  'soft-reboot': ['Running'],
  freeze: ['Running'],
  unfreeze: ['Running', 'Paused'],
  migrate: ['Running'],
  delete: everyState,
  console: ['Running', 'Paused', 'Stopping'],
  vnc: ['Running', 'Paused', 'Stopping'],
} as const satisfies Record<VmAction, readonly PrintableStatus[]>;

export const isAllowed = (action: VmAction, state: PrintableStatus): boolean =>
  (actionStates[action] as readonly PrintableStatus[]).includes(state);

/** The run strategy of a VM, with upstream's older `running` folded in. */
export const runStrategyOf = (spec: VirtualMachine['spec']): RunStrategy =>
  spec.runStrategy ?? (spec.running ? 'Always' : 'Halted');

/** `CrashLoopBackOff` → `crash-loop-back-off`: `state` of `/v1`. */
export const stateOf = (status: PrintableStatus): string => status.replace(/(?<!^)([A-Z])/g, '-$1').toLowerCase();

/**
 * Changes the VM so that it will start. Always and Halted use the run strategy itself; the others a request in
 * the status, as upstream does. Returns which half was changed.
 */
export function requestStart(vm: VirtualMachine): 'spec' | 'status' {
  const strategy = runStrategyOf(vm.spec);
  if (strategy === 'Always' || strategy === 'Halted') {
    setRunStrategy(vm, 'Always');
    return 'spec';
  }
  vm.status = { ...vm.status, stateChangeRequests: [{ action: 'Start' }] };
  return 'status';
}

/** Changes the VM so that it will stop; `instanceUid` says which instance is meant. */
export function requestStop(vm: VirtualMachine, instanceUid: string | undefined): 'spec' | 'status' {
  const strategy = runStrategyOf(vm.spec);
  if (strategy === 'Always' || strategy === 'Halted') {
    setRunStrategy(vm, 'Halted');
    return 'spec';
  }
  vm.status = { ...vm.status, stateChangeRequests: [{ action: 'Stop', uid: instanceUid }] };
  return 'status';
}

/** A restart is a stop followed by a start; both requests stand in the status. */
export function requestRestart(vm: VirtualMachine, instanceUid: string | undefined): void {
  vm.status = { ...vm.status, stateChangeRequests: [{ action: 'Stop', uid: instanceUid }, { action: 'Start' }] };
}

function setRunStrategy(vm: VirtualMachine, strategy: RunStrategy): void {
  delete vm.spec.running;
  vm.spec.runStrategy = strategy;
}
