/**
 * Changes that undo themselves: who changes an uplink may cut themselves off by it. With a deadline in the object's
 * annotations the change holds until then; unless confirmed by that time, the spec of before is put back (or the uplink
 * taken away that wasn't there). It stands in the store, so a killed service does it when it is back. Pure.
 */
import { confirmBefore, specBefore, type Uplink } from '../../appliance/resources/uplink.ts';

export type Rollback =
  /** Nothing waits for a confirmation. */
  | { do: 'nothing' }
  /** Look again in so many ms. */
  | { do: 'wait'; ms: number }
  | { do: 'put-back'; spec: Uplink['spec'] }
  | { do: 'delete' };

export function planRollback({ metadata: { annotations } }: Uplink, now: number): Rollback {
  const deadline = Date.parse(annotations?.[confirmBefore] ?? '');
  if (Number.isNaN(deadline)) return { do: 'nothing' };
  if (deadline > now) return { do: 'wait', ms: deadline - now };
  const before = annotations?.[specBefore] ?? '';
  return before === '' ? { do: 'delete' } : { do: 'put-back', spec: JSON.parse(before) as Uplink['spec'] };
}

/** Without the marks of a change that waits. */
export function settled(annotations: Record<string, string> | undefined): Record<string, string> {
  const { [confirmBefore]: _deadline, [specBefore]: _spec, ...rest } = annotations ?? {};
  return rest;
}
