/** Ends of an instance: which phases are final, which exits are failures. Pure. */
import type { ExitReason, VirtualMachineInstance } from '../resources/virtual-machine.ts';
import type { GuestExit } from './hypervisor.ts';

export const isFinished = (instance: VirtualMachineInstance): boolean =>
  instance.status?.phase === 'Succeeded' || instance.status?.phase === 'Failed';

/** Exits after which RerunOnFailure starts again and the crash counter grows. */
const failures: readonly ExitReason[] = ['GuestPanicked', 'Crashed', 'OOMKilled', 'NodeRebooted', 'Fenced', 'LaunchFailed'];
export const isFailure = (exit: ExitReason): boolean => failures.includes(exit);

/** The exit of an instance from how its QEMU ended; `wished`: we were asked to stop it. */
export function exitReason(exit: GuestExit | 'node-rebooted', wished: boolean): ExitReason {
  if (exit === 'node-rebooted') return 'NodeRebooted';
  if (wished || exit === 'killed') return 'Stopped';
  if (exit === 'oom-killed') return 'OOMKilled';
  return exit === 'shutdown' ? 'GuestShutdown' : exit === 'panicked' ? 'GuestPanicked' : 'Crashed';
}

const sentences: Record<ExitReason, string> = {
  GuestShutdown: 'The guest powered itself off.',
  GuestPanicked: 'The guest’s kernel panicked.',
  Crashed: 'QEMU ended unexpectedly.',
  OOMKilled: 'The kernel ended QEMU for want of memory (out of memory).',
  Stopped: 'It was stopped.',
  NodeRebooted: 'The box was rebooted while it ran.',
  Fenced: 'Its box died and was shut out of the disks.',
  LaunchFailed: 'QEMU could not be started.',
  Removed: 'It was removed.',
};
export const exitSentence = (exit: ExitReason): string => sentences[exit];
