/**
 * The plan of a move against a model of QEMU, the pools and the claim: the service is killed before and after any step,
 * guests write, end and are stopped, people cancel, QEMU and the copy fail. Whatever happens, a claim names a
 * volume that has every acknowledged write, at each moment; and every move ends with one volume and nothing held.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { volumeMove, type VolumeMove } from '../../../../appliance/resources/volume-move.ts';
import {
  planMove,
  type Copier,
  type MirrorJob,
  type MoveAction,
  type MoveObservation,
} from '../../../../appliance/vm/moves/plan-move.ts';

/** Content is the number of the last write that is in it. */
type Pool = { content: number } | undefined;

class World {
  acknowledged = 0;
  source: Pool = { content: 0 };
  target: Pool = undefined;
  claim = { pool: 'a', moving: undefined as string | undefined, deleting: false };
  guest: { epoch: number; uses: 'source' | 'target' } | undefined;
  job: (MirrorJob & { copied: boolean }) | undefined;
  sourceNodes = false;
  targetNodes = false;
  copier: (Copier & { read?: number }) | undefined;
  failFinalize = false;
  move: VolumeMove = {
    apiVersion: volumeMove.apiVersion,
    kind: volumeMove.kind,
    metadata: { name: 'm', namespace: 'default' },
    spec: { claimName: 'c', pool: 'b' },
  };

  constructor(live: boolean) {
    if (live) this.guest = { epoch: 1, uses: 'source' };
  }

  get done(): boolean {
    return this.move.status?.croft?.endedAt !== undefined && this.claim.moving === undefined;
  }

  /** The guest's write is acknowledged, or held while the mirror is pending. */
  write(): void {
    if (!this.guest || this.job?.status === 'pending') return;
    const disk = this.guest.uses === 'source' ? this.source : this.target;
    if (!disk) throw new Error('the guest writes to a volume that is gone');
    this.acknowledged++;
    disk.content = this.acknowledged;
    if (this.job && this.job.status === 'ready' && this.target) this.target.content = this.acknowledged;
  }

  endGuest(): void {
    this.guest = undefined;
    this.job = undefined;
    this.sourceNodes = false;
    this.targetNodes = false;
  }

  /** A start waits while the claim is marked, as resolve() says. */
  startGuest(epoch: number): void {
    if (this.guest || this.claim.moving !== undefined) return;
    this.guest = { epoch, uses: this.claim.pool === 'a' ? 'source' : 'target' };
    this.sourceNodes = true;
  }

  /** Time passes in QEMU and qemu-img. */
  tick(fail: boolean): void {
    const { job } = this;
    if (job?.status === 'running' && fail) Object.assign(job, { status: 'concluded', error: 'simulated: no space' });
    else if (job?.status === 'running') {
      job.status = 'ready';
      if (this.target) this.target.content = this.acknowledged;
    } else if (job?.status === 'waiting') job.status = 'pending';
    else if (job?.status === 'aborting') job.status = 'concluded';
    if (this.copier?.state === 'running') {
      if (fail) this.copier = { state: 'failed', error: 'simulated: no space' };
      else {
        if (this.target) this.target.content = this.source?.content ?? -1;
        this.copier = { state: 'done' };
      }
    }
  }

  observe(): MoveObservation {
    const { claim, guest, job, copier, move } = this;
    return {
      move,
      claim: { ...claim },
      guest: guest && {
        epoch: guest.epoch,
        uses: move.status?.croft?.step === undefined ? 'source' : guest.uses,
        job: job && { ...job },
        sourceNodes: this.sourceNodes,
        targetNodes: this.targetNodes,
      },
      copier: copier && { ...copier },
      sourceThere: this.source !== undefined,
      targetThere: this.target !== undefined,
      refusal: undefined,
      pending: undefined,
      elsewhere: false,
      now: 0,
    };
  }

  croft(change: NonNullable<NonNullable<VolumeMove['status']>['croft']>): void {
    this.move = { ...this.move, status: { ...this.move.status, croft: { ...this.move.status?.croft, ...change } } };
  }

  /** `half`: the service is killed between the parts of a step that has several. */
  act(action: MoveAction, half: boolean): void {
    const { guest, job } = this;
    switch (action.do) {
      case 'adorn':
        this.move = { ...this.move, metadata: { ...this.move.metadata, finalizers: ['croft.io/move'] } };
        return;
      case 'begin':
        this.claim.moving = 'm';
        if (!half) this.croft({ step: 'copying', from: 'a' });
        return;
      case 'mirror':
        this.croft({ liveEpoch: guest?.epoch ?? 0 });
        if (half) return;
        this.target = { content: -1 };
        this.targetNodes = true;
        this.sourceNodes = true;
        this.job = { status: 'running', done: 0, total: 1, copied: false };
        return;
      case 'copy':
        this.target = { content: -1 };
        if (!half) this.copier = { state: 'running' };
        return;
      case 'complete':
        if (job?.status === 'ready') job.status = 'waiting';
        return;
      case 'switch':
        if (this.claim.moving !== 'm' || this.claim.deleting) return;
        this.claim.pool = 'b';
        if (!half) this.act({ do: 'finalize' }, false);
        return;
      case 'switch-back':
        this.claim.pool = 'a';
        if (!half) this.croft({ step: 'undoing', error: 'not changed over' });
        return;
      case 'finalize':
        if (job?.status !== 'pending' || !guest) return;
        job.status = 'concluded';
        if (this.failFinalize) job.error = 'simulated';
        else guest.uses = 'target';
        return;
      case 'dismiss':
        this.job = undefined;
        return;
      case 'cancel-job':
        if (job && job.status !== 'concluded') job.status = 'aborting';
        return;
      case 'cancel-copy':
        this.copier = undefined;
        return;
      case 'close-source-nodes':
        if (guest?.uses === 'source') throw new Error('the nodes are in use');
        this.sourceNodes = false;
        return;
      case 'close-target-nodes':
        if (guest?.uses === 'target') throw new Error('the nodes are in use');
        this.targetNodes = false;
        return;
      case 'drop-source':
        if (guest && this.sourceNodes) throw new Error('the source is open');
        this.source = undefined;
        return;
      case 'drop-target':
        if (guest && this.targetNodes) throw new Error('the target is open');
        this.target = undefined;
        return;
      case 'undo':
        this.croft({ step: 'undoing', error: action.error });
        return;
      case 'fail':
      case 'end':
        this.croft({ endedAt: '2026-01-01T00:00:00Z' });
        return;
      case 'unlock':
        this.claim.moving = undefined;
        return;
      case 'let-go':
        this.move = { ...this.move, metadata: { ...this.move.metadata, finalizers: [] } };
        return;
      default:
    }
  }

  /** The volume the claim names has all that was acknowledged. */
  check(): void {
    // The one exception is QEMU refusing to change over: until the claim is put back the guest writes to the source.
    if (this.failFinalize && this.guest?.uses === 'source') return;
    const disk = this.claim.pool === 'a' ? this.source : this.target;
    expect(disk?.content).toBe(this.acknowledged);
  }
}

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

type Event = 'step' | 'crash' | 'half' | 'write' | 'tick' | 'fail' | 'end-guest' | 'start-guest' | 'cancel' | 'delete-claim';

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
    case 'end-guest':
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
      }),
      { numRuns: 3_000 },
    );
  });
});
