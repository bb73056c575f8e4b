/** What we ask of Ceph, typed; one long-lived helper (ceph_bridge.py) does it. Every call has a deadline. */
import { fileURLToPath } from 'node:url';
import { CroftError } from '../../../appliance/errors.ts';
import type { Logger } from '../../../appliance/host/logger.ts';
import { JsonWorker, WorkerError, type CallOptions } from '../../../appliance/host/worker.ts';

export type ImageInfo = {
  /** Bytes. */
  size: number;
  /** Present when asked for: bytes of the image itself, without what it shares with its parent. */
  used?: number;
  snapshots: string[];
  /** Addresses of the clients that have it open for writing. */
  openBy: string[];
};

/** A pool, and a namespace within it (tests keep apart by it). */
export type Place = { pool: string; namespace?: string };

export type CephCommand = { prefix: string } & Record<string, unknown>;

export type CephBridge = ReturnType<typeof createBridge>;

const longTimeout = 120_000;
const script = fileURLToPath(new URL('ceph_bridge.py', import.meta.url));

export const isCephError = (error: unknown, errno?: string): error is WorkerError =>
  error instanceof WorkerError && (errno === undefined || error.errno === errno);

/** `conf` as written by storage/ceph; connects at the first call. */
export function createBridge(conf: string, owner: { uid: number; gid: number } | undefined, logger: Logger) {
  // Debian's bindings are made for Debian's interpreter, whatever else is first in PATH.
  const worker = new JsonWorker({ name: 'Ceph', argv: ['/usr/bin/python3', '-u', script, conf], ...owner }, logger);
  const call = async <T>(op: string, args: Record<string, unknown>, options?: CallOptions): Promise<T> => {
    try {
      return (await worker.call(op, args, options)) as T;
    } catch (error) {
      if (isCephError(error, 'ETIMEDOUT')) {
        throw new CroftError('command-timeout', `Ceph did not answer ${op} in time.`, { cause: error });
      }
      throw error;
    }
  };
  /** Absence is what was wanted. */
  const unlessGone = async (work: Promise<unknown>): Promise<void> => {
    await work.catch((error: unknown) => {
      if (!isCephError(error, 'ENOENT')) throw error;
    });
  };

  return {
    get pid() {
      return worker.pid;
    },
    /** A command to the monitors. @throws WorkerError */
    command: <T = string>(command: CephCommand, options: CallOptions & { input?: string } = {}): Promise<T> =>
      call<T>('command', { command, ...(options.input === undefined ? {} : { input: options.input }) }, options),
    /** A command that the mgr answers. @throws WorkerError */
    mgrCommand: <T = string>(command: CephCommand, options: CallOptions = {}): Promise<T> =>
      call<T>('command', { command, target: 'mgr' }, options),

    createImage: (place: Place, name: string, size: number) => call('image-create', { ...place, name, size }),
    clone: (place: Place, from: { name: string; snapshot: string }, name: string, size?: number) =>
      call('image-clone', { ...place, parent: from.name, snapshot: from.snapshot, name, size }),
    resize: (place: Place, name: string, size: number) => call('image-resize', { ...place, name, size }),
    /** False when clones still lie on it; its snapshots are gone for all others. @throws WorkerError EBUSY while open */
    removeImage: (place: Place, name: string) => call<boolean>('image-remove', { ...place, name }, { timeout: longTimeout }),
    listImages: (place: Place) => call<string[]>('image-list', { ...place }),
    /** Without those that do not exist. */
    info: (place: Place, names: string[], what: { used?: boolean } = {}) =>
      call<Record<string, ImageInfo>>('image-info', { ...place, names, ...what }),
    /** How many images each lies on, one below the other; without those that do not exist. */
    depths: (place: Place, names: string[]) => call<Record<string, number>>('image-depths', { ...place, names }),
    flatten: (place: Place, name: string, options: CallOptions) =>
      call('image-flatten', { ...place, name }, { timeout: longTimeout, ...options }),
    snapshot: (place: Place, name: string, snapshot: string) => call('snapshot-create', { ...place, name, snapshot }),
    removeSnapshot: (place: Place, name: string, snapshot: string) =>
      unlessGone(call('snapshot-remove', { ...place, name, snapshot })),
    snapshots: (place: Place, name: string) => call<{ name: string; size: number }[]>('snapshot-info', { ...place, name }),
    /** Makes what removing images in a full pool needs. Idempotent. @throws WorkerError ENOSPC when it is full already */
    prepare: (place: Place) => call('pool-prepare', { ...place }),
    createNamespace: (pool: string, name: string) => call('namespace-create', { pool, name }),

    /** All records kept in the RADOS object `object`. */
    records: (place: Place, object: string) => call<Record<string, string>>('record-list', { ...place, object }),
    /** One key, atomically and on all copies when it returns. */
    setRecord: (place: Place, object: string, key: string, value: string) => call('record-set', { ...place, object, key, value }),
    removeRecord: (place: Place, object: string, key: string) => unlessGone(call('record-remove', { ...place, object, key })),

    /**
     * A read of every placement group of the pools, by a client that has the monitors' newest map.
     * @returns how many groups there are and how many answered
     */
    touchGroups: (pools: { name: string; groups: number }[]) =>
      call<{ groups: number; answered: number }>('touch-groups', { pools }, { timeout: longTimeout }),

    close: () => worker.close(),
  };
}
