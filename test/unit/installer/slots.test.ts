import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type BootState,
  commit,
  freshState,
  fromEnvironment,
  maxTries,
  nextBoot,
  otherSlot,
  retire,
  rollBack,
  stage,
  toEnvironment,
} from '../../../installer/slots.ts';

/** Starts that never come to a commit. */
const failTimes = (state: BootState, times: number): BootState =>
  times === 0 ? state : failTimes(nextBoot(state).state, times - 1);

test('a state survives GRUB’s environment', () => {
  const state = stage(commit(freshState(), 'A'), 'B');
  expect(fromEnvironment(toEnvironment(state))).toEqual(state);
});

test.each([
  [{ ORDER: 'A A' }, /ORDER="A A"/],
  [{ GOOD: '' }, /GOOD=""/],
  [{ A_TRY: '9' }, /A_TRY="9"/],
  [{ B_OK: 'yes' }, /B_OK="yes"/],
])('an environment with %o is not usable', (wrong, message) => {
  expect(() => fromEnvironment({ ...toEnvironment(freshState()), ...wrong })).toThrow(message);
});

test('an update has one try; then the committed slot starts again', () => {
  const staged = stage(commit(freshState(), 'A'), 'B');
  const first = nextBoot(staged);
  expect(first.slot).toBe('B');
  expect(nextBoot(first.state).slot).toBe('A');
});

test('the committed slot survives power cuts while it starts', () => {
  const committed = commit(commit(freshState(), 'A'), 'A');
  expect(nextBoot(failTimes(committed, maxTries - 1)).slot).toBe('A');
});

test('a failed update is not tried again after the old release was committed anew', () => {
  const back = commit(failTimes(stage(commit(freshState(), 'A'), 'B'), 2), 'A');
  expect(back.slots.B.ok).toBe(false);
  expect(back.order).toEqual(['A', 'B']);
});

test('after a good update the old release is kept to go back to', () => {
  const updated = commit(nextBoot(stage(commit(freshState(), 'A'), 'B')).state, 'B');
  expect(updated).toMatchObject({ good: 'B', order: ['B', 'A'], slots: { A: { ok: true }, B: { ok: true } } });
});

test('the committed slot is never written, and never left by a rollback', () => {
  expect(() => retire(commit(freshState(), 'A'), 'A')).toThrow(/committed/);
  expect(rollBack(commit(freshState(), 'A'), 'A').restart).toBe(false);
  expect(rollBack(stage(commit(freshState(), 'A'), 'B'), 'B')).toMatchObject({ restart: true, state: { order: ['A', 'B'] } });
});

test('whatever happens, within four starts the committed slot is started', () => {
  const act = fc.constantFrom('boot', 'commit', 'stage', 'retire', 'roll-back');
  fc.assert(
    fc.property(fc.array(act, { maxLength: 40 }), (acts) => {
      let state = commit(freshState(), 'A');
      let running = state.good;
      for (const name of acts) {
        if (name === 'boot') ({ slot: running, state } = nextBoot(state));
        else if (name === 'commit') state = commit(state, running);
        else if (name === 'roll-back') ({ state } = rollBack(state, running));
        else if (running === state.good)
          state = name === 'stage' ? stage(state, otherSlot(running)) : retire(state, otherSlot(running));
        const starts = [0, 1, 2, 3].map((times) => nextBoot(failTimes(state, times)).slot);
        expect(starts).toContain(state.good);
      }
    }),
  );
});
