import { describe, expect, it } from 'vitest';
import { createSagaRunner, memoryJournal, type Saga } from '../../../appliance/reconcile/saga.ts';
import { describeSaga } from '../../contract/saga.ts';

type Context = { name: string; address?: number };

/** A clone in miniature: take an address, make a file, enter it in a list. */
function world() {
  const state = { addresses: new Map<string, number>(), files: new Set(['old']), listed: ['old'] };
  const saga: Saga<Context> = {
    name: 'clone',
    steps: [
      {
        name: 'address',
        action: async (context) => {
          const address = state.addresses.get(context.name) ?? state.addresses.size + 1;
          state.addresses.set(context.name, address);
          context.address = address;
        },
        undo: async ({ name }) => void state.addresses.delete(name),
      },
      {
        name: 'file',
        action: async ({ name, address }) => {
          if (address === undefined) throw new Error('the context was lost');
          state.files.add(name);
        },
        undo: async ({ name }) => void state.files.delete(name),
      },
      { name: 'check', action: async () => undefined },
      {
        name: 'list',
        action: async ({ name }) => {
          if (!state.listed.includes(name)) state.listed.push(name);
        },
        undo: async ({ name }) => {
          state.listed = state.listed.filter((one) => one !== name);
        },
      },
    ],
  };
  return { state, saga, context: { name: 'new' } as Context, snapshot: () => structuredClone(state) };
}

describeSaga({ name: 'a clone in miniature', setUp: async () => world() });

describe('saga runner', () => {
  it('gives the context that the steps made, and leaves the caller’s alone', async () => {
    const { saga, context } = world();
    expect(await createSagaRunner(memoryJournal()).run(saga, '1', context)).toEqual({ name: 'new', address: 1 });
    expect(context).toEqual({ name: 'new' });
  });

  it('undoes what a person cancels', async () => {
    const { saga, context, snapshot } = world();
    const before = snapshot();
    const controller = new AbortController();
    const cancelling: Saga<Context> = {
      ...saga,
      steps: saga.steps.map((step) =>
        step.name === 'check' ? { ...step, action: async () => controller.abort(new Error('cancelled')) } : step,
      ),
    };
    await expect(createSagaRunner(memoryJournal()).run(cancelling, '1', context, controller.signal)).rejects.toThrow('cancelled');
    expect(snapshot()).toEqual(before);
  });

  it('keeps what cannot be undone, says where it stands, and undoes it when that works again', async () => {
    const { saga, context, snapshot } = world();
    const before = snapshot();
    const journal = memoryJournal();
    let stuck = true;
    const broken: Saga<Context> = {
      ...saga,
      steps: [
        ...saga.steps.map((step) => ({
          ...step,
          undo: async (one: Context) => {
            if (step.name === 'file' && stuck) throw new Error('device busy');
            await step.undo?.(one);
          },
        })),
        { name: 'fail', action: async () => Promise.reject(new Error('no')) },
      ],
    };
    const runner = createSagaRunner(journal);
    await expect(runner.run(broken, '1', context)).rejects.toThrow('step file could not be undone: device busy');
    expect(runner.pending()).toMatchObject([{ direction: 'back', step: 'file', error: { detail: 'no' } }]);
    expect(await runner.resume([broken as unknown as Saga<never>])).toMatchObject([{ outcome: 'stuck' }]);
    stuck = false;
    expect(await runner.resume([broken as unknown as Saga<never>])).toMatchObject([{ outcome: 'undone', id: '1' }]);
    expect(snapshot()).toEqual(before);
  });

  it('does not go on with a record whose step is no longer there', async () => {
    const { saga, context } = world();
    const journal = memoryJournal();
    journal.put(
      'saga/clone/1',
      JSON.stringify({ saga: 'clone', id: '1', context, direction: 'forward', cursor: 1, step: 'renamed' }),
    );
    const [result] = await createSagaRunner(journal).resume([saga as unknown as Saga<never>]);
    expect(result).toMatchObject({ outcome: 'stuck' });
    expect(String(result?.error)).toContain('renamed');
  });
});
