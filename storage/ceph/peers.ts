/**
 * Ceph across boxes. One box founds the cluster; what another needs to become part of it (identity, monitors, keys) is
 * in one Secret. A box that joins gets configuration and keys, a monitor where it is a voter, its own CRUSH host for its
 * disks. Monitors are one or three, as the voters are (docs/ha.md): the second and third are made in one go.
 */
import { readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CroftError, isCroftError } from '../../appliance/errors.ts';
import { run } from '../../appliance/host/exec.ts';
import { secret, systemNamespace } from '../../appliance/resources/core-kinds.ts';
import { node } from '../../appliance/resources/croft-kinds.ts';
import { editObject } from '../../appliance/store/edit.ts';
import type { ResourceStore } from '../../appliance/store/store.ts';
import type { DiskWish } from '../driver.ts';
import type { CephBridge } from '../rbd/bridge/client.ts';
import { found, makeOwned, makeTree, writeDaemonConf, writeOwned, type Owner } from './bootstrap.ts';
import { keyringText, type CephPaths, type MonPlace } from './conf.ts';
import type { CephDaemons } from './daemons.ts';
import { writeClusterRecord, type ClusterRecord } from './record.ts';

export type SharedCluster = { fsid: string; mons: MonPlace[] /** Keyrings as text. */; keys: { mon: string; admin: string } };

/** What the boxes tell each other of their storage cluster. */
export type CephPeers = {
  box: string;
  address: string;
  /** Undefined until one has founded it. */
  read(): Promise<SharedCluster | undefined>;
  /** Made by the founder; once only. */
  publish(cluster: SharedCluster): Promise<void>;
  addMon(mon: MonPlace): Promise<void>;
  /** True when this box is to have a monitor: it is one of three voters. */
  votes(): Promise<boolean>;
};

const secretName = 'ceph';
/** Of a monitor that joins; the founder's may be another. */
const monPort = 3300;

const encode = (cluster: SharedCluster): { cluster: string } => ({
  cluster: Buffer.from(JSON.stringify(cluster)).toString('base64'),
});
const decode = (data: Record<string, string>): SharedCluster =>
  JSON.parse(Buffer.from(data.cluster ?? '', 'base64').toString()) as SharedCluster;

export function createCephPeers(store: ResourceStore, place: { box: string; address: string }): CephPeers {
  return {
    ...place,
    async read() {
      const found = await store.get(secret, secretName, systemNamespace);
      return found && decode(found.spec.data);
    },
    async publish(cluster) {
      try {
        const metadata = { name: secretName, namespace: systemNamespace };
        await store.create(secret, { metadata, spec: { type: 'Opaque', data: encode(cluster) } });
      } catch (error) {
        if (!isCroftError(error, 'already-exists')) throw error;
      }
    },
    async addMon(mon) {
      await editObject(store, secret, { name: secretName, namespace: systemNamespace }, (draft) => {
        const cluster = decode(draft.spec.data);
        if (cluster.mons.some(({ box }) => box === mon.box)) return false;
        draft.spec.data = encode({ ...cluster, mons: [...cluster.mons, mon] });
        return undefined;
      });
    },
    async votes() {
      const { items } = await store.list(node);
      const voters = items.filter(({ status }) => status?.peer?.role === 'voter').map(({ metadata }) => metadata.name);
      return voters.length >= 3 && voters.includes(place.box);
    },
  };
}

const keyring = (paths: CephPaths, entity: string): string => join(paths.keyrings, `${entity}.keyring`);

/** What the founder publishes. */
const sharedFrom = async (paths: CephPaths, { fsid, box, address, port }: ClusterRecord): Promise<SharedCluster> => ({
  fsid,
  mons: [{ box, address, port }],
  keys: {
    mon: await readFile(keyring(paths, `mon.${box}`), 'utf8'),
    admin: await readFile(keyring(paths, 'client.admin'), 'utf8'),
  },
});

/** Makes this box a part of a cluster that another founded: directories, keys, configuration. Idempotent. */
async function joinCluster(
  paths: CephPaths,
  owner: Owner | undefined,
  peers: CephPeers,
  shared: SharedCluster,
): Promise<ClusterRecord> {
  await makeTree(paths, owner);
  const record: ClusterRecord = {
    fsid: shared.fsid,
    box: peers.box,
    address: peers.address,
    port: monPort,
    founded: true,
    osds: [],
    mons: shared.mons,
    mon: false,
  };
  await writeOwned(keyring(paths, 'client.admin'), shared.keys.admin, owner);
  await writeOwned(keyring(paths, `mon.${peers.box}`), shared.keys.mon, owner);
  await writeDaemonConf(paths, record);
  await writeClusterRecord(paths.record, record);
  return record;
}

