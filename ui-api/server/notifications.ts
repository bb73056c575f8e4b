/**
 * What `/v1/events` streams: the box's events, tasks, that a resource changed, and that the metrics history grew.
 *
 * Theory of operation: one watch per kind for all listeners; each notification gets the next number of this
 * process (`<boot>-<seq>`) and stays in a bounded buffer. A client resumes by its last id; where that is not in
 * the buffer any more, or is of another boot, it gets `reset` and reads everything again. So a gap is always told.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { isCroftError } from '../../appliance/errors.ts';
import type { Logger } from '../../appliance/host/logger.ts';
import type { BoxPort, EventView, TaskView } from '../../appliance/ports.ts';
import { image, network, node, storagePool, user } from '../../appliance/resources/croft-kinds.ts';
import { dataVolume, persistentVolumeClaim } from '../../appliance/resources/data-volume.ts';
import { idLabel } from '../../appliance/resources/identity.ts';
import type { Kind } from '../../appliance/resources/kind.ts';
import { uplink } from '../../appliance/resources/uplink.ts';
import { virtualMachineSnapshot } from '../../appliance/resources/snapshot.ts';
import { virtualMachine, virtualMachineInstance } from '../../appliance/resources/virtual-machine.ts';
import type { ResourceStore } from '../../appliance/store/store.ts';
import { projectTaskShortly } from './projections/task.ts';

export type Notification = { id: string; event: string; data: Record<string, unknown> };
export type Listener = (notification: Notification) => void;

export interface Notifications {
  /** Starts watching; called once the API is ready. */
  start(): void;
  stop(): Promise<void>;
  /** Listens from now on, after what was missed since `lastId`. Returns the way to stop. */
  subscribe(listener: Listener, lastId?: string): () => void;
}

/** The `/v1` name under which each kind's changes are told; an instance's change is its VM's. */
const watched: readonly { kind: Kind; event: string }[] = [
  { kind: virtualMachine, event: 'vm' },
  { kind: virtualMachineInstance, event: 'vm' },
  { kind: virtualMachineSnapshot, event: 'snapshot' },
  { kind: image, event: 'image' },
  { kind: network, event: 'network' },
  { kind: uplink, event: 'uplink' },
  { kind: dataVolume, event: 'volume' },
  { kind: persistentVolumeClaim, event: 'volume' },
  { kind: storagePool, event: 'pool' },
  { kind: user, event: 'user' },
  { kind: node, event: 'node' },
];

const changeTypes = { ADDED: 'added', MODIFIED: 'modified', DELETED: 'deleted' } as const;

const kept = 4096;
const retryDelay = 500;

export function createNotifications(sources: {
  store: ResourceStore;
  events: EventView;
  tasks: TaskView;
  port: Pick<BoxPort, 'onSample'>;
  logger: Logger;
}): Notifications {
  const { store, events, tasks, port, logger } = sources;
  const boot = randomBytes(4).toString('hex');
  const listeners = new Set<Listener>();
  const buffer: Notification[] = [];
  const ending = new AbortController();
  const running: Promise<void>[] = [];
  const stops: (() => void)[] = [];
  let sequence = 0;

  function publish(event: string, data: Record<string, unknown>): void {
    sequence++;
    const notification = { id: `${boot}-${sequence}`, event, data };
    buffer.push(notification);
    if (buffer.length > kept) buffer.shift();
    for (const listener of listeners) listener(notification);
  }

  async function follow(kind: Kind, event: string): Promise<void> {
    const { signal } = ending;
    let first = true;
    while (!signal.aborted) {
      try {
        const { resourceVersion } = await store.list(kind);
        // Changes between the broken watch and this list were not seen.
        if (!first) publish('reset', { kind: event });
        first = false;
        for await (const { type, object } of store.watch(kind, { resourceVersion, signal })) {
          if (type === 'BOOKMARK') continue;
          const { name, namespace, labels } = object.metadata;
          const gone = type === 'DELETED' && kind.kind === virtualMachineInstance.kind;
          publish(event, {
            kind: event,
            name,
            project: namespace,
            id: labels?.[idLabel],
            type: gone ? 'modified' : changeTypes[type],
          });
        }
      } catch (error) {
        if (signal.aborted) return;
        if (!isCroftError(error, 'expired')) logger.warn({ err: error, kind: kind.kind }, 'watch ended, starting it again');
      }
      // An ended watch is normal (a restarting API server); a short pause keeps a broken one from spinning.
      await wait(retryDelay, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  return {
    start() {
      stops.push(
        events.subscribe((record) => publish('event', { kind: 'event', ...record })),
        tasks.subscribe((task) => publish('task', projectTaskShortly(task))),
        port.onSample((at) => publish('history', { kind: 'history', at: new Date(at).toISOString() })),
      );
      running.push(...watched.map(({ kind, event }) => follow(kind, event)));
    },
    async stop() {
      ending.abort();
      for (const stop of stops) stop();
      listeners.clear();
      await Promise.all(running);
    },
    subscribe(listener, lastId) {
      if (lastId !== undefined) {
        const missed = since(lastId);
        if (missed) for (const notification of missed) listener(notification);
        else listener({ id: `${boot}-${sequence}`, event: 'reset', data: {} });
      }
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };

  /** What came after `lastId`; undefined when that can't be known. */
  function since(lastId: string): Notification[] | undefined {
    const [ofBoot, digits] = lastId.split('-');
    const last = Number(digits);
    if (ofBoot !== boot || !Number.isSafeInteger(last) || last > sequence) return undefined;
    const oldest = sequence - buffer.length;
    return last < oldest ? undefined : buffer.slice(last - oldest);
  }
}
