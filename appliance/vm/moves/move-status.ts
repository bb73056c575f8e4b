/** What is told of a move: its status, its events. */
import { setCondition } from '../../resources/meta.ts';
import { volumeMove, type VolumeMove } from '../../resources/volume-move.ts';
import { editStatus } from '../../store/edit.ts';
import type { VmContext } from '../context.ts';
import { namespaceOf, placeOf } from '../snapshots/volumes.ts';

type Status = NonNullable<VolumeMove['status']>;
export type Croft = NonNullable<Status['croft']>;

export async function setStatus(
  { store }: VmContext,
  move: VolumeMove,
  change: Pick<Status, 'phase' | 'progress'>,
  croft: Croft = {},
): Promise<void> {
  await editStatus(store, volumeMove, placeOf(move), (draft) => {
    draft.status = { ...draft.status, ...change, croft: { ...draft.status?.croft, ...croft } };
  });
}

export async function setProgressing({ store }: VmContext, move: VolumeMove, message: string): Promise<void> {
  await editStatus(store, volumeMove, placeOf(move), (draft) => {
    const condition = { type: 'Progressing', status: 'False' as const, reason: 'Waiting', message };
    draft.status = { ...draft.status, conditions: setCondition(draft.status?.conditions, condition) };
  });
}

/** An event about the volume. */
export function tell(context: VmContext, move: VolumeMove, reason: 'VolumeMoved' | 'VolumeMoveFailed', message: string): void {
  const type = reason === 'VolumeMoved' ? 'Normal' : 'Warning';
  const about = { kind: 'DataVolume', name: move.spec.claimName, project: namespaceOf(move) };
  context.events.record({ type, reason, message, about });
}
