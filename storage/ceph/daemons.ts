/** The cluster's daemons on this box: each runs on when the service stops, and is adopted when it returns. */
import { connect } from 'node:net';
import { readdir } from 'node:fs/promises';
import { Daemon, type DaemonSpec } from '../../appliance/host/daemon.ts';
import type { Logger } from '../../appliance/host/logger.ts';
import type { Owner } from './bootstrap.ts';
import type { CephPaths } from './conf.ts';

export type CephDaemons = ReturnType<typeof createDaemons>;

const monReadyTimeout = 30_000;

export function createDaemons(paths: CephPaths, owner: Owner | undefined, logger: Logger) {
  const running = new Map<string, Daemon>();

  const spec = (program: string, name: string, id: string): DaemonSpec => ({
    name,
    argv: [program, '-f', '-i', id, '-c', paths.conf],
    directory: paths.daemons,
    // Debian builds Ceph with tcmalloc, whose per-thread caches would else take 128 MiB in each daemon.
    env: { TCMALLOC_MAX_TOTAL_THREAD_CACHE_BYTES: String(32 * 2 ** 20) },
    ...owner,
  });

  /** True when it was not running before. */
  const start = async (wanted: DaemonSpec, ready?: () => Promise<boolean>): Promise<boolean> => {
    if (running.has(wanted.name)) return false;
    let started = false;
    const daemon = new Daemon(wanted, {
      logger,
      readyTimeout: monReadyTimeout,
      onUp: (how) => {
        started = how === 'started';
      },
      ...(ready ? { ready } : {}),
    });
    await daemon.start();
    running.set(wanted.name, daemon);
    return started;
  };

  const stop = async (name: string): Promise<void> => {
    // Also one that an earlier service started and that we have not adopted.
    const daemon = running.get(name) ?? new Daemon(spec('true', name, name), { logger });
    await daemon.stop();
    running.delete(name);
  };

  return {
    startMon: (box: string, address: string, port: number) =>
      start(spec('ceph-mon', `mon.${box}`, box), () => answers(address, port)),
    startMgr: (box: string) => start(spec('ceph-mgr', `mgr.${box}`, box)),
    startOsd: (number: number) => start(spec('ceph-osd', `osd.${number}`, String(number))),
    stopOsd: (number: number) => stop(`osd.${number}`),
    pidOf: (name: string) => running.get(name)?.pid,
    /** Lets them run on without us. */
    release(): void {
      for (const daemon of running.values()) daemon.release();
      running.clear();
    },
    /** Ends all daemons of this cluster, adopted or not: disks first, so that they can say good-bye to the mon. */
    async stopAll(): Promise<void> {
      const names = (await readdir(paths.daemons).catch(() => [])).flatMap((file) => /^(.+)\.json$/.exec(file)?.[1] ?? []);
      const order = (name: string): number => ['osd', 'mgr', 'mon'].indexOf(name.split('.')[0] ?? '');
      for (const name of names.toSorted((a, b) => order(a) - order(b))) await stop(name);
    },
  };
}

const answers = (host: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host, port });
    const settle = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => settle(true));
    socket.once('error', () => settle(false));
    socket.setTimeout(1_000, () => settle(false));
  });
