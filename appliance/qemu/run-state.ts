/** QMP's RunState (QEMU's qapi/run-state.json) as the reconciler knows it. Pure. */
import type { GuestExit, GuestRunState } from '../vm/hypervisor.ts';

const states: Record<string, GuestRunState> = {
  running: 'running',
  'io-error': 'io-error',
  shutdown: 'shutdown',
  'guest-panicked': 'panicked',
  // KVM could not go on with the guest: nothing but a reset helps, as after a panic.
  'internal-error': 'panicked',
  watchdog: 'panicked',
  inmigrate: 'inmigrate',
};

/** Everything else (prelaunch, paused, suspended, save-vm, …) is a guest whose vCPUs are stopped. */
export const runStateOf = (status: string): GuestRunState => states[status] ?? 'paused';

/** Causes of QEMU's SHUTDOWN event that come from outside the guest: somebody ended QEMU itself. */
const outside = new Set(['host-qmp-quit', 'host-signal', 'host-ui', 'host-error']);

export const endedFromOutside = (shutdownReason: string | undefined): boolean =>
  shutdownReason !== undefined && outside.has(shutdownReason);

export type EndFacts = {
  /** The last state read from QEMU. */
  state: GuestRunState;
  /** We were asked to end it. */
  killing: boolean;
  /** `reason` of the last SHUTDOWN event. */
  shutdownReason?: string;
  /** The kernel's own record says so. */
  oomKilled?: boolean;
};

/** How a guest whose process is gone has ended. */
export function exitOf({ state, killing, shutdownReason, oomKilled }: EndFacts): GuestExit {
  if (state === 'shutdown' || state === 'panicked') return state;
  if (killing || endedFromOutside(shutdownReason)) return 'killed';
  return oomKilled ? 'oom-killed' : 'crashed';
}
