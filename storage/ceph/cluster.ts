/**
 * Ceph run by us: a mon, a mgr and one OSD per disk, made and looked after on this box.
 *
 * Theory of operation. A StoragePool's `spec.disks` says which disks there are to be; each has an id that is also the
 * uuid of its OSD. `cluster.json` says what this box has made of it. `ensure` founds the cluster (bootstrap.ts), starts
 * or adopts its daemons (daemons.ts), and makes what is wished and not there (osd.ts); what is there and not wished is
 * taken out in the background: a working disk is emptied first, a dead one is forgotten once everything it held is
 * known to be served without it. Replacing a disk is therefore one edit of the wish. All talk goes through one helper
 * process (rbd/bridge). Daemons outlive the service; guests do not notice its restart.
 */
import { rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CroftError, isCroftError, messageOf } from '../../appliance/errors.ts';
import type { Logger } from '../../appliance/host/logger.ts';
import type { DiskState, DiskWish, PoolHealth } from '../driver.ts';
import { createLocks } from '../locks.ts';
import { createBridge, type CephBridge } from '../rbd/bridge/client.ts';
import { createAttendant, type Attendant } from './attend.ts';
import { cephOwner, found, writeDaemonConf, type Owner } from './bootstrap.ts';
import { cephPaths, type CephPaths } from './conf.ts';
import { createDaemons, type CephDaemons } from './daemons.ts';
import { inspectDisk } from './disks.ts';
import { allServed, describeHealth, type OsdLine } from './health.ts';
import { createKeepFree, ensurePool, grantGuest, lookAt, osdsOf, quietMgr, type GuestAccess } from './pools.ts';
import { giveDisk, makeOsd, purge, type OsdContext } from './osd.ts';
import { foundOrJoin, hasMgr, type CephPeers } from './peers.ts';
import { createUpgrader } from './upgrade.ts';
import { readClusterRecord, writeClusterRecord, type ClusterRecord, type OsdRecord } from './record.ts';

export type CephOptions = {
  /** `$CROFT_DATA/ceph`. */
  root: string;
  /** Where records and logs of the daemons are kept, e.g. `$CROFT_RUN/ceph`; default within `root`. */
  run?: string;
  logger: Logger;
  /** Default: the host name; settled when the cluster is founded. */
  box?: string;
  /** Default 127.0.0.1. */
  address?: string;
  /** The mon's port; default: the first free one from 3300. */
  port?: number;
  /** The other boxes, where there are to be any: `box` and `address` are then theirs to know. */
  peers?: CephPeers | undefined;
};

type Parts = { owner: Owner | undefined; bridge: CephBridge; daemons: CephDaemons };

const upTimeout = 30_000;
const checkInterval = 2_000;
/** A disk must have been down this long (ms) before it is forgotten: the cluster's figures are then its own. */
const downFor = 15_000;

export class CephCluster {
  readonly paths: CephPaths;
  readonly #options: CephOptions;
  readonly #logger: Logger;
  readonly #locks = createLocks();
  #parts: Promise<Parts> | undefined;
  #record: ClusterRecord | undefined;
  #wished: DiskWish[] = [];
  /** Those of all boxes. */
  #everywhere: readonly DiskWish[] = [];
  readonly #attendant: Attendant;
  readonly #keepFree: (bridge: CephBridge) => void;
  readonly #upgrade: (parts: Parts) => Promise<void>;
  readonly #refused = new Map<string, DiskState>();
  #downSince = new Map<string, number>();
  #retiring: Promise<void> | undefined;
  #closed = new AbortController();

  constructor(options: CephOptions) {
    this.paths = cephPaths(options.root, options.run);
    this.#options = options;
    this.#logger = options.logger;
    this.#attendant = createAttendant(options.logger);
    this.#keepFree = createKeepFree(options.logger);
    this.#upgrade = createUpgrader(options.logger);
  }

