/** The side that has the guest: asks its QEMU, plans (protocol.ts), takes one step. */
import { setTimeout as delay } from 'node:timers/promises';
import { isCroftError, messageOf } from '../../errors.ts';
import type { VirtualMachineInstanceMigration } from '../../resources/migration.ts';
import { virtualMachineInstance, type MigrationState, type VirtualMachineInstance } from '../../resources/virtual-machine.ts';
import type { Guest } from '../hypervisor.ts';
import { isFinished } from '../instance-phase.ts';
import { forgetSlots } from '../slots.ts';
import { forgetKeys, keyFor, tlsDirectory, type MigrationParts } from './parts.ts';
import { planSource, type SourceAction } from './protocol.ts';
import { cancelSending, goOn, isPaused, send, sendingState, writeTls, type SendingState } from './qemu-side.ts';
import { isOf, recordOf, swap, swapOrLook } from './record.ts';

/** ms in which the store has to answer while the guest stands still. */
const switchDeadline = 2_000;
/** ms that the target may take to get ready: its QEMU starts and opens the disks. */
const prepareDeadline = 90_000;
/** ms between looks at the progress; QEMU's events come at once. */
const look = 500;
const soon = 1;

export type SourceTurn = { sending: SendingState | undefined; requeueAfter?: number };

export async function turnSource(
  parts: MigrationParts,
  migration: VirtualMachineInstanceMigration,
  instance: VirtualMachineInstance,
  state: MigrationState,
  vmId: string,
): Promise<SourceTurn> {
  const guest = parts.context.registry.get(vmId);
  const sending = guest && (await sendingState(guest, state.migrationUid));
  const overdue = Date.now() - Date.parse(state.croft.since) > prepareDeadline;
  const record = isFinished(instance) ? null : recordOf(state);
  const action = planSource({ record, holder: instance.status?.nodeName, qemu: sending, overdue });
  const requeueAfter = await execute(parts, migration, { instance, state, vmId, guest, sending }, action);
  return { sending, ...(requeueAfter === undefined ? {} : { requeueAfter }) };
}

type Facts = {
  instance: VirtualMachineInstance;
  state: MigrationState;
  vmId: string;
  guest: Guest | undefined;
  sending: SendingState | undefined;
};

async function execute(
  parts: MigrationParts,
  migration: VirtualMachineInstanceMigration,
  { instance, state, vmId, guest, sending }: Facts,
  action: SourceAction,
): Promise<number | undefined> {
  const { context } = parts;
  switch (action.do) {
    case 'wait':
      return look;
    case 'start': {
      const own = await keyFor(parts, vmId, 'source', state.migrationUid);
      const directory = tlsDirectory(parts, vmId, 'source');
      const { targetCertificate = '', port = 0 } = state.croft;
      await writeTls(directory, 'client', own, targetCertificate, context.ownerOf(vmId));
      const target = { address: state.targetNodeAddress ?? '', port, name: state.targetNode, tlsDirectory: directory };
      if (guest) await send(guest, target, state.migrationUid);
      return look;
    }
    case 'switch':
      if (guest) await switchOver(parts, migration, guest, instance, state);
      return look;
    case 'continue':
      if (guest) await goOn(guest);
      return look;
    case 'cancel':
      if (guest) await cancelSending(guest);
      return look / 5;
    case 'hand-over':
      await swapOrLook(context, instance, { state: 'handed' });
      return look;
    case 'take-back': {
      const why = state.failureReason ?? sending?.error;
      const failureReason = why && !action.reason.includes('cancelled') ? `${action.reason} ${why}` : action.reason;
      const fields = { failed: true, completed: true, failureReason, endTimestamp: new Date().toISOString() };
      await swapOrLook(context, instance, { holder: state.sourceNode, state: 'failed', fields });
      return soon;
    }
    case 'resume':
      await guest?.resume();
      return soon;
    case 'release':
      await release(parts, vmId, guest);
      return soon;
    case 'done':
      await forgetKeys(parts, vmId, 'source');
      return undefined;
  }
}

/**
 * The compare-and-swap in the pause. Refused for a reason of the migration's own, or not answered in time: the guest goes on
 * here. An answer that was lost is put right by the next turns: QEMU says that it was cancelled, so the source takes back.
 */
async function switchOver(
  parts: MigrationParts,
  migration: VirtualMachineInstanceMigration,
  guest: Guest,
  instance: VirtualMachineInstance,
  state: MigrationState,
): Promise<void> {
  const { context } = parts;
  const pausedAt = new Date().toISOString();
  const timeout = new AbortController();
  const late = delay(switchDeadline, 'late' as const, { signal: timeout.signal }).catch(() => 'late' as const);
  const written = async (): Promise<'switched' | 'refused'> => {
    let present: VirtualMachineInstance | undefined = instance;
    while (present && !timeout.signal.aborted) {
      const now = present.status?.migrationState;
      if (!isOf(now, migration) || now.croft.state !== 'ready' || now.abortRequested) return 'refused';
      try {
        await swap(context, present, { holder: state.targetNode, state: 'switched', croft: { pausedAt } });
        return 'switched';
      } catch (error) {
        if (!isCroftError(error, 'conflict')) throw error;
      }
      present = await context.store.get(virtualMachineInstance, instance.metadata.name, instance.metadata.namespace);
    }
    return 'refused';
  };
  const outcome = await Promise.race([
    written().catch((error: unknown) => {
      context.logger.warn({ err: error, vm: guest.id }, `the switch was not written: ${messageOf(error)}`);
      return 'refused' as const;
    }),
    late,
  ]);
  timeout.abort();
  if (outcome === 'switched') await goOn(guest);
  else await cancelSending(guest);
}

/** The guest is another box's: what it held here goes. */
async function release(parts: MigrationParts, vmId: string, guest: Guest | undefined): Promise<void> {
  const { context } = parts;
  await context.locks.with([vmId], async () => {
    await guest?.kill();
    await context.plugger.unplugAll(vmId);
    await context.hypervisor.forget(vmId);
    forgetSlots(context.journal, vmId);
    context.registry.remove(vmId);
  });
}

/** A guest that stands still and that nobody lets go on or sends goes on here: the store may not answer at all. */
export function watchPause(guest: Guest, onCancel: (error?: unknown) => void): () => void {
  let timer: NodeJS.Timeout | undefined;
  const rescue = async (): Promise<void> => {
    if (!(await isPaused(guest))) return;
    await cancelSending(guest);
    onCancel();
  };
  const arm = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => void rescue().catch(onCancel), switchDeadline * 1.25).unref();
  };
  const stop = guest.subscribe((event) => {
    if (event.type === 'migration' && event.status === 'pre-switchover') arm();
  });
  // It may stand still since before the service was started.
  arm();
  return () => {
    clearTimeout(timer);
    stop();
  };
}
