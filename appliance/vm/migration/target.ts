/** The side that takes the guest: starts a QEMU that waits, and lets it run when the protocol says that it is the one. */
import { isCroftError, messageOf, CroftError } from '../../errors.ts';
import type { MigrationState, VirtualMachineInstance } from '../../resources/virtual-machine.ts';
import type { Guest } from '../hypervisor.ts';
import { guestSpec } from '../launch.ts';
import { aboutOf } from '../instance-identity.ts';
import { isFinished } from '../instance-phase.ts';
import { forgetSlots, type Slots } from '../slots.ts';
import { isPassing } from '../snapshots/volumes.ts';
import { forgetKeys, forgetRun, keyFor, mayHaveRun, noteRun, tlsDirectory, type MigrationParts } from './parts.ts';
import { planTarget, type TargetAction } from './protocol.ts';
import { listen, receivingState, takeOver, writeTls } from './qemu-side.ts';
import { recordOf, swapOrLook } from './record.ts';

const look = 500;
const soon = 1;

/** How the source's machine is built: `croft.shape` of the migration's state. */
export type Shape = Guest['shape'] & { slots: { disk: Slots; nic: Slots } };

export async function turnTarget(
  parts: MigrationParts,
  instance: VirtualMachineInstance,
  state: MigrationState,
  vmId: string,
): Promise<number | undefined> {
  const guest = parts.context.registry.get(vmId);
  const qemu = guest && (await receivingState(guest));
  const { state: present } = state.croft;
  const sourceFenced = (present === 'switched' || present === 'handed') && (await parts.isFenced(state.sourceNode));
  const ran = mayHaveRun(parts, state.migrationUid);
  const action = planTarget({ record: isFinished(instance) ? null : recordOf(state), qemu, mayHaveRun: ran, sourceFenced });
  return execute(parts, instance, state, vmId, guest, action);
}

async function execute(
  parts: MigrationParts,
  instance: VirtualMachineInstance,
  state: MigrationState,
  vmId: string,
  guest: Guest | undefined,
  action: TargetAction,
): Promise<number | undefined> {
  const { context } = parts;
  switch (action.do) {
    case 'wait':
      return look;
    case 'prepare':
      return prepareOrReport(parts, instance, state, vmId);
    case 'publish': {
      if (!guest) return soon;
      const own = await keyFor(parts, vmId, 'target', state.migrationUid);
      const directory = tlsDirectory(parts, vmId, 'target');
      await writeTls(directory, 'server', own, state.croft.sourceCertificate ?? '', context.ownerOf(vmId));
      const port = await listen(guest, parts.address, directory);
      const fields = { targetNodeAddress: parts.address };
      await swapOrLook(context, instance, { state: 'ready', fields, croft: { port, targetCertificate: own.cert } });
      return look;
    }
    case 'run':
      noteRun(parts, state.migrationUid);
      if (guest) await takeOver(guest);
      return soon;
    case 'complete': {
      const fields = { completed: true, endTimestamp: new Date().toISOString() };
      await swapOrLook(context, instance, { state: 'completed', fields, bootId: context.bootId });
      context.events.record({
        type: 'Normal',
        reason: 'Migrated',
        message: `It runs on ${state.targetNode} now.`,
        about: aboutOf(instance, vmId),
      });
      return soon;
    }
    case 'report-failure':
      await swapOrLook(context, instance, { croft: { targetFailed: true } });
      return look;
    case 'give-up': {
      const fields = { failed: true, completed: true, failureReason: 'The source died before it had handed the guest over.' };
      await swapOrLook(context, instance, { state: 'failed', fields });
      return soon;
    }
    case 'discard':
      await discard(parts, vmId, guest);
      return soon;
    case 'done':
      if (state.croft.state === 'failed') await discard(parts, vmId, undefined);
      await forgetKeys(parts, vmId, 'target');
      forgetRun(parts, state.migrationUid);
      return undefined;
  }
}

async function prepareOrReport(
  parts: MigrationParts,
  instance: VirtualMachineInstance,
  state: MigrationState,
  vmId: string,
): Promise<number> {
  try {
    await prepare(parts, instance, state, vmId);
  } catch (error) {
    if (isPassing(error) || !isCroftError(error)) throw error;
    parts.context.logger.warn({ err: error, vm: vmId }, 'a guest cannot be taken');
    await swapOrLook(parts.context, instance, { fields: { failureReason: messageOf(error) }, croft: { targetFailed: true } });
  }
  return soon;
}

/** The same machine as the source's, to the last port: QEMU refuses the stream otherwise. */
async function prepare(
  { context }: MigrationParts,
  instance: VirtualMachineInstance,
  state: MigrationState,
  vmId: string,
): Promise<void> {
  const shape = JSON.parse(state.croft.shape ?? '{}') as Shape;
  const { name: accelerator } = await context.hypervisor.accelerator();
  if (accelerator !== shape.accelerator) {
    throw new CroftError(
      'invalid-state',
      `The guest runs with ${shape.accelerator} on ${state.sourceNode}; ${state.targetNode} has ${accelerator}.`,
    );
  }
  await context.locks.with([vmId], async () => {
    if (context.registry.get(vmId)) return;
    context.journal.put(`slots/${vmId}/disk`, JSON.stringify(shape.slots.disk));
    context.journal.put(`slots/${vmId}/nic`, JSON.stringify(shape.slots.nic));
    const spec = await guestSpec(context, instance, vmId);
    const { machine, ports } = shape;
    context.registry.add(await context.hypervisor.launch({ ...spec, machine, ports, incoming: true, paused: true }));
  });
}

async function discard({ context }: MigrationParts, vmId: string, guest: Guest | undefined): Promise<void> {
  await context.locks.with([vmId], async () => {
    await guest?.kill();
    await context.plugger.unplugAll(vmId);
    await context.hypervisor.forget(vmId);
    forgetSlots(context.journal, vmId);
    context.registry.remove(vmId);
  });
}
