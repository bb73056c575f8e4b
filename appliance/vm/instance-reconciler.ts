/**
 * The box's reconciler of VirtualMachineInstances: observes, plans (plan-instance.ts), takes one step. It runs
 * one key at a time, never waits for a guest, and may be cut off anywhere: the next run begins from what is.
 */
import { CroftError, messageOf } from '../errors.ts';
import { idLabel } from '../resources/identity.ts';
import type { ExitReason, VirtualMachineInstance } from '../resources/virtual-machine.ts';
import { virtualMachineInstance } from '../resources/virtual-machine.ts';
import { editObject, editStatus } from '../store/edit.ts';
import { executeLaunch } from './launch.ts';
import { syncGuest } from './sync-guest.ts';
import { epochOf } from './guest-shape.ts';
import { aboutOf, keyOf } from './instance-identity.ts';
import { exitSentence } from './instance-phase.ts';
import { setEnded, setWaiting } from './instance-status.ts';
import { memoryFree } from './memory.ts';
import { instanceFinalizer, planInstance, type InstanceObservation, type InstanceStep } from './plan-instance.ts';
import { forgetSpace } from './space-watch.ts';
import type { Place } from './placement.ts';
import { forgetSlots } from './slots.ts';
import { isGivenAway, isMigrating } from './migration/record.ts';
import { resolveDisks } from './guest-devices.ts';
import type { VmContext } from './context.ts';

/** Reconciles `namespace/name`. Returns when to look again, in ms, where no event will tell. */
export async function reconcileInstance(
  context: VmContext,
  key: { name: string; namespace: string },
): Promise<{ requeueAfter?: number }> {
  const instance = await context.store.get(virtualMachineInstance, key.name, key.namespace);
  if (!instance) return {};
  const vmId = instance.metadata.labels?.[idLabel];
  if (!vmId) {
    throw new CroftError('internal', `VirtualMachineInstance ${key.namespace}/${key.name} has no ${idLabel} label.`);
  }
  if (!isOurs(context, instance, vmId)) return {};
  // Its guest is between two boxes: vm/migration alone says what becomes of it, and it ends.
  if (isMigrating(instance) || isGivenAway(instance, context.nodeName)) return {};
  const observed = await observe(context, instance, vmId);
  const plan = planInstance(observed);
  // Ending a guest waits for nobody; starting one and changing its devices must not meet its disks being frozen.
  const alone = plan.step.do === 'launch' || plan.step.do === 'sync';
  const work = () => execute(context, instance, vmId, plan.step);
  const again = await (alone ? context.locks.with([vmId], work) : work());
  return { requeueAfter: again ?? plan.requeueAfter };
}

/**
 * Where boxes share the store: an instance is its holder's; one that nobody holds is of the box that its place names, and
 * of the leader's until there is a place. A guest of an older start is ended wherever it is found.
 */
function isOurs({ peers, placement, registry, nodeName }: VmContext, instance: VirtualMachineInstance, vmId: string): boolean {
  if (!peers) return true;
  const { status } = instance;
  const guest = registry.get(vmId);
  if (guest && guest.epoch < epochOf(instance)) return true;
  if (status?.croft?.exit === 'Fenced') return peers.gate.open();
  if (status?.nodeName !== undefined) return status.nodeName === nodeName;
  const place = placement.placeOf(instance);
  return place.state === 'here' || (place.state !== 'elsewhere' && peers.gate.open());
}

async function observe(context: VmContext, instance: VirtualMachineInstance, vmId: string): Promise<InstanceObservation> {
  const guest = context.registry.get(vmId);
  const starting = !guest && !instance.metadata.deletionTimestamp && !instance.status?.croft?.exit;
  const fenced = context.peers !== undefined && instance.status?.croft?.exit === 'Fenced';
  // Its place went with its box; what is left of it is this box's to clear away.
  const place: Place = fenced ? { state: 'here' } : context.placement.placeOf(instance);
  const disks = starting ? await resolveDisks(context.volumes, instance.metadata.namespace as string, instance.spec) : undefined;
  return {
    instance,
    guest: guest && { epoch: guest.epoch, state: await guest.state(), poweredDownAt: context.registry.poweredDownAt(vmId) },
    ended: context.registry.endOf(vmId, epochOf(instance)) ?? endedByReboot(context, instance, guest !== undefined),
    disksPending: disks?.pending ?? [],
    // Whether another box has room is the scheduler's to say.
    memoryFree:
      context.peers && place.state !== 'here'
        ? Number.POSITIVE_INFINITY
        : memoryFree(context.memory, context.instances(), instance.metadata.uid),
    place,
    now: Date.now(),
  };
}