  /** The helper that speaks to Ceph. @throws CroftError `missing-component` */
  async bridge(): Promise<CephBridge> {
    return (await this.#tools()).bridge;
  }

  /**
   * Brings the cluster up for a pool: with the disks it has where they are enough, else with those wished for. So a
   * wish that cannot be met does not keep VMs from their data.
   * @throws as `ensure`
   */
  async open(disks: readonly DiskWish[], replicas: number): Promise<void> {
    if (this.#options.peers) return this.ensure(disks);
    const ready = (await readClusterRecord(this.paths.record))?.osds.filter(({ state }) => state === 'ready') ?? [];
    await this.ensure(this.#wished.length === 0 && ready.length >= replicas ? [] : disks);
  }

  /**
   * Brings the cluster up with these disks; none: with those it has. Resolves when pools can be made.
   * @throws CroftError what a disk is refused for; `missing-component`, `unavailable`, `command-failed`
   */
  ensure(everywhere: readonly DiskWish[]): Promise<void> {
    return this.#locks.with(['cluster'], async () => {
      const parts = await this.#tools();
      const { peers } = this.#options;
      if (peers) refuseHomeless(everywhere);
      this.#everywhere = everywhere;
      const disks = peers ? everywhere.filter(({ node }) => node === peers.box) : everywhere;
      if (disks.length > 0) this.#attendant.follow(disks);
      this.#record = await readClusterRecord(this.paths.record);
      if (!peers && !this.#record && disks.length === 0) {
        throw new CroftError(
          'invalid-input',
          'spec.disks: this box has no storage cluster yet; name the disks it is to be made of.',
        );
      }
      refuseTwice(disks);
      // Looked at before anything is made, so that a refused disk leaves nothing behind.
      await this.#refuse(disks);
      if (disks.length > 0) this.#wished = [...disks];
      else if (this.#wished.length === 0) this.#wished = readyOnes(this.#record).map(({ uuid, path }) => ({ id: uuid, path }));
      const { box = boxName(), address = '127.0.0.1', port } = this.#options;
      this.#record = peers
        ? await foundOrJoin({ ...parts, paths: this.paths, peers, disks: everywhere }, this.#record, port)
        : await found(this.paths, parts.owner, { box, address, port });
      const started = await this.#startDaemons(parts, this.#record);
      for (const wish of this.#missing(this.#wished)) {
        if (this.#taken(wish)) continue;
        await this.#add(parts, wish);
        started.push(wish.id);
      }
      await this.#untilUp(parts, started);
      this.#keepFree(parts.bridge);
      await this.#upgrade(parts);
      this.#retireInBackground();
    });
  }

  /** Makes the pool unless it is there. @throws CroftError `invalid-input` with too few disks */
  async ensurePool(name: string, replicas: number): Promise<void> {
    const shared = this.#options.peers !== undefined;
    const disks = shared ? this.#everywhere : this.#wished;
    const boxes = shared ? new Set(disks.map(({ node }) => node)).size : undefined;
    await ensurePool((await this.#tools()).bridge, { name, replicas, disks: disks.length, boxes });
  }

  /** What a QEMU of `owner` needs to open disks of the pool. */
  async guestAccess(pool: string, owner: Owner | undefined): Promise<GuestAccess> {
    const { bridge } = await this.#tools();
    return grantGuest({ bridge, guests: this.paths.guests, record: this.#record as ClusterRecord }, pool, owner);
  }

  async health(replicas: number): Promise<PoolHealth> {
    const record = this.#record;
    if (!record) return { state: 'unknown', message: 'There is no storage cluster yet.', survives: 0, disks: [] };
    const { peers } = this.#options;
    try {
      const { bridge } = await this.#tools();
      const { status, osds, stale } = await lookAt(bridge);
      const records = peers ? this.#everywhere.map((wish) => recordOf(wish, osds)) : record.osds;
      const wished = peers ? new Set(records.map(({ uuid }) => uuid)) : this.#wishedIds();
      const health = describeHealth({ status, osds, stale, records, wished, replicas });
      return { ...health, disks: [...health.disks.map((disk) => this.#attendant.adorn(disk)), ...this.#refused.values()] };
    } catch (error) {
      if (!isCroftError(error)) throw error;
      return { state: 'unknown', message: `The cluster does not answer: ${error.message}`, survives: 0, disks: [] };
    }
  }

  /** Process id of a daemon (`mon.box`, `osd.0`) that is supervised here. */
  async pidOf(name: string): Promise<number | undefined> {
    return (await this.#tools()).daemons.pidOf(name);
  }

  /** True while a disk that is no longer wished is being taken out. */
  get retiring(): boolean {
    return this.#retiring !== undefined;
  }

  /** The service stops; the daemons run on. */
  async close(): Promise<void> {
    this.#closed.abort();
    this.#attendant.stop();
    const parts = await this.#parts?.catch(() => undefined); // Never came up: nothing to let go of.
    parts?.daemons.release();
    await parts?.bridge.close();
    await this.#retiring;
  }

  /** Ends all daemons. The disks keep their data; `ensure` starts it all again. */
  async stopDaemons(): Promise<void> {
    await this.close();
    const owner = (await this.#parts)?.owner;
    await createDaemons(this.paths, owner, this.#logger).stopAll();
  }

  #tools(): Promise<Parts> {
    this.#parts ??= (async () => {
      const owner = await cephOwner();
      const bridge = createBridge(this.paths.conf, owner, this.#logger);
      return { owner, bridge, daemons: createDaemons(this.paths, owner, this.#logger) };
    })().catch((error: unknown) => {
      this.#parts = undefined; // It may be installed meanwhile.
      throw error;
    });
    return this.#parts;
  }

  /** Looks at all disks that are to be taken in; what one is refused for stands in its state until the wish changes. */
  async #refuse(disks: readonly DiskWish[]): Promise<void> {
    this.#refused.clear();
    for (const wish of this.#missing(disks)) {
      if (this.#taken(wish)) continue;
      try {
        await inspectDisk(wish, this.#ownRemains(disks));
      } catch (error) {
        this.#refused.set(wish.id, { id: wish.id, name: wish.path, path: wish.path, state: 'refused', reason: messageOf(error) });
        throw error;
      }
    }
  }

  #wishedIds = (): Set<string> => new Set(this.#wished.map(({ id }) => id));

  #missing(disks: readonly DiskWish[]): DiskWish[] {
    const ready = new Set(readyOnes(this.#record).map(({ uuid }) => uuid));
    return disks.filter(({ id }) => !ready.has(id));
  }

  /** True while a disk that is to go is still in this wish's place. */
  #taken = (wish: DiskWish): boolean =>
    this.#record?.osds.some(({ uuid, path, state }) => path === wish.path && uuid !== wish.id && state === 'ready') ?? false;

  /** OSDs of ours that were never finished, or have been forgotten since: their remains may be overwritten. */
  #ownRemains(disks: readonly DiskWish[]): Set<string> {
    const unfinished = (this.#record?.osds ?? []).filter(({ state }) => state === 'preparing').map(({ uuid }) => uuid);
    return new Set([...unfinished, ...(this.#record?.retired ?? []), ...this.#missing(disks).map(({ id }) => id)]);
  }

  async #save(edit: (record: ClusterRecord) => ClusterRecord): Promise<void> {
    const next = edit(this.#record as ClusterRecord);
    await writeClusterRecord(this.paths.record, next);
    this.#record = next;
  }

  /** @returns uuids of the OSDs that were not running before */
  async #startDaemons({ daemons, bridge, owner }: Parts, record: ClusterRecord): Promise<string[]> {
    if (record.mon !== false) await daemons.startMon(record.box, record.address, record.port);
    await quietMgr(bridge);
    // A witness has no manager: it is to stay small.
    if (await hasMgr(this.paths, record.box)) await daemons.startMgr(record.box);
    const started: string[] = [];
    for (const osd of record.osds) if (await this.#startOsd({ daemons, owner }, osd)) started.push(osd.uuid);
    return started;
  }

  /** A disk that does not start is no reason to keep the others down: health tells. */
  async #startOsd({ daemons, owner }: Pick<Parts, 'daemons' | 'owner'>, osd: OsdRecord): Promise<boolean> {
    if (osd.number === undefined || osd.state !== 'ready' || daemons.pidOf(`osd.${osd.number}`) !== undefined) return false;
    try {
      await giveDisk(osd.path, owner);
      const started = await daemons.startOsd(osd.number);
      this.#attendant.failing(osd.uuid, undefined);
      return started;
    } catch (error) {
      // Tried again at every turn; told once.
      const known = this.#attendant.isFailing(osd.uuid);
      this.#attendant.failing(osd.uuid, messageOf(error));
      if (!known)
        this.#logger.error(
          { osd: osd.number, path: osd.path, error: messageOf(error) },
          'a disk of the storage cluster did not start',
        );
      return false;
    }
  }

  async #add({ owner, bridge, daemons }: Parts, wish: DiskWish): Promise<void> {
    const { size, serial } = await inspectDisk(wish, this.#ownRemains([wish]));
    const osd: OsdRecord = { uuid: wish.id, path: wish.path, size, state: 'preparing', ...(serial ? { serial } : {}) };
    await this.#save((record) => ({ ...record, osds: [...record.osds.filter(({ uuid }) => uuid !== osd.uuid), osd] }));
    await writeDaemonConf(this.paths, this.#record as ClusterRecord, this.#wished.length);
    const context: OsdContext = { paths: this.paths, owner, bridge, box: (this.#record as ClusterRecord).box };
    const number = await makeOsd(context, osd);
    const ready: OsdRecord = { ...osd, number, state: 'ready' };
    await this.#save((record) => ({ ...record, osds: record.osds.map((one) => (one.uuid === ready.uuid ? ready : one)) }));
    await daemons.startOsd(number);
  }

  /** Waits until the disks that were started serve; one that is broken does not hold the others up. */
  async #untilUp({ bridge, daemons }: Parts, started: readonly string[]): Promise<void> {
    if (started.length === 0) return;
    const deadline = Date.now() + upTimeout;
    for (;;) {
      const osds = await osdsOf(bridge);
      const living = (this.#record?.osds ?? []).filter((osd) => daemons.pidOf(`osd.${osd.number}`) !== undefined);
      const waiting = living.filter(
        ({ uuid }) => started.includes(uuid) && !osds.some((line) => line.uuid === uuid && line.up === 1),
      );
      if (waiting.length === 0) return;
      if (Date.now() > deadline) {
        this.#logger.warn({ disks: waiting.map(({ path }) => path) }, 'disks of the storage cluster are not up yet');
        return;
      }
      await delay(200, undefined, { signal: this.#closed.signal });
    }
  }

  #retireInBackground(): void {
    const unwished = (): OsdRecord[] => (this.#record?.osds ?? []).filter(({ uuid }) => !this.#wishedIds().has(uuid));
    if (this.#retiring || unwished().length === 0) return;
    const work = async (): Promise<void> => {
      while (unwished().length > 0 && !this.#closed.signal.aborted) {
        try {
          for (const osd of unwished()) await this.#locks.with(['cluster'], () => this.#retire(osd));
        } catch (error) {
          this.#logger.warn({ error: messageOf(error) }, 'a disk could not be taken out yet');
        }
        await delay(checkInterval, undefined, { signal: this.#closed.signal }).catch(() => undefined); // Closing ends the loop.
      }
    };
    this.#retiring = work().finally(() => {
      this.#retiring = undefined;
    });
  }

  /** One look at a disk that is to go; forgets it when nothing depends on it any more, and makes what waited for its place. */
  async #retire(osd: OsdRecord): Promise<void> {
    const parts = await this.#tools();
    if (this.#wishedIds().has(osd.uuid)) return;
    if (osd.number !== undefined && !(await this.#isDispensable(parts.bridge, osd, osd.number))) return;
    if (osd.number !== undefined) {
      await parts.daemons.stopOsd(osd.number);
      await purge(parts.bridge, osd.number);
      await rm(join(this.paths.osds, String(osd.number)), { recursive: true, force: true });
      await rm(join(this.paths.keyrings, `osd.${osd.number}.keyring`), { force: true });
    }
    await this.#save((record) => ({
      ...record,
      osds: record.osds.filter(({ uuid }) => uuid !== osd.uuid),
      retired: [...(record.retired ?? []), osd.uuid],
    }));
    this.#logger.info({ osd: osd.number, path: osd.path }, 'a disk was taken out of the storage cluster');
    for (const wish of this.#missing(this.#wished)) if (!this.#taken(wish)) await this.#add(parts, wish);
  }

  async #isDispensable(bridge: CephBridge, osd: OsdRecord, number: number): Promise<boolean> {
    const line = (await osdsOf(bridge)).find(({ uuid }) => uuid === osd.uuid);
    if (!line) return true;
    if (line.up === 1) {
      this.#downSince.delete(osd.uuid);
      if (line.in === 1) await bridge.command({ prefix: 'osd out', ids: [String(number)] });
      const safe = await bridge.mgrCommand<{ safe_to_destroy: number[] }>({
        prefix: 'osd safe-to-destroy',
        ids: [String(number)],
        format: 'json',
      });
      return safe.safe_to_destroy.includes(number);
    }
    const since = this.#downSince.get(osd.uuid) ?? Date.now();
    this.#downSince.set(osd.uuid, since);
    if (Date.now() - since < downFor) return false;
    const { status, stale } = await lookAt(bridge);
    return !stale && allServed(status);
  }
}

const readyOnes = (record: ClusterRecord | undefined): OsdRecord[] => record?.osds.filter(({ state }) => state === 'ready') ?? [];

/** A disk of any box as the cluster's own map has it. */
const recordOf = ({ id, path, size = 0 }: DiskWish, osds: readonly OsdLine[]): OsdRecord => {
  const number = osds.find(({ uuid }) => uuid === id)?.osd;
  return {
    uuid: id,
    path,
    size,
    state: number === undefined ? 'preparing' : 'ready',
    ...(number === undefined ? {} : { number }),
  };
};

/** The host name as a name of Ceph's: letters, digits, dashes. */
const boxName = (): string =>
  hostname()
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-|-$/g, '') || 'box';

function refuseHomeless(disks: readonly DiskWish[]): void {
  const without = disks.find(({ node }) => node === undefined);
  if (without) throw new CroftError('invalid-input', `disks: say which box ${without.path} is in (node).`);
}

function refuseTwice(disks: readonly DiskWish[]): void {
  const paths = disks.map(({ path, node = '' }) => (node ? `${node}:${path}` : path));
  const twice = paths.find((path, index) => paths.indexOf(path) !== index);
  if (twice !== undefined) throw new CroftError('invalid-input', `disks: ${twice} is named twice.`);
}
