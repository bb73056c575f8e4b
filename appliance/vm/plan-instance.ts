/**
 * What a VirtualMachineInstance on this box needs next: pure. Observed are the wish, the guest that runs (or
 * how it ended) and what its start depends on; planned is at most one decisive step, so that every step is
 * taken on fresh facts.
 */
import type { ExitReason, VirtualMachineInstance } from '../resources/virtual-machine.ts';
import { humanBytes } from '../resources/quantity.ts';
import type { GuestExit, GuestRunState } from './hypervisor.ts';
import { epochOf, graceOf, memoryOf } from './guest-shape.ts';
import { exitReason, isFinished } from './instance-phase.ts';
import type { Place } from './placement.ts';

export type InstanceObservation = {
  instance: VirtualMachineInstance;
  /** The QEMU that runs under the VM's id, if any. */
  guest: { epoch: number; state: GuestRunState; poweredDownAt?: number } | undefined;
  /** How the guest of this epoch ended, where that is known. */
  ended: GuestExit | 'node-rebooted' | undefined;
  /** Sentences why disks are not ready; empty: all are. */
  disksPending: string[];
  /** Bytes that VMs of this box may still be given, this one not counted. */
  memoryFree: number;
  place: Place;
  now: number;
};

export type InstanceStep =
  | { do: 'adorn' }
  | { do: 'wait'; reason: 'Unschedulable' | 'DisksPending'; message: string }
  /** Ask for a place; `here`: the guest runs on this box already. */
  | { do: 'place'; here: boolean }
  | { do: 'give-back' }
  /** Another box's instance: nothing is ours to do. */
  | { do: 'leave' }
  | { do: 'launch' }
  | { do: 'sync' }
  | { do: 'power-down' }
  | { do: 'await-power-down' }
  | { do: 'kill' }
  | { do: 'kill-stale' }
  | { do: 'conclude'; exit: ExitReason }
  | { do: 'release' };

export type InstancePlan = { step: InstanceStep; requeueAfter?: number };

export const instanceFinalizer = 'croft.io/instance';

export function planInstance(observed: InstanceObservation): InstancePlan {
  const { instance, guest, place } = observed;
  if (place.state === 'elsewhere' && !guest) return { step: { do: 'leave' } };
  const removing = instance.metadata.deletionTimestamp !== undefined;
  if (!removing && !instance.metadata.finalizers?.includes(instanceFinalizer)) return { step: { do: 'adorn' } };
  if (guest && guest.epoch !== epochOf(instance)) return { step: { do: 'kill-stale' } };
  if (guest?.state === 'shutdown' || guest?.state === 'panicked') {
    return { step: { do: 'conclude', exit: exitReason(guest.state, removing || place.state === 'withdrawn') } };
  }
  if (guest && (removing || place.state === 'withdrawn')) return planStop(observed, guest);
  if (guest) return { step: place.state === 'none' ? { do: 'place', here: true } : { do: 'sync' } };
  if (isFinished(instance)) return { step: removing ? { do: 'release' } : { do: 'sync' } };
  if (observed.ended) return { step: { do: 'conclude', exit: exitReason(observed.ended, removing) } };
  // A running instance without a QEMU and without a record of its end: it went while nobody looked.
  if (instance.status?.phase === 'Running') return { step: { do: 'conclude', exit: removing ? 'Stopped' : 'Crashed' } };
  if (removing) return { step: { do: 'conclude', exit: 'Stopped' } };
  return planLaunch(observed);
}

function planLaunch({ instance, disksPending, memoryFree, place }: InstanceObservation): InstancePlan {
  if (disksPending.length > 0)
    return { step: { do: 'wait', reason: 'DisksPending', message: disksPending.join(' ') }, requeueAfter: 2_000 };
  const needed = memoryOf(instance.spec);
  if (needed > memoryFree) {
    const message = `It needs ${humanBytes(needed)} of memory; ${humanBytes(Math.max(0, memoryFree))} are free for VMs on this box.`;
    return { step: { do: 'wait', reason: 'Unschedulable', message }, requeueAfter: 10_000 };
  }
  if (place.state === 'none') return { step: { do: 'place', here: false } };
  if (place.state === 'waiting') return { step: { do: 'wait', reason: 'Unschedulable', message: place.message } };
  // Taken back before the start: once it is given back, the next one is asked for.
  if (place.state === 'withdrawn') return { step: { do: 'give-back' } };
  return { step: { do: 'launch' } };
}

/** Power button, then the grace period, then force: every stop ends. */
function planStop({ instance, now }: InstanceObservation, guest: NonNullable<InstanceObservation['guest']>): InstancePlan {
  const grace = graceOf(instance.spec) * 1000;
  const since = guest.poweredDownAt;
  if (grace === 0) return { step: { do: 'kill' } };
  if (since === undefined) return { step: { do: 'power-down' }, requeueAfter: grace };
  const left = since + grace - now;
  return left <= 0 ? { step: { do: 'kill' } } : { step: { do: 'await-power-down' }, requeueAfter: left };
}