/** Its run directory went with the reboot (it is in /run): the boot it was started in says it. */
const endedByReboot = ({ bootId, nodeName }: VmContext, { status }: VirtualMachineInstance, runs: boolean) =>
  !runs && status?.nodeName === nodeName && status.croft?.bootId !== undefined && status.croft.bootId !== bootId
    ? ('node-rebooted' as const)
    : undefined;

/** Takes the step; returns ms after which to look again, if the step knows better than the plan. */
async function execute(
  context: VmContext,
  instance: VirtualMachineInstance,
  vmId: string,
  step: InstanceStep,
): Promise<number | undefined> {
  const key = keyOf(instance);
  const guest = context.registry.get(vmId);
  switch (step.do) {
    case 'adorn':
      await editObject(context.store, virtualMachineInstance, key, (draft) => {
        draft.metadata.finalizers = [...new Set([...(draft.metadata.finalizers ?? []), instanceFinalizer])];
      });
      return undefined;
    case 'wait':
      await editStatus(context.store, virtualMachineInstance, key, (draft) => setWaiting(draft, step.reason, step.message));
      return undefined;
    case 'place':
      await context.placement.request(instance, vmId, step.here);
      return undefined;
    case 'give-back':
      await context.placement.release(instance);
      return undefined;
    case 'leave':
      return undefined;
    case 'launch':
      return launchOrConclude(context, instance, vmId);
    case 'sync':
      if (guest) await context.placement.settle?.(instance);
      return guest ? syncGuest(context, instance, guest) : undefined;
    case 'power-down':
      context.registry.notePowerDown(vmId);
      // A guest whose vCPUs are stopped cannot hear its power button.
      if ((await guest?.state()) === 'paused') await guest?.resume();
      await guest?.powerdown();
      context.events.record({
        type: 'Normal',
        reason: 'ShuttingDown',
        message: 'The power button was pressed.',
        about: aboutOf(instance, vmId),
      });
      return undefined;
    case 'await-power-down':
      return undefined;
    case 'kill':
    case 'kill-stale':
      await guest?.kill();
      // The guest's exit event brings us back; a kernel that keeps it (state D) is named by kill's own error.
      return 200;
    case 'conclude':
      return conclude(context, instance, vmId, step.exit);
    case 'release':
      await cleanUp(context, instance, vmId);
      await editObject(context.store, virtualMachineInstance, key, (draft) => {
        draft.metadata.finalizers = draft.metadata.finalizers?.filter((finalizer) => finalizer !== instanceFinalizer);
      });
      return undefined;
  }
}

/** ms until a launch that waits for something is tried again. */
const launchRetry = 2_000;

async function launchOrConclude(context: VmContext, instance: VirtualMachineInstance, vmId: string): Promise<number | undefined> {
  const outcome = await executeLaunch(context, instance, vmId);
  if ('waiting' in outcome) {
    await editStatus(context.store, virtualMachineInstance, keyOf(instance), (draft) =>
      setWaiting(draft, 'NotReady', outcome.waiting),
    );
    return launchRetry;
  }
  if ('failed' in outcome) {
    context.logger.warn({ err: outcome.failed, vm: vmId }, 'a guest could not be started');
    return conclude(context, instance, vmId, 'LaunchFailed', messageOf(outcome.failed));
  }
  return undefined;
}

/** Writes how it ended, then lets go of what the guest held. Both repeat without harm. */
async function conclude(
  context: VmContext,
  instance: VirtualMachineInstance,
  vmId: string,
  exit: ExitReason,
  detail?: string,
): Promise<undefined> {
  await context.registry.get(vmId)?.kill();
  await editStatus(context.store, virtualMachineInstance, keyOf(instance), (draft) => setEnded(draft, exit, detail));
  await cleanUp(context, instance, vmId);
  const type = exit === 'Stopped' || exit === 'GuestShutdown' ? 'Normal' : 'Warning';
  context.events.record({
    type,
    reason: exit,
    message: detail ? `${exitSentence(exit)} ${detail}` : exitSentence(exit),
    about: aboutOf(instance, vmId),
  });
  return undefined;
}

async function cleanUp(context: VmContext, instance: VirtualMachineInstance, vmId: string): Promise<void> {
  await context.plugger.unplugAll(vmId);
  await context.hypervisor.forget(vmId);
  forgetSlots(context.journal, vmId);
  forgetSpace(context.journal, vmId);
  context.registry.remove(vmId);
  // Last: whoever is placed here next finds the box free.
  await context.placement.release(instance);
}
