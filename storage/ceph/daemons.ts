/** The cluster's daemons on this box: each runs on when the service stops, and is adopted when it returns. */
import { connect } from 'node:net';
import { readdir } from 'node:fs/promises';
import { CroftError } from '../../appliance/errors.ts';
import { Daemon, type DaemonSpec } from '../../appliance/host/daemon.ts';
import type { Logger } from '../../appliance/host/logger.ts';
import type { Owner } from './bootstrap.ts';
import type { CephPaths } from './conf.ts';

export type CephDaemons = ReturnType<typeof createDaemons>;

const monReadyTimeout = 30_000;

/**
 * An OSD that ended so many times in a row, each time soon after its start (ms), is left alone for a while: its disk is
 * broken, and every start stalls VMs anew.
 */
const deathsToRest = 5;
const soon = 30_000;
const restFor = 600_000;

export function createDaemons(paths: CephPaths, owner: Owner | undefined, logger: Logger) {
  const running = new Map<string, Daemon>();
  const wishes = new Map<string, { wanted: DaemonSpec; ready: (() => Promise<boolean>) | undefined }>();
  const upSince = new Map<string, number>();
  const deaths = new Map<string, number>();
  const restUntil = new Map<string, number>();

  const noteDeath = (name: string): void => {
    const now = Date.now();
    const inARow = now - (upSince.get(name) ?? 0) < soon ? (deaths.get(name) ?? 0) + 1 : 1;
    deaths.set(name, inARow);
    if (inARow < deathsToRest) return;
    logger.error({ daemon: name, times: inARow }, 'the daemon of a disk ends again and again and is left alone for a while');
    deaths.delete(name);
    restUntil.set(name, now + restFor);
    running.get(name)?.release();
    running.delete(name);
  };

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
        upSince.set(wanted.name, Date.now());
      },
      ...(ready ? { ready } : {}),
      ...(wanted.name.startsWith('osd.') ? { onDown: () => noteDeath(wanted.name) } : {}),
    });
    await daemon.start();
    running.set(wanted.name, daemon);
    wishes.set(wanted.name, { wanted, ready });
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
    /** @throws CroftError `unavailable` while it is left alone because it ended again and again */
    async startOsd(number: number): Promise<boolean> {
      const name = `osd.${number}`;
      const until = restUntil.get(name) ?? 0;
      if (until > Date.now()) {
        const at = new Date(until).toISOString().slice(11, 16);
        throw new CroftError(
          'unavailable',
          `Its daemon ended ${deathsToRest} times in a row, as on a broken disk. It is tried again at ${at} UTC; to replace the disk: croft disk replace ${name} PATH.`,
        );
      }
      return start(spec('ceph-osd', name, String(number)));
    },
    stopOsd: (number: number) => stop(`osd.${number}`),
    /** Ends it and starts it from the program that is installed now. @throws CroftError as starting it */
    async restart(name: string): Promise<void> {
      const wish = wishes.get(name);
      if (!wish) return;
      await stop(name);
      await start(wish.wanted, wish.ready);
    },
    pidOf: (name: string) => running.get(name)?.pid,
    /** Those that run now, by name. */
    pids: (): Map<string, number> =>
      new Map([...running].flatMap(([name, { pid }]) => (pid === undefined ? [] : [[name, pid] as const]))),
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
