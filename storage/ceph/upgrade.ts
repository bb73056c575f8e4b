/**
 * New packages: a daemon whose program was replaced runs on from the old file, which the kernel names `(deleted)`. Each
 * call restarts at most one such daemon, in Ceph's order (mon, mgr, disks), and a disk's only while all copies are there,
 * so that VMs never notice more than one disk's restart. When all run the same release, the cluster is told that no
 * older one will come back (`require-osd-release`), which new features wait for.
 */
import { readlink } from 'node:fs/promises';
import { messageOf } from '../../appliance/errors.ts';
import type { Logger } from '../../appliance/host/logger.ts';
import type { CephBridge } from '../rbd/bridge/client.ts';
import type { CephDaemons } from './daemons.ts';
import { allClean } from './health.ts';
import { lookAt } from './pools.ts';

/** True when the file that the process runs was replaced; false when the process is gone. */
export const isOutdated = async (pid: number): Promise<boolean> =>
  (await readlink(`/proc/${pid}/exe`).catch(() => '')).endsWith(' (deleted)');

/** The one release of all daemons by `ceph versions`; undefined while several run. Pure. */
export function releaseOf({ overall }: { overall: Record<string, number> }): string | undefined {
  const names = new Set(Object.keys(overall).map((version) => /\) (\w+) \(/.exec(version)?.[1]));
  return names.size === 1 ? [...names][0] : undefined;
}

const order = (name: string): number => ['mon', 'mgr', 'osd'].indexOf(name.split('.')[0] ?? '');

/** Called again and again. Never throws: what could not be done now is tried in the next call. */
export function createUpgrader(logger: Logger): (parts: { bridge: CephBridge; daemons: CephDaemons }) => Promise<void> {
  let told = false;

  const tellRelease = async (bridge: CephBridge): Promise<void> => {
    const release = releaseOf(await bridge.command<{ overall: Record<string, number> }>({ prefix: 'versions', format: 'json' }));
    if (release === undefined) return;
    const { require_osd_release: present } = await bridge.command<{ require_osd_release: string }>({
      prefix: 'osd dump',
      format: 'json',
    });
    if (present !== release) await bridge.command({ prefix: 'osd require-osd-release', release });
    told = true;
  };

  return async ({ bridge, daemons }) => {
    try {
      const outdated: string[] = [];
      for (const [name, pid] of daemons.pids()) if (await isOutdated(pid)) outdated.push(name);
      const [next] = outdated.toSorted((a, b) => order(a) - order(b) || a.localeCompare(b));
      if (next === undefined) {
        if (!told) await tellRelease(bridge);
        return;
      }
      told = false;
      const { status, stale } = await lookAt(bridge);
      if (next.startsWith('osd.') && (stale || !allClean(status))) return;
      logger.info({ daemon: next }, 'a daemon is restarted, because its program was replaced');
      await daemons.restart(next);
    } catch (error) {
      logger.warn({ error: messageOf(error) }, 'daemons of older packages could not be replaced yet');
    }
  };
}
