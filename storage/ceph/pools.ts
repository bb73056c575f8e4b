/** What is asked of a running cluster: its state, its pools, and keys that guests may have. */
import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CroftError, messageOf } from '../../appliance/errors.ts';
import type { Logger } from '../../appliance/host/logger.ts';
import type { CephBridge } from '../rbd/bridge/client.ts';
import { give, writeOwned, type Owner } from './bootstrap.ts';
import { fullRatios, guestConf, keyringText, placementGroups } from './conf.ts';
import { isStale, type CephStatus, type GroupLine, type OsdLine } from './health.ts';
import type { ClusterRecord } from './record.ts';

/** CRUSH rules: every copy on another disk, on another box. */
const rules = { osd: 'croft-disks', host: 'croft-boxes' } as const;

const measureTimeout = 20_000;

/** The part of `ceph df --format json` that is read; bytes. */
export type DiskFree = { pools: { name: string; stats: { stored: number; max_avail: number } }[] };

/** A pool of `ceph osd pool ls detail --format json`. */
type PoolLine = {
  pool_name: string;
  size: number;
  min_size: number;
  crush_rule: number;
  application_metadata?: Record<string, unknown>;
};

/** `disks`: how many the cluster is to have; `boxes`: in how many boxes, undefined on a box alone. */
export type PoolWish = { name: string; replicas: number; disks: number; boxes?: number | undefined };

/** Makes the pool unless it is there. @throws CroftError `invalid-input` with too few disks */
export async function ensurePool(bridge: CephBridge, { name, replicas, disks, boxes }: PoolWish): Promise<void> {
  if (disks < replicas) {
    throw new CroftError(
      'invalid-input',
      `replicas: ${replicas} copies need ${replicas} disks or more; there ${disks === 1 ? 'is 1' : `are ${disks}`}.`,
    );
  }
  const find = async (): Promise<PoolLine | undefined> =>
    (await bridge.command<PoolLine[]>({ prefix: 'osd pool ls', detail: 'detail', format: 'json' })).find(
      (pool) => pool.pool_name === name,
    );
  let present = await find();
  const domain = boxes !== undefined && boxes >= replicas ? 'host' : 'osd';
  const rule = rules[domain];
  const fresh = !present;
  await bridge.command({ prefix: 'osd crush rule create-replicated', name: rule, root: 'default', type: domain });
  if (!present) {
    const groups = placementGroups(disks, replicas);
    const wish = {
      pool: name,
      pg_num: groups,
      pgp_num: groups,
      pool_type: 'replicated',
      rule,
      autoscale_mode: 'off',
      size: replicas,
    };
    await bridge.command({ prefix: 'osd pool create', ...wish });
    present = await find();
    // Copies on other boxes come when those have joined.
    if (boxes === undefined) await untilMeasured(bridge, name);
  }
  // On one box no second one can diverge: the last copy is enough to go on. Between boxes it is only after a fence
  // (fence.ts): a pool that is there keeps what it has.
  const alone = Math.max(1, replicas - 1);
  const apart = fresh ? Math.min(2, replicas) : (present?.min_size ?? replicas);
  const least = domain === 'osd' ? alone : apart;
  const set = (key: string, val: number) => bridge.command({ prefix: 'osd pool set', pool: name, var: key, val: String(val) });
  if (present?.size !== replicas) await set('size', replicas);
  if (present?.min_size !== least) await set('min_size', least);
  await moveTo(bridge, name, present?.crush_rule, rule, boxes);
  if (!present?.application_metadata?.rbd)
    await bridge.command({ prefix: 'osd pool application enable', pool: name, app: 'rbd' });
}

/** When the boxes have become enough, every copy goes to another box: Ceph moves the data by itself. */
async function moveTo(
  bridge: CephBridge,
  pool: string,
  present: number | undefined,
  rule: string,
  boxes: number | undefined,
): Promise<void> {
  if (boxes === undefined) return;
  const { rule_id: wished } = await bridge.command<{ rule_id: number }>({
    prefix: 'osd crush rule dump',
    name: rule,
    format: 'json',
  });
  if (wished !== present) await bridge.command({ prefix: 'osd pool set', pool, var: 'crush_rule', val: rule });
}

/** Figures of a new pool come with the mgr's next turn; until then it would look full. */
async function untilMeasured(bridge: CephBridge, name: string): Promise<void> {
  for (const deadline = Date.now() + measureTimeout; Date.now() < deadline; await delay(200)) {
    const { pools } = await bridge.command<DiskFree>({ prefix: 'df', format: 'json' });
    if (pools.some((pool) => pool.name === name && pool.stats.max_avail > 0)) return;
  }
}

