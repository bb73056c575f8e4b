/** Takes a sample of the box and of every running guest at each period, and puts it into the history. */
import { messageOf } from '../errors.ts';
import type { Logger } from '../host/logger.ts';
import type { BoxPort } from '../ports.ts';
import type { MetricsHistory } from './history.ts';
import { type HostCounters, readHost } from './host.ts';
import { pointOf, type Reading, readingOfHost, readingOfVm } from './rates.ts';
import { nodeSubject, type Point, samplePeriod } from './series.ts';

export type Sampler = {
  /** One sample now; what the timer does at each period. */
  sample(): Promise<void>;
  stop(): Promise<void>;
};

export type SamplerOptions = {
  history: Pick<MetricsHistory, 'record'>;
  port: Pick<BoxPort, 'stats'>;
  logger: Logger;
  host?: () => Promise<HostCounters>;
  now?: () => number;
  /** ms. */
  period?: number;
};

export function startSampler(options: SamplerOptions): Sampler {
  const { history, port, logger, host = readHost, now = Date.now, period = samplePeriod } = options;
  let last = new Map<string, Reading>();
  let running: Promise<void> | undefined;

  async function take(): Promise<void> {
    const [box, guests] = await Promise.all([host(), port.stats()]);
    const at = now();
    const readings = new Map<string, Reading>([[nodeSubject, readingOfHost(at, box)]]);
    for (const { id, stats } of guests) readings.set(id, readingOfVm(at, stats));
    const points = new Map<string, Point>();
    for (const [subject, reading] of readings) {
      const before = last.get(subject);
      // After a pause of the service or of the machine an average over all of it would be shown as one moment's.
      if (before && at - before.at < 3 * period) points.set(subject, pointOf(before, reading));
    }
    last = readings;
    if (points.size > 0) history.record(at, points);
  }

  const sample = async (): Promise<void> => {
    // A slow guest makes its sample late; two at once would only add to its trouble.
    running ??= take()
      .catch((error: unknown) => logger.warn({ error: messageOf(error) }, 'no metrics were sampled'))
      .finally(() => {
        running = undefined;
      });
    await running;
  };
  const timer = setInterval(() => void sample(), period);
  timer.unref();
  // A rate needs two readings: the second comes early, so that a new box has something to show.
  const soon = setTimeout(() => void sample(), period / 3);
  soon.unref();
  void sample();
  return {
    sample,
    stop: async () => {
      clearInterval(timer);
      clearTimeout(soon);
      await running;
    },
  };
}
