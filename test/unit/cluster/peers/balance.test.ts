/** The balancer's plan: quiet where it is even, better with each move, the same at each look. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planBalance, pressureOf, tolerance, type BoxLoad, type PlacedVm } from '../../../../appliance/cluster/peers/balance.ts';

const gib = 2 ** 30;
const vm = (name: string, memory: number, more: Partial<PlacedVm> = {}): PlacedVm => ({
  vm: name,
  project: 'p',
  memory: memory * gib,
  vcpus: 1,
  ...more,
});
const box = (name: string, vms: PlacedVm[], memory = 16): BoxLoad => ({ box: name, memory: memory * gib, cpus: 8, vms });

/** The boxes after the moves. */
const moved = (boxes: readonly BoxLoad[], moves: ReturnType<typeof planBalance>): BoxLoad[] =>
  moves.reduce((now, move) => {
    const one = now.flatMap(({ vms }) => vms).find((each) => each.vm === move.vm) as PlacedVm;
    return now.map((each) => ({
      ...each,
      vms: each.box === move.to ? [...each.vms, one] : each.vms.filter((other) => other !== one),
    }));
  }, boxes.slice());
const spread = (boxes: readonly BoxLoad[]): number => Math.max(...boxes.map(pressureOf)) - Math.min(...boxes.map(pressureOf));

describe('the balancer', () => {
  it('spreads a hot spot, and says why', () => {
    const hot = [box('a', [vm('one', 4), vm('two', 4), vm('three', 4)]), box('b', [])];
    expect(planBalance(hot)).toEqual([
      { vm: 'one', project: 'p', from: 'a', to: 'b', why: 'a is at 75 % and b at 0 %; afterwards 50 % and 25 %.' },
    ]);
  });

  it.each([
    ['a difference within the tolerance', [box('a', [vm('one', 3)]), box('b', [])]],
    ['one VM that would only carry the heat along', [box('a', [vm('one', 12)]), box('b', [])]],
    [
      'VMs that cannot leave',
      [box('a', [vm('one', 6, { stays: 'local disk' }), vm('two', 6, { stays: 'local disk' })]), box('b', [])],
    ],
    ['one box', [box('a', [vm('one', 16)])]],
    ['a box that has no room', [box('a', [vm('one', 8), vm('two', 8)]), box('b', [], 4)]],
  ])('leaves alone: %s', (_what, boxes) => {
    expect(planBalance(boxes)).toEqual([]);
  });

  it('counts CPUs where they are scarcer than memory', () => {
    const busy = [vm('one', 1, { vcpus: 16 }), vm('two', 1, { vcpus: 16 })];
    expect(planBalance([box('a', busy), box('b', [])])).toHaveLength(1);
  });

  it('never makes it worse, moves none twice and none that stays, and has nothing to add to its own plan', () => {
    const anyVm = fc.record({
      memory: fc.integer({ min: 1, max: 8 }),
      vcpus: fc.integer({ min: 1, max: 8 }),
      stays: fc.boolean(),
    });
    const anyBoxes = fc.array(fc.array(anyVm, { maxLength: 8 }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(anyBoxes, (given) => {
        const boxes = given.map((vms, at) =>
          box(
            `box-${at}`,
            vms.map(({ memory, vcpus, stays }, index) =>
              vm(`${at}-${index}`, memory, { vcpus, ...(stays ? { stays: 'no' } : {}) }),
            ),
            32,
          ),
        );
        const plan = planBalance(boxes);
        const after = moved(boxes, plan);
        expect(spread(after)).toBeLessThanOrEqual(spread(boxes) + 1e-9);
        expect(new Set(plan.map((move) => move.vm)).size).toBe(plan.length);
        expect(plan.filter((move) => boxes.some(({ vms }) => vms.some((one) => one.vm === move.vm && one.stays)))).toEqual([]);
        if (spread(boxes) <= tolerance) expect(plan).toEqual([]);
        expect(planBalance(boxes)).toEqual(plan);
      }),
    );
  });
});
