/**
 * The plan of a move against a model of QEMU, the pools and the claim: the service is killed before and after any step,
 * guests write, end and are stopped, people cancel, QEMU and the copy fail. Whatever happens, a claim names a
 * volume that has every acknowledged write, at each moment; and every move ends with one volume and nothing held.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createConvergence } from '../../../../appliance/vm/moves/convergence.ts';
import { startLosesWrites } from '../../../../appliance/vm/moves/mirror.ts';
import { planMove, type MirrorJob, type MoveObservation } from '../../../../appliance/vm/moves/plan-move.ts';
import { World } from './move-world.ts';

const settle = (world: World): void => {
  for (let round = 0; round < 100; round++) {
    const { action } = planMove(world.observe());
    const gone =
      action.do === 'none' && world.move.metadata.deletionTimestamp !== undefined && !world.move.metadata.finalizers?.length;
    if (gone || (world.done && ['none', 'expire'].includes(action.do))) return;
    world.act(action, false);
    world.write();
    world.tick(false);
    world.check();
  }
  throw new Error(`it does not end: ${JSON.stringify(planMove(world.observe()))}`);
};

type Event =
  | 'step'
  | 'crash'
  | 'half'
  | 'write'
  | 'tick'
  | 'fail'
  | 'pause'
  | 'late'
  | 'end-guest'
  | 'start-guest'
  | 'cancel'
  | 'delete-claim';

const events: Event[] = [
  'step',
  'step',
  'step',
  'step',
  'tick',
  'tick',
  'write',
  'crash',
  'half',
  'fail',
  'pause',
  'late',
  'end-guest',
  'start-guest',
  'cancel',
  'delete-claim',
];

function happen(world: World, event: Event, epoch: number): void {
  switch (event) {
    case 'step':
      return world.act(planMove(world.observe()).action, false);
    case 'half':
      world.act(planMove(world.observe()).action, true);
      world.copier = undefined;
      return undefined;
    case 'crash':
      world.copier = undefined;
      return undefined;
    case 'write':
      return world.write();
    case 'tick':
      return world.tick(false);
    case 'fail':
      return world.tick(true);
    case 'pause':
      if (world.move.status?.croft?.held || !world.guest) return undefined;
      world.paused = true;
      world.guest.running = false;
      return undefined;
    case 'late':
      world.now += 20_000;
      return undefined;
    case 'end-guest':
      world.paused = false;
      return world.endGuest();
    case 'start-guest':
      return world.startGuest(epoch);
    case 'cancel':
      world.move = { ...world.move, metadata: { ...world.move.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } };
      return undefined;
    case 'delete-claim':
      world.claim.deleting = true;
      return undefined;
  }
}

describe('a move', () => {
  for (const live of [true, false]) {
    it(`of ${live ? 'an open' : 'a closed'} volume arrives, writes included`, () => {
      const world = new World(live);
      settle(world);
      expect(world).toMatchObject({ claim: { pool: 'b', moving: undefined }, source: undefined, job: undefined });
      expect(world.target?.content).toBe(world.acknowledged);
    });
  }

  it('names at each moment one whole disk, and ends, whatever happens', () => {
    const scenario = fc.record({
      live: fc.boolean(),
      failFinalize: fc.boolean(),
      happenings: fc.array(fc.constantFrom(...events), { maxLength: 60 }),
    });
    fc.assert(
      fc.property(scenario, ({ live, failFinalize, happenings }) => {
        const world = new World(live);
        world.failFinalize = failFinalize;
        happenings.forEach((event, index) => {
          happen(world, event, index + 2);
          world.check();
        });
        world.failFinalize = failFinalize;
        settle(world);
        expect(world.claim.moving).toBeUndefined();
        expect([world.source, world.target].filter((pool) => pool !== undefined)).toHaveLength(1);
        expect(world.job).toBeUndefined();
        expect(world.move.status?.croft?.held).toBeUndefined();
        if (world.guest) expect(world.guest.running).toBe(!world.paused);
      }),
      { numRuns: 3_000 },
    );
  });
});

describe('a guest that writes while its disk is copied', () => {
  const mib = 2 ** 20;
  const plan = (job: MirrorJob, more: Partial<MoveObservation> & { running?: boolean } = {}, held?: object) => {
    const world = new World(true);
    world.claim.moving = 'm';
    world.move = { ...world.move, metadata: { ...world.move.metadata, finalizers: ['croft.io/move'] } };
    world.croft({ step: 'copying', from: 'a', liveEpoch: 1, ...held });
    world.job = job;
    if (world.guest) world.guest.running = more.running ?? true;
    return planMove({ ...world.observe(), ...more }).action;
  };
  const job = (left: number, status = 'running'): MirrorJob => ({ status, done: 900 * mib, total: 900 * mib + left });

  it('is held when little is left, or no less than before', () => {
    expect(plan(job(300 * mib))).toMatchObject({ do: 'report' });
    expect(plan(job(8 * mib))).toEqual({ do: 'hold' });
    expect(plan(job(100 * mib, 'ready'), { stalled: true })).toEqual({ do: 'hold' });
    expect(plan(job(300 * mib), { stalled: true })).toMatchObject({ do: 'wait' });
    expect(plan({ status: 'running', done: 0, total: 0 })).toMatchObject({ do: 'report' });
    expect(plan({ status: 'ready', done: 0, total: 0 })).toEqual({ do: 'hold' });
    expect(plan(job(mib, 'ready'), { running: false })).toEqual({ do: 'complete' });
  });

  it('is let go on when the rest takes too long, and once a mirror has begun', () => {
    const since = new Date(Date.parse('2026-01-01T00:00:00Z') - 16_000).toISOString();
    expect(plan(job(mib), { running: false }, { held: { for: 'switch', since } })).toEqual({ do: 'release' });
    const start = { held: { for: 'start', since } };
    expect(plan({ status: 'running', done: 0, total: 0 }, { running: false }, start)).toEqual({ do: 'none' });
    expect(plan(job(300 * mib), { running: false }, start)).toEqual({ do: 'release' });
  });

  it('stalls its mirror when no less is left for ten seconds', () => {
    const convergence = createConvergence();
    const look = (left: number, now: number) => convergence.stalled('m', job(left), now);
    expect([look(9, 0), look(8, 1), look(8, 9_000), look(9, 11_000), look(7, 12_000), look(7, 13_000)]).toEqual([
      false,
      false,
      false,
      true,
      false,
      false,
    ]);
  });

  it('is held for the start where QEMU would miss its writes', () => {
    expect(
      [
        { major: 7, minor: 2 },
        { major: 8, minor: 1 },
      ].some(startLosesWrites),
    ).toBe(false);
    expect(
      [
        { major: 8, minor: 2 },
        { major: 10, minor: 0 },
      ].every(startLosesWrites),
    ).toBe(true);
  });
});
