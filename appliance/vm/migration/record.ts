/** The protocol's record, as it stands in an instance's status, and the one way to change it. */
import { isCroftError } from '../../errors.ts';
import { virtualMachineInstance, type MigrationState, type VirtualMachineInstance } from '../../resources/virtual-machine.ts';
import type { VirtualMachineInstanceMigration } from '../../resources/migration.ts';
import { isFinished } from '../instance-phase.ts';
import type { VmContext } from '../context.ts';
import type { MigrationRecord } from './protocol.ts';

export const stateOf = (instance: VirtualMachineInstance | undefined): MigrationState | undefined =>
  instance?.status?.migrationState;

export const isOver = ({ croft }: MigrationState): boolean => croft.state === 'completed' || croft.state === 'failed';

/** A migration under way says what may be done with the guest; all else waits for its end. */
export const isMigrating = (instance: VirtualMachineInstance): boolean => {
  const state = stateOf(instance);
  return state !== undefined && !isOver(state) && !isFinished(instance);
};

/**
 * Its guest was sent to another box: what is left of it here is that migration's to clear away. Once it ended there (its
 * box died and was fenced), the instance is anybody's again, and the box it came from may be the only one left.
 */
export const isGivenAway = (instance: VirtualMachineInstance, nodeName: string): boolean => {
  const state = stateOf(instance);
  if (state?.sourceNode !== nodeName || state.croft.state !== 'completed') return false;
  return instance.status?.nodeName !== nodeName && !isFinished(instance);
};

export const isOf = (state: MigrationState | undefined, migration: VirtualMachineInstanceMigration): state is MigrationState =>
  state !== undefined && state.migrationUid === migration.metadata.uid;

export const recordOf = (state: MigrationState): MigrationRecord => ({
  uid: state.migrationUid,
  source: state.sourceNode,
  target: state.targetNode,
  state: state.croft.state,
  abort: state.abortRequested ?? false,
  targetFailed: state.croft.targetFailed ?? false,
});

export type Change = {
  holder?: string;
  /** The boot of the box that runs it from now on. */
  bootId?: string;
  state?: MigrationState['croft']['state'];
  /** Fields of upstream's part, and of ours. */
  fields?: Partial<Omit<MigrationState, 'croft'>>;
  croft?: Partial<MigrationState['croft']>;
};

/** Compare-and-swap on the instance as it was read. @throws CroftError `conflict` when anything of it changed since */
export async function swap(
  { store }: VmContext,
  instance: VirtualMachineInstance,
  { holder, bootId, state, fields, croft }: Change,
): Promise<VirtualMachineInstance> {
  const draft = structuredClone(instance);
  const before = draft.status?.migrationState as MigrationState;
  const since = state === undefined ? {} : { state, since: new Date().toISOString() };
  draft.status = {
    ...draft.status,
    ...(holder === undefined ? {} : { nodeName: holder }),
    ...(bootId === undefined ? {} : { croft: { ...draft.status?.croft, bootId } }),
    migrationState: { ...before, ...fields, croft: { ...before.croft, ...since, ...croft } },
  };
  return store.updateStatus(virtualMachineInstance, draft);
}

/** Someone else wrote first: what is so is read again in the next run. */
export async function swapOrLook(context: VmContext, instance: VirtualMachineInstance, change: Change): Promise<boolean> {
  try {
    await swap(context, instance, change);
    return true;
  } catch (error) {
    if (!isCroftError(error, 'conflict')) throw error;
    return false;
  }
}
