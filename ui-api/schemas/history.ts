/** Metrics history as `/v1` shows it: series of values at a fixed step. */
import { type Static, Type } from 'typebox';
import { Time } from './common.ts';

export const ranges = ['hour', 'day', 'week', 'month'] as const;

export const HistoryQuery = {
  range: Type.Optional(Type.Enum(ranges, { description: 'how far back: hour (default), day, week or month' })),
};

const series = (description: string) =>
  Type.Array(Type.Union([Type.Number(), Type.Null()]), { description: `${description}; null: not known` });

export const History = Type.Object({
  kind: Type.Literal('history'),
  range: Type.Enum(ranges),
  start: Time,
  step: Type.Integer({ description: 'seconds between two values' }),
  cpu: series('CPUs in use'),
  memory: series('bytes in use'),
  diskRead: series('bytes per second'),
  diskWrite: series('bytes per second'),
  reads: series('reads per second'),
  writes: series('writes per second'),
  diskLatency: series('seconds that a read or write took, on average'),
  netReceived: series('bytes per second'),
  netTransmitted: series('bytes per second'),
});
export type History = Static<typeof History>;

/** The last hour of every VM in few values, for the lines in a list. */
export const Sparklines = Type.Object({
  kind: Type.Literal('sparklines'),
  start: Time,
  step: Type.Integer({ description: 'seconds between two values' }),
  vms: Type.Record(
    Type.String(),
    Type.Object({
      cpu: series('CPUs in use'),
      memory: series('bytes in use'),
      disk: series('bytes read and written per second'),
      network: series('bytes received and transmitted per second'),
    }),
    { description: 'by the VM’s id' },
  ),
});
export type Sparklines = Static<typeof Sparklines>;
