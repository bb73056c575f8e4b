/** A guest stands still for an instant of its disk's move; whoever comes after a crash lets it go on. */
import { isCroftError } from '../../errors.ts';
import { volumeMove, type VolumeMove } from '../../resources/volume-move.ts';
import { editStatus } from '../../store/edit.ts';
import type { VmContext } from '../context.ts';
import type { Guest } from '../hypervisor.ts';
import { placeOf } from '../snapshots/volumes.ts';
import { liftLimit } from './mirror.ts';
import { setStatus } from './move-status.ts';
import { moveIdOf } from './observe-move.ts';

/** Stops a running guest; one that stands still already is somebody else's to let go on. */
export async function hold(context: VmContext, move: VolumeMove, guest: Guest, why: 'start' | 'switch'): Promise<void> {
  if ((await guest.state()) !== 'running') return;
  await setStatus(context, move, {}, { held: { for: why, since: new Date().toISOString() } });
  await guest.pause();
  if (why === 'start') return;
  try {
    await liftLimit(guest, moveIdOf(move));
  } catch (error) {
    // The job came to its end meanwhile.
    if (!isCroftError(error, 'qmp-failed')) throw error;
  }
}

export async function release(context: VmContext, move: VolumeMove, guest: Guest | undefined): Promise<void> {
  const ours = guest !== undefined && guest.epoch === move.status?.croft?.liveEpoch;
  if (ours && (await guest.state()) === 'paused') await guest.resume();
  await editStatus(context.store, volumeMove, placeOf(move), (draft) => {
    delete draft.status?.croft?.held;
  });
}
