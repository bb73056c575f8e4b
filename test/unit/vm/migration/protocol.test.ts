/**
 * The migration protocol, model-checked: two boxes, a store whose answers get lost or come late, services that die between
 * reading and acting, QEMUs that fail in each way, a stream whose end the two sides see differently, boxes that are fenced.
 * Never do two sides run; never does one run on memory that the other has overtaken; and when the faults end, one runs.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  holdersOf,
  planSource,
  planTarget,
  type MigrationRecord,
  type OutgoingState,
  type SourceAction,
  type TargetAction,
} from '../../../../appliance/vm/migration/protocol.ts';

type Stored = { version: number; holder: string; migration: MigrationRecord };
type Answer = 'ok' | 'unanswered' | 'lost' | 'late';
type Write = { version: number; change: (stored: Stored) => void };

class World {
  stored: Stored = {
    version: 1,
    holder: 'a',
    migration: { uid: 'u', source: 'a', target: 'b', state: 'preparing', abort: false, targetFailed: false },
  };
  source: { running: boolean; migration: OutgoingState } | undefined = { running: true, migration: 'none' };
  target: { running: boolean; incoming: 'listening' | 'active' | 'completed' } | undefined;
  /** What reading gave the services, and what they are about to do. */
  planned: { a?: { version: number; action: SourceAction }; b?: { version: number; action: TargetAction } } = {};
  late: Write[] = [];
  mayHaveRun = false;
  fenced = new Set<string>();
  /** Sent whole, or cut. */
  stream: 'none' | 'open' | 'whole' | 'cut' = 'none';
  paused = 0;
  sourceWentOn = false;
  targetRan = false;
  /** A guest that was started from the disks. */
  third = false;

  check(): void {
    const running = [this.source?.running, this.target?.running, this.third].filter(Boolean);
    expect(running.length).toBeLessThanOrEqual(1);
  }

  write({ version, change }: Write): boolean {
    if (this.stored.version !== version) return false;
    const next = structuredClone(this.stored);
    change(next);
    this.stored = { ...next, version: version + 1 };
    return true;
  }

  send(write: Write, answer: Answer): boolean {
    if (answer === 'late') this.late.push(write);
    if (answer === 'late' || answer === 'lost') return false;
    return this.write(write) && answer === 'ok';
  }

  read(box: 'a' | 'b', known: boolean, overdue: boolean): void {
    if (this.fenced.has(box)) return;
    const { version, migration } = this.stored;
    const record = known ? migration : undefined;
    if (box === 'a')
      this.planned.a = {
        version,
        action: planSource({ record, holder: this.stored.holder, qemu: this.source && { ...this.source }, overdue }),
      };
    else {
      const sourceFenced = this.fenced.has('a');
      const qemu = this.target && { ...this.target };
      this.planned.b = { version, action: planTarget({ record, qemu, mayHaveRun: this.mayHaveRun, sourceFenced }) };
    }
  }

  actSource(answer: Answer): void {
    const { a } = this.planned;
    delete this.planned.a;
    if (!a || this.fenced.has('a')) return;
    const { version, action } = a;
    const { source } = this;
    switch (action.do) {
      case 'start':
        // QEMU listens no more: the connection fails.
        if (source?.migration !== 'none') return;
        source.migration = this.target ? 'active' : 'failed';
        if (this.target) this.target.incoming = 'active';
        this.stream = this.target ? 'open' : 'cut';
        return;
      case 'switch':
        this.send(
          {
            version,
            change: (stored) => Object.assign(stored, { holder: 'b', migration: { ...stored.migration, state: 'switched' } }),
          },
          answer,
        );
        return;
      case 'continue':
        if (source?.migration === 'pre-switchover') source.migration = 'device';
        return;
      case 'cancel':
        if (!source || !['setup', 'active', 'pre-switchover'].includes(source.migration)) return;
        if (source.migration === 'pre-switchover') this.sourceGoesOn();
        source.migration = 'cancelled';
        this.stream = 'cut';
        return;
      case 'hand-over':
        this.send({ version, change: (stored) => void (stored.migration.state = 'handed') }, answer);
        return;
      case 'take-back':
        this.send(
          {
            version,
            change: (stored) => Object.assign(stored, { holder: 'a', migration: { ...stored.migration, state: 'failed' } }),
          },
          answer,
        );
        return;
      case 'resume':
        if (source && !source.running && source.migration === 'completed') this.sourceGoesOn();
        return;
      case 'release':
        this.source = undefined;
        return;
      default:
    }
  }

  sourceGoesOn(): void {
    expect(this.targetRan).toBe(false);
    expect(this.third).toBe(false);
    this.sourceWentOn = true;
    if (this.source) this.source.running = true;
  }

  actTarget(answer: Answer, half: boolean): void {
    const { b } = this.planned;
    delete this.planned.b;
    if (!b || this.fenced.has('b')) return;
    const { version, action } = b;
    switch (action.do) {
      case 'prepare':
        this.target ??= { running: false, incoming: 'listening' };
        return;
      case 'publish':
        this.send({ version, change: (stored) => void (stored.migration.state = 'ready') }, answer);
        return;
      case 'run':
        this.mayHaveRun = true;
        if (half || !this.target) return;
        // What went on at the source after the stream was cut is not in this memory.
        expect(this.sourceWentOn).toBe(false);
        this.targetRan = true;
        this.target.running = true;
        return;
      case 'complete':
        this.send({ version, change: (stored) => void (stored.migration.state = 'completed') }, answer);
        return;
      case 'report-failure':
        this.send({ version, change: (stored) => void (stored.migration.targetFailed = true) }, answer);
        return;
      case 'give-up':
        expect(this.fenced.has('a')).toBe(true);
        expect(this.target).toBeUndefined();
        this.send({ version, change: (stored) => void (stored.migration.state = 'failed') }, answer);
        return;
      case 'discard':
        this.target = undefined;
        return;
      default:
    }
  }

  /** QEMU at the source goes one step on, as it will or with a failure. */
  stepSource(fails: boolean): void {
    const { source } = this;
    if (!source || this.fenced.has('a')) return;
    if (source.migration === 'active' && (fails || !this.target)) {
      source.migration = 'failed';
      this.stream = 'cut';
    } else if (source.migration === 'active') {
      source.migration = 'pre-switchover';
      source.running = false;
    } else if (source.migration === 'device') {
      // It may all have arrived, whatever the source thinks of it.
      if (this.stream === 'open') this.stream = 'whole';
      source.migration = fails ? 'failed' : 'completed';
      if (fails) this.sourceGoesOn();
    }
  }

  stepTarget(fails: boolean): void {
    const { target } = this;
    if (!target || target.running || this.fenced.has('b')) return;
    if (this.stream === 'cut' || fails) {
      if (target.incoming !== 'completed' || fails) this.target = undefined;
    } else if (this.stream === 'whole') target.incoming = 'completed';
  }

  /** Kills all of a box for good; what it had in flight may still arrive. */
  fence(box: 'a' | 'b'): void {
    this.fenced.add(box);
    if (box === 'a') this.source = undefined;
    else this.target = undefined;
    if (this.stream === 'open') this.stream = 'cut';
  }

  /** Its holder starts the VM from its disks, once the migration is over and the guest is gone there. */
  startAnew(): void {
    const { holder, migration } = this.stored;
    if (this.third || this.fenced.has(holder) || !['completed', 'failed'].includes(migration.state)) return;
    this.third = (holder === 'a' ? this.source : this.target) === undefined;
  }

  /** Another box starts the VM from its disks, if all that hold it are fenced. */
  takeOver(): void {
    const { holder, migration } = this.stored;
    if (this.third || !holdersOf(holder, migration).every((box) => this.fenced.has(box))) return;
    // A source that is stopped for good keeps old memory, not the disks.
    this.write({
      version: this.stored.version,
      change: (stored) => Object.assign(stored, { holder: 'c', migration: { ...stored.migration, state: 'completed' } }),
    });
    this.third = true;
  }
}

