import type { Logger } from '../host/logger.ts';

/** Undo steps, run last first; one that fails is logged and doesn't stop the others. */
export function createStack(logger: Logger) {
  const undo: { name: string; run: () => Promise<unknown> }[] = [];
  return {
    push: (name: string, run: () => Promise<unknown>) => void undo.push({ name, run }),
    unwind: async () => {
      for (const step of undo.splice(0).toReversed()) {
        await step.run().catch((error: unknown) => logger.error({ err: error, part: step.name }, 'did not stop cleanly'));
      }
    },
  };
}

export type Stack = ReturnType<typeof createStack>;

/** Runs `start`; when it fails, what it has pushed is undone. @throws what `start` throws */
export async function orUndo<T>(logger: Logger, start: (stack: Stack) => Promise<T>): Promise<T> {
  const stack = createStack(logger);
  try {
    return await start(stack);
  } catch (error) {
    await stack.unwind();
    throw error;
  }
}