/** A monitor's data directory for a cluster that runs; it joins the others when it is started. Idempotent until `mon` is recorded. */
async function makeJoiningMon(paths: CephPaths, owner: Owner | undefined, { box }: ClusterRecord): Promise<void> {
  const map = join(paths.keyrings, 'monmap');
  await rm(map, { force: true });
  await run(['ceph', '-c', paths.conf, '--connect-timeout', '10', 'mon', 'getmap', '-o', map], { ...owner, timeout: 30_000 });
  await rm(paths.mon, { recursive: true, force: true });
  await makeOwned(paths.mon, owner);
  const argv = ['ceph-mon', '--mkfs', '-i', box, '-c', paths.conf, '--monmap', map, '--keyring', keyring(paths, `mon.${box}`)];
  await run(argv as [string, ...string[]], { ...owner, timeout: 60_000 });
  await rm(map, { force: true });
}

/** The key of a box's manager, made by the monitors on first sight. */
async function writeMgrKey(paths: CephPaths, owner: Owner | undefined, box: string, bridge: CephBridge): Promise<void> {
  const entity = `mgr.${box}`;
  const caps = ['mon', 'allow profile mgr', 'osd', 'allow *', 'mds', 'allow *'];
  const [entry] = await bridge.command<{ key: string }[]>({ prefix: 'auth get-or-create', entity, caps, format: 'json' });
  if (!entry) throw new CroftError('unavailable', `The storage cluster gave no key for ${entity}.`);
  await writeOwned(keyring(paths, entity), keyringText({ entity, key: entry.key }), owner);
}

/** A witness has no manager: it is to stay small. */
export const hasMgr = async (paths: CephPaths, box: string): Promise<boolean> =>
  (await stat(keyring(paths, `mgr.${box}`)).catch(() => undefined)) !== undefined;

type Parts = {
  paths: CephPaths;
  owner: Owner | undefined;
  bridge: CephBridge;
  daemons: CephDaemons;
  peers: CephPeers;
  /** Of all boxes. */
  disks: readonly DiskWish[];
};

/**
 * Founds the cluster, where this box is to and nobody has, or makes it a part of what another founded; then its monitor
 * and its manager as its part asks. Idempotent, and cut off anywhere it is gone on with.
 * @throws CroftError `unavailable` while the founder hasn't begun, `invalid-state` with disks of another cluster
 */
export async function foundOrJoin(parts: Parts, present: ClusterRecord | undefined, port?: number): Promise<ClusterRecord> {
  const { paths, owner, bridge, peers, disks } = parts;
  const shared = await peers.read();
  if (!shared) {
    const founder = disks[0]?.node;
    if (founder !== peers.box) {
      const who = founder ?? 'a box with disks';
      throw new CroftError('unavailable', `The storage cluster is to be founded by ${who}, which has not done so yet.`);
    }
    const record = await found(paths, owner, { box: peers.box, address: peers.address, port, shared: true });
    await peers.publish(await sharedFrom(paths, record));
    return record;
  }
  const own = present?.founded ? present : await joinCluster(paths, owner, peers, shared);
  if (own.fsid !== shared.fsid) {
    throw new CroftError(
      'invalid-state',
      `This box's disks belong to another storage cluster (${own.fsid}); they are left alone.`,
    );
  }
  await writeDaemonConf(paths, { ...own, mons: shared.mons });
  const record = await withMon(parts, { ...own, mons: shared.mons });
  if (disks.some(({ node: at }) => at === peers.box) && !(await hasMgr(paths, peers.box))) {
    await writeMgrKey(paths, owner, peers.box, bridge);
  }
  return record;
}

async function withMon({ paths, owner, daemons, peers }: Parts, record: ClusterRecord): Promise<ClusterRecord> {
  let next = record;
  if (record.mon === false && (await peers.votes())) {
    await makeJoiningMon(paths, owner, record);
    next = { ...record, mon: true };
  }
  await writeClusterRecord(paths.record, next);
  const { box, address, port } = next;
  if (next.mon !== false && !next.mons?.some((mon) => mon.box === box)) {
    await daemons.startMon(box, address, port);
    await peers.addMon({ box, address, port });
  }
  return next;
}