const boxes = fc.constantFrom<'a' | 'b'>('a', 'b');
const answers = fc.constantFrom<Answer>('ok', 'ok', 'ok', 'unanswered', 'lost', 'late');
const happening = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant('turn' as const), box: boxes, answer: answers }) },
  {
    weight: 3,
    arbitrary: fc.record({ type: fc.constant('read' as const), box: boxes, known: fc.boolean(), overdue: fc.boolean() }),
  },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('act' as const), box: boxes, answer: answers, half: fc.boolean() }) },
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constant('qemu' as const),
      box: boxes,
      fails: fc.integer({ min: 0, max: 4 }).map((n) => n === 0),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constantFrom('late' as const, 'abort' as const, 'crash' as const, 'take-over' as const, 'start-anew' as const),
      box: boxes,
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constantFrom('kill-qemu' as const, 'fence' as const), box: boxes }) },
);

function happen(world: World, event: Record<string, unknown> & { type: string }): void {
  const box = event.box as 'a' | 'b';
  const act = (answer: Answer, half = false) => (box === 'a' ? world.actSource(answer) : world.actTarget(answer, half));
  switch (event.type) {
    case 'turn':
      world.read(box, true, false);
      return act(event.answer as Answer);
    case 'read':
      return world.read(box, event.known as boolean, event.overdue as boolean);
    case 'act':
      return act(event.answer as Answer, event.half as boolean);
    case 'qemu':
      return box === 'a' ? world.stepSource(event.fails as boolean) : world.stepTarget(event.fails as boolean);
    case 'late':
      world.late.splice(0).forEach((write) => world.write(write));
      return undefined;
    case 'abort':
      world.stored = {
        ...world.stored,
        version: world.stored.version + 1,
        migration: { ...world.stored.migration, abort: true },
      };
      return undefined;
    case 'crash':
      delete world.planned[box];
      return undefined;
    case 'take-over':
      return world.takeOver();
    case 'start-anew':
      return world.startAnew();
    case 'kill-qemu':
      if (box === 'a') {
        world.source = undefined;
        if (world.stream === 'open') world.stream = 'cut';
      } else {
        world.target = undefined;
        if (world.stream === 'open') world.stream = 'cut';
      }
      return undefined;
    case 'fence':
      return world.fence(box);
    default:
      return undefined;
  }
}

