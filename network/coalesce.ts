/**
 * Runs `work` so that it never overlaps itself: calls during a run share one run after it, which then sees all
 * that was wished before it began. Each caller gets the outcome of a run that began after its call.
 */
export function coalesce<T>(work: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined;
  let queued: Promise<T> | undefined;
  const begin = (): Promise<T> => {
    const run = work().finally(() => {
      if (running === run) running = undefined;
    });
    running = run;
    return run;
  };
  return () => {
    if (queued) return queued;
    if (!running) return begin();
    queued = running
      .catch(() => undefined) // Its own callers have that failure.
      .then(() => {
        queued = undefined;
        return begin();
      });
    return queued;
  };
}
