/**
 * The two system slots, A and B, and which of them boots: pure rules over GRUB's environment.
 *
 * - `ORDER` is the order of preference, `GOOD` the slot that was committed last (it booted and passed its health
 *   gate), `x_OK` whether slot x may be tried at all, `x_TRY` how often it was started without a commit since.
 * - GRUB takes the first of `ORDER` with OK=1 and TRY<3, adds one to its TRY and starts it (grub-config.ts).
 * - An update has a single try: it is staged with TRY=2. The committed slot has three, so that a power cut while
 *   it boots does not bring back an older release.
 */
import { CroftError } from '../appliance/errors.ts';
import type { Environment } from './environment-block.ts';

export type Slot = 'A' | 'B';
export type SlotState = { ok: boolean; tries: number };
export type BootState = { order: [Slot, Slot]; good: Slot; slots: Record<Slot, SlotState> };

/** Starts without a commit after which GRUB leaves a slot. */
export const maxTries = 3;

export const otherSlot = (slot: Slot): Slot => (slot === 'A' ? 'B' : 'A');
export const isSlot = (text: unknown): text is Slot => text === 'A' || text === 'B';

/** After an installation: A is there and to be tried, B is empty. */
export const freshState = (): BootState => ({
  order: ['A', 'B'],
  good: 'A',
  slots: { A: { ok: true, tries: 0 }, B: { ok: false, tries: 0 } },
});

export const toEnvironment = ({ order, good, slots }: BootState): Environment => ({
  ORDER: order.join(' '),
  GOOD: good,
  A_OK: slots.A.ok ? '1' : '0',
  A_TRY: String(slots.A.tries),
  B_OK: slots.B.ok ? '1' : '0',
  B_TRY: String(slots.B.tries),
});

/** @throws CroftError `invalid-state` naming the variable that cannot be used */
export function fromEnvironment(environment: Environment): BootState {
  const bad = (name: string): CroftError =>
    new CroftError('invalid-state', `boot environment: ${name}=${JSON.stringify(environment[name] ?? '')} is not usable.`);
  const order = (environment.ORDER ?? '').split(' ');
  const [first, second] = order;
  if (order.length !== 2 || !isSlot(first) || !isSlot(second) || first === second) throw bad('ORDER');
  if (!isSlot(environment.GOOD)) throw bad('GOOD');
  const slotOf = (slot: Slot): SlotState => {
    const tries = environment[`${slot}_TRY`] ?? '';
    const ok = environment[`${slot}_OK`];
    if (!/^[0-3]$/.test(tries)) throw bad(`${slot}_TRY`);
    if (ok !== '0' && ok !== '1') throw bad(`${slot}_OK`);
    return { ok: ok === '1', tries: Number(tries) };
  };
  return { order: [first, second], good: environment.GOOD, slots: { A: slotOf('A'), B: slotOf('B') } };
}

/** The slot GRUB starts next, and the state it leaves behind: what grub-config.ts does, in TypeScript. */
export function nextBoot(state: BootState): { slot: Slot; state: BootState } {
  const eligible = state.order.find((slot) => state.slots[slot].ok && state.slots[slot].tries < maxTries);
  const slots = eligible ? state.slots : { A: { ...state.slots.A, tries: 0 }, B: { ...state.slots.B, tries: 0 } };
  const slot = eligible ?? state.good;
  return { slot, state: { ...state, slots: { ...slots, [slot]: { ...slots[slot], tries: slots[slot].tries + 1 } } } };
}

/** The running slot is healthy: it comes first from now on. Another slot that used up its tries is never tried again. */
export function commit(state: BootState, running: Slot): BootState {
  const other = otherSlot(running);
  const { ok, tries } = state.slots[other];
  const failed = tries >= maxTries;
  return {
    order: [running, other],
    good: running,
    slots: { ...state.slots, [running]: { ok: true, tries: 0 }, [other]: { ok: ok && !failed, tries: failed ? maxTries : 0 } },
  };
}

/** Before a slot is written: it must not be started while it is neither the old nor the new release. */
export function retire(state: BootState, slot: Slot): BootState {
  if (slot === state.good) {
    throw new CroftError('invalid-state', `Slot ${slot} is the committed one; only the other slot may be written.`);
  }
  return { order: [state.good, slot], good: state.good, slots: { ...state.slots, [slot]: { ok: false, tries: 0 } } };
}

/** The slot holds a verified release: the next start tries it, once. */
export function stage(state: BootState, slot: Slot): BootState {
  return {
    ...retire(state, slot),
    order: [slot, state.good],
    slots: { ...state.slots, [slot]: { ok: true, tries: maxTries - 1 } },
  };
}

/** A release that waits for the next start waits no longer; it can still be asked for. */
export function unstage(state: BootState): BootState {
  const waiting = otherSlot(state.good);
  return {
    order: [state.good, waiting],
    good: state.good,
    slots: { ...state.slots, [waiting]: { ...state.slots[waiting], tries: 0 } },
  };
}

/** The running slot is not healthy: whether a restart brings another release. The committed slot stays as it is. */
export function rollBack(state: BootState, running: Slot): { state: BootState; restart: boolean } {
  if (running === state.good) return { state, restart: false };
  return {
    restart: true,
    state: { ...state, order: [state.good, running], slots: { ...state.slots, [running]: { ok: false, tries: maxTries } } },
  };
}