const calmRounds = 60;

/** What happens in turn while nothing goes wrong: trouble begins after some of these. */
const calm: (Record<string, unknown> & { type: string })[] = [
  { type: 'turn', box: 'a', answer: 'ok' },
  { type: 'turn', box: 'b', answer: 'ok' },
  { type: 'qemu', box: 'a', fails: false },
  { type: 'qemu', box: 'b', fails: false },
];

describe('a migration', () => {
  it('ends at the target when nothing goes wrong', () => {
    const world = new World();
    for (let round = 0; round < calmRounds; round++) {
      for (const box of ['a', 'b'] as const) happen(world, { type: 'turn', box, answer: 'ok' });
      world.stepSource(false);
      world.stepTarget(false);
      world.check();
    }
    expect(world.stored).toMatchObject({ holder: 'b', migration: { state: 'completed' } });
    expect(world.target?.running).toBe(true);
    expect(world.source).toBeUndefined();
  });

  it('does not run what came, nor lets the source go on, when the source was shut out before it handed over', () => {
    const world = new World();
    for (let step = 0; world.source?.migration !== 'device'; step++) happen(world, calm[step % calm.length] as { type: string });
    world.stepSource(false);
    world.stepTarget(false);
    expect(world.stored.migration.state).toBe('switched');
    expect(world.target?.incoming).toBe('completed');
    const { source } = world;
    world.fence('a');
    for (let round = 0; round < calmRounds; round++) happen(world, { type: 'turn', box: 'b', answer: 'ok' });
    expect(world.stored).toMatchObject({ holder: 'b', migration: { state: 'failed' } });
    expect(world.targetRan).toBe(false);
    expect(world.target).toBeUndefined();
    // The box comes back, and with it the QEMU that had sent all.
    world.fenced.delete('a');
    world.source = source;
    for (let round = 0; round < calmRounds; round++) happen(world, { type: 'turn', box: 'a', answer: 'ok' });
    expect(world.sourceWentOn).toBe(false);
    expect(world.source).toBeUndefined();
  });

  it('never has two sides run, and at the end one does', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 40 }), fc.array(happening, { maxLength: 60 }), (quiet, happenings) => {
        const world = new World();
        for (let step = 0; step < quiet; step++) happen(world, calm[step % calm.length] as { type: string });
        for (const event of happenings) {
          happen(world, event);
          world.check();
        }
        for (let round = 0; round < calmRounds; round++) {
          happen(world, { type: 'late' });
          // In the end what a source waits for takes longer than it may.
          world.read('a', true, round >= calmRounds / 2);
          world.actSource('ok');
          happen(world, { type: 'turn', box: 'b', answer: 'ok' });
          world.stepSource(false);
          world.stepTarget(false);
          world.startAnew();
          world.takeOver();
          world.check();
        }
        const { state } = world.stored.migration;
        const runs = (world.source?.running ?? false) || (world.target?.running ?? false) || world.third;
        // A guest whose one box is gone waits for that box's fence, here as without any migration.
        expect(runs || world.fenced.size > 0).toBe(true);
        if (world.fenced.size === 0) expect(['completed', 'failed']).toContain(state);
        // Held by a living box: settled, so that it runs it or starts it from its disks.
        if (!world.fenced.has(world.stored.holder)) expect(['completed', 'failed']).toContain(state);
        if (world.fenced.size === 2) expect(world.third).toBe(true);
      }),
      { numRuns: 4_000 },
    );
  }, 120_000);
});
