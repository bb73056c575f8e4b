/**
 * What every saga must stand: failing at every step, every step repeated, the service ending before and
 * after every write of its journal. Afterwards the world is wholly done or wholly as it was.
 */
import { describe, expect, it } from 'vitest';
import { createSagaRunner, memoryJournal, type Journal, type Saga } from '../../appliance/reconcile/saga.ts';

export type SagaCase<C extends object> = {
  name: string;
  /** A new world each time: the saga over it, the first context, and what to compare it by. */
  setUp: () => Promise<{ saga: Saga<C>; context: C; snapshot: () => unknown }>;
};

class Crash extends Error {}

/** Dies at its n-th write: before it is durable, or just after. */
function dyingJournal(journal: Journal, at: number, when: 'before' | 'after'): Journal {
  let writes = 0;
  const write = (doIt: () => void): void => {
    const dies = ++writes === at;
    if (dies && when === 'before') throw new Crash();
    doIt();
    if (dies) throw new Crash();
  };
  return {
    ...journal,
    put: (key, value) => write(() => journal.put(key, value)),
    delete: (key) => write(() => journal.delete(key)),
  };
}

const failing = <C extends object>(saga: Saga<C>, index: number, when: 'before' | 'after'): Saga<C> => ({
  ...saga,
  steps: saga.steps.map((step, at) =>
    at !== index
      ? step
      : {
          ...step,
          action: async (context, signal) => {
            if (when === 'after') await step.action(context, signal);
            throw new Error(`failed ${when} ${step.name}`);
          },
        },
  ),
});

const repeated = <C extends object>(saga: Saga<C>): Saga<C> => ({
  ...saga,
  steps: saga.steps.map((step) => ({
    ...step,
    action: async (context, signal) => {
      await step.action(context, signal);
      await step.action(context, signal);
    },
    ...(step.undo === undefined
      ? {}
      : {
          undo: async (context: C) => {
            await step.undo?.(context);
            await step.undo?.(context);
          },
        }),
  })),
});

export function describeSaga<C extends object>({ name, setUp }: SagaCase<C>): void {
  describe(`saga: ${name}`, () => {
    const finished = async (): Promise<unknown> => {
      const { saga, context, snapshot } = await setUp();
      await createSagaRunner(memoryJournal()).run(saga, 'x', context);
      return snapshot();
    };

    it('is done, also when every step is done twice', async () => {
      const { saga, context, snapshot } = await setUp();
      await createSagaRunner(memoryJournal()).run(repeated(saga), 'x', context);
      expect(snapshot()).toEqual(await finished());
    });

    it('is as before when any step fails, at its beginning or its end', async () => {
      const { saga } = await setUp();
      for (const index of saga.steps.keys()) {
        for (const when of ['before', 'after'] as const) {
          const world = await setUp();
          const before = structuredClone(world.snapshot());
          const journal = memoryJournal();
          const broken = repeated(failing(world.saga, index, when));
          await expect(createSagaRunner(journal).run(broken, 'x', world.context)).rejects.toThrow(`failed ${when}`);
          expect(world.snapshot()).toEqual(before);
          expect(createSagaRunner(journal).pending()).toEqual([]);
        }
      }
    });

    it.each(['done', 'undone'] as const)('is %s after a crash at any write of the journal', async (outcome) => {
      for (const when of ['before', 'after'] as const) {
        for (let at = 1; ; at++) {
          const world = await setUp();
          const before = structuredClone(world.snapshot());
          const journal = memoryJournal();
          const last = world.saga.steps.length - 1;
          const saga = outcome === 'done' ? world.saga : failing(world.saga, last, 'after');
          const error: unknown = await createSagaRunner(dyingJournal(journal, at, when))
            .run(saga, 'x', world.context)
            .catch((thrown: unknown) => thrown);
          const crashed = error instanceof Crash;
          const begun = createSagaRunner(journal).pending().length > 0;
          // As a new process: nothing but the journal and the world is left.
          const results = await createSagaRunner(journal).resume([saga as unknown as Saga<never>]);
          expect(results.map((one) => one.outcome)).toEqual(begun ? [outcome] : []);
          const nothingBegan = crashed && at === 1 && when === 'before';
          expect(world.snapshot()).toEqual(outcome === 'done' && !nothingBegan ? await finished() : before);
          expect(createSagaRunner(journal).pending()).toEqual([]);
          if (!crashed) break;
        }
      }
    });
  });
}
