/** "Why doesn't it start?" in one sentence with numbers, and the next step. Pure. */
import type { EventRecord } from '../reconcile/events.ts';
import type { Explanation } from '../ports.ts';
import type { PrintableStatus, VirtualMachine, VirtualMachineInstance } from '../resources/virtual-machine.ts';
import { exitSentence } from './instance-phase.ts';
import { runStrategyOf, stateOf } from './lifecycle.ts';
import type { ExitReason } from '../resources/virtual-machine.ts';

const nextSteps: Partial<Record<PrintableStatus, (name: string) => string[]>> = {
  Stopped: (name) => [`croft vm start ${name}`],
  Paused: (name) => [`croft vm unpause ${name}`],
  ErrorUnschedulable: (name) => [
    'Stop another VM, or allow overcommit (CROFT_MEMORY_OVERCOMMIT).',
    `croft vm edit ${name} --memory SIZE`,
  ],
  DataVolumeError: (name) => [`croft volume list`, `croft vm delete ${name} and create it again from a ready image`],
  CrashLoopBackOff: (name) => [`croft vm console ${name}`, `croft vm stop ${name}`],
  Unknown: (name) => [`croft vm stop ${name} --force`],
  Stopping: (name) => [`croft vm stop ${name} --force`],
};

const spaceSteps = ['croft pool list', 'croft volume list', 'Delete snapshots, volumes or images that nobody needs.'];

const isForSpace = (instance: VirtualMachineInstance | undefined): boolean =>
  instance?.status?.conditions?.some(
    ({ type, status, reason }) => type === 'Paused' && status === 'True' && reason !== 'PausedByUser',
  ) ?? false;

export function explainVm(
  vm: VirtualMachine,
  instance: VirtualMachineInstance | undefined,
  events: readonly EventRecord[],
): Explanation {
  const state = vm.status?.printableStatus ?? 'Provisioning';
  const { name } = vm.metadata;
  return {
    state: stateOf(state),
    sentence: sentenceOf(vm, instance, state),
    next: isForSpace(instance) ? spaceSteps : (nextSteps[state]?.(name) ?? []),
    evidence: events.map((event) => ({ at: event.at, text: `${event.reason}: ${event.message}` })),
  };
}

function sentenceOf(vm: VirtualMachine, instance: VirtualMachineInstance | undefined, state: PrintableStatus): string {
  const ready = vm.status?.conditions?.find((condition) => condition.type === 'Ready');
  if (ready?.message) return ready.message;
  const lastExit = vm.status?.croft?.lastExit as ExitReason | undefined;
  switch (state) {
    case 'Running': {
      const address = instance?.status?.interfaces?.find((nic) => nic.ipAddress)?.ipAddress;
      return address ? `It runs, at ${address}.` : 'It runs; no address is known yet.';
    }
    case 'Stopped':
      return `It is stopped (run strategy ${runStrategyOf(vm.spec)}).${lastExit ? ` ${exitSentence(lastExit)}` : ''}`;
    case 'Terminating':
      return 'It is being deleted.';
    default:
      return `It is ${stateOf(state)}.`;
  }
}