const statusOf = (bridge: CephBridge): Promise<CephStatus> => bridge.command<CephStatus>({ prefix: 'status', format: 'json' });

export const osdsOf = async (bridge: CephBridge): Promise<OsdLine[]> =>
  (await bridge.command<{ osds: OsdLine[] }>({ prefix: 'osd dump', format: 'json' })).osds;

/** Settles how full disks may be, by the smallest; again when disks have come or gone. In the background, for a mgr that starts lets one wait. */
export function createKeepFree(logger: Logger): (bridge: CephBridge) => void {
  let settledFor = '';
  let running: Promise<void> | undefined;
  const settle = async (bridge: CephBridge): Promise<void> => {
    try {
      const disks = (await osdsOf(bridge)).map(({ uuid }) => uuid).join();
      if (disks !== settledFor && (await keepFree(bridge))) settledFor = disks;
    } catch (error) {
      // Ceph is still starting: the next look does it.
      logger.debug({ error: messageOf(error) }, 'how full disks may be was not settled yet');
    }
  };
  return (bridge) => {
    running ??= settle(bridge).finally(() => {
      running = undefined;
    });
  };
}

/** True when all disks were measured. */
async function keepFree(bridge: CephBridge): Promise<boolean> {
  const { nodes } = await bridge.mgrCommand<{ nodes: { kb: number }[] }>({ prefix: 'osd df', format: 'json' });
  const sizes = nodes.map(({ kb }) => kb * 1024).filter((size) => size > 0);
  if (sizes.length === 0) return false;
  const wished = fullRatios(Math.min(...sizes));
  const present = await bridge.command<Record<string, number>>({ prefix: 'osd dump', format: 'json' });
  for (const what of ['nearfull', 'backfillfull', 'full'] as const) {
    if (Math.abs((present[`${what}_ratio`] ?? 0) - wished[what]) < 0.001) continue;
    await bridge.command({ prefix: `osd set-${what}-ratio`, ratio: wished[what] });
  }
  return sizes.length === nodes.length;
}

/** What the cluster says of itself, and whether that is up to date. */
export async function lookAt(bridge: CephBridge): Promise<{ status: CephStatus; osds: OsdLine[]; stale: boolean }> {
  // Groups first: what they say must not be older than the map they are compared with.
  const [{ pg_stats: groups }, status] = await Promise.all([
    bridge.mgrCommand<{ pg_stats: GroupLine[] }>({ prefix: 'pg dump', dumpcontents: ['pgs'], format: 'json' }),
    statusOf(bridge),
  ]);
  const osds = await osdsOf(bridge);
  return { status, osds, stale: isStale(groups, osds) };
}

/** Device health would make a pool of its own; asked first, since every write of the mon's costs a round of its disk. */
export async function quietMgr(bridge: CephBridge): Promise<void> {
  const name = 'mgr/devicehealth/enable_monitoring';
  const settings = await bridge.command<{ name: string; value: string }[]>({ prefix: 'config dump', format: 'json' });
  if (settings.some((one) => one.name === name && one.value === 'false')) return;
  await bridge.command({ prefix: 'config set', who: 'mgr', name, value: 'false', force: true });
}

/** Where QEMU finds the monitors and its key, and as whom it signs in. */
export type GuestAccess = { conf: string; user: string };

type GrantContext = { bridge: CephBridge; guests: string; record: ClusterRecord };

/**
 * Writes configuration and key into a directory that only `owner` reads. The key may use this pool and nothing else.
 */
export async function grantGuest(
  { bridge, guests, record }: GrantContext,
  pool: string,
  owner: Owner | undefined,
): Promise<GuestAccess> {
  const user = `croft-${pool}`;
  const [entry] = await bridge.command<{ key: string }[]>({
    prefix: 'auth get-or-create',
    entity: `client.${user}`,
    caps: ['mon', 'profile rbd', 'osd', `profile rbd pool=${pool}`],
    format: 'json',
  });
  const directory = join(guests, `${owner?.uid ?? process.getuid?.() ?? 0}-${pool}`);
  await mkdir(directory, { recursive: true });
  await chmod(directory, 0o700);
  await give(directory, owner);
  const keyring = join(directory, 'keyring');
  const conf = join(directory, 'ceph.conf');
  await writeOwned(keyring, keyringText({ entity: `client.${user}`, key: entry?.key ?? '' }), owner);
  await writeOwned(conf, guestConf(record, keyring), owner);
  return { conf, user };
}
