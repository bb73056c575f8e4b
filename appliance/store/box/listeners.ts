/** Who wants to hear of something. One listener's defect does not cost the others their call. */
import type { Logger } from '../../host/logger.ts';

export type Listeners<T> = { add(listener: (value: T) => void): () => void; call(value: T): void };

export function createListeners<T>(logger: Logger | undefined): Listeners<T> {
  const listeners = new Set<(value: T) => void>();
  return {
    add(listener) {
      // Wrapped, so that the same function added twice is two listeners.
      const mine = (value: T): void => listener(value);
      listeners.add(mine);
      return () => void listeners.delete(mine);
    },
    call(value) {
      for (const listener of listeners) {
        try {
          listener(value);
        } catch (error) {
          logger?.error({ err: error }, 'a listener threw');
        }
      }
    },
  };
}
