/** QEMU, the pools and a claim as far as a move has to do with them, for plan-move.test.ts. */
import { expect } from 'vitest';
import { volumeMove, type VolumeMove } from '../../../../appliance/resources/volume-move.ts';
import type { Copier, MirrorJob, MoveAction, MoveObservation } from '../../../../appliance/vm/moves/plan-move.ts';

/** Content is the number of the last write that is in it. */
type Pool = { content: number } | undefined;

export class World {
  acknowledged = 0;
  source: Pool = { content: 0 };
  target: Pool = undefined;
  claim = { pool: 'a', moving: undefined as string | undefined, deleting: false };
  guest: { epoch: number; uses: 'source' | 'target'; running: boolean } | undefined;
  job: MirrorJob | undefined;
  sourceNodes = false;
  targetNodes = false;
  copier: (Copier & { read?: number }) | undefined;
  failFinalize = false;
  /** The guest was stopped by somebody else. */
  paused = false;
  now = Date.parse('2026-01-01T00:00:00Z');
  move: VolumeMove = {
    apiVersion: volumeMove.apiVersion,
    kind: volumeMove.kind,
    metadata: { name: 'm', namespace: 'default' },
    spec: { claimName: 'c', pool: 'b' },
  };

  constructor(live: boolean) {
    if (live) this.guest = { epoch: 1, uses: 'source', running: true };
  }

  get done(): boolean {
    return this.move.status?.croft?.endedAt !== undefined && this.claim.moving === undefined;
  }

  /** The guest's write is acknowledged, or held while the mirror is pending. */
  write(): void {
    if (!this.guest?.running || this.job?.status === 'pending') return;
    const disk = this.guest.uses === 'source' ? this.source : this.target;
    if (!disk) throw new Error('the guest writes to a volume that is gone');
    this.acknowledged++;
    disk.content = this.acknowledged;
    // A mirror in the background: what is written is copied some time later.
    if (this.job?.status === 'ready' || this.job?.status === 'running') this.job.total++;
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
    this.guest = { epoch, uses: this.claim.pool === 'a' ? 'source' : 'target', running: true };
    this.sourceNodes = true;
  }

  /** Time passes in QEMU and qemu-img. */
  tick(fail: boolean): void {
    const { job } = this;
    this.now += 100;
    if (job?.status === 'running' && fail) Object.assign(job, { status: 'concluded', error: 'simulated: no space' });
    else if (job?.status === 'running' || job?.status === 'ready') {
      job.status = 'ready';
      job.done = job.total;
      if (this.target) this.target.content = this.acknowledged;
    } else if (job?.status === 'waiting' && job.done === job.total) job.status = 'pending';
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
        running: guest.running,
        job: job && { ...job },
        sourceNodes: this.sourceNodes,
        targetNodes: this.targetNodes,
      },
      copier: copier && { ...copier },
      stalled: false,
      sourceThere: this.source !== undefined,
      targetThere: this.target !== undefined,
      refusal: undefined,
      pending: undefined,
      elsewhere: false,
      now: this.now,
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
        this.job = { status: 'running', done: 0, total: 1 };
        return;
      case 'copy':
        this.target = { content: -1 };
        if (!half) this.copier = { state: 'running' };
        return;
      case 'hold':
        if (!guest?.running) return;
        this.croft({ held: { for: 'switch', since: new Date(this.now).toISOString() } });
        if (!half) guest.running = false;
        return;
      case 'release': {
        if (guest?.epoch === this.move.status?.croft?.liveEpoch && guest && !this.paused) guest.running = true;
        if (half) return;
        const { held: _, ...rest } = this.move.status?.croft ?? {};
        this.move = { ...this.move, status: { ...this.move.status, croft: rest } };
        return;
      }
      case 'complete':
        // QEMU ends the job at an instant without a write under way; a guest that writes may never have one.
        if (job?.status === 'ready' && !guest?.running && job.done === job.total) job.status = 'waiting';
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
