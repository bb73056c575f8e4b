/**
 * Founding a cluster: identity, keys, the mon's data directory. Every step may be cut off and is then done again:
 * nothing counts until cluster.json says `founded`, and before that no disk has been written to.
 */
import { createServer } from 'node:net';
import { chmod, chown, mkdir, readFile, rm } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { totalmem } from 'node:os';
import { CroftError } from '../../appliance/errors.ts';
import { run } from '../../appliance/host/exec.ts';
import { writeFileAtomic } from '../../appliance/host/files.ts';
import { daemonConf, keyringText, newKey, osdMemory, type CephPaths } from './conf.ts';
import { readClusterRecord, writeClusterRecord, type ClusterRecord } from './record.ts';

export type Owner = { uid: number; gid: number };

/** msgr2's own port first; the range lies below the ports that outgoing connections get. */
const firstPort = 3300;
const lastPort = 3399;

/** The account of Debian's packages, where we may become it; undefined where Ceph runs as ourselves. */
export async function cephOwner(): Promise<Owner | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const { stdout, exitCode } = await run(['getent', 'passwd', 'ceph'], { okCodes: [0, 2] });
  if (exitCode !== 0) {
    throw new CroftError('missing-component', 'Ceph, which keeps replicated pools, is not installed (there is no user ceph).', {
      fix: [
        'apt-get install --no-install-recommends ceph-mon ceph-mgr ceph-osd ceph-common python3-rados python3-rbd qemu-block-extra',
      ],
    });
  }
  const [, , uid, gid] = stdout.split(':');
  return { uid: Number(uid), gid: Number(gid) };
}

/** Gives a path to Ceph's account. */
export const give = async (path: string, owner: Owner | undefined): Promise<void> => {
  if (owner) await chown(path, owner.uid, owner.gid);
};

export async function makeOwned(path: string, owner: Owner | undefined): Promise<void> {
  await mkdir(path, { recursive: true });
  await chmod(path, 0o700);
  await give(path, owner);
}

export async function writeOwned(path: string, content: string, owner: Owner | undefined): Promise<void> {
  await writeFileAtomic(path, content, 0o600);
  await give(path, owner);
}

export type FoundingWish = {
  box: string;
  address: string /** Default: the first free one from 3300. */;
  port?: number | undefined;
  /** Other boxes are to join. */
  shared?: boolean;
};

/** The directories of a cluster on this box. Idempotent. */
export async function makeTree(paths: CephPaths, owner: Owner | undefined): Promise<void> {
  for (const path of [paths.root, paths.guests, paths.daemons]) {
    await mkdir(path, { recursive: true });
    // Guests' uids pass through to their own directory.
    await chmod(path, 0o711);
  }
  for (const path of [paths.keyrings, paths.osds, paths.mgr]) await makeOwned(path, owner);
}

/** Makes the cluster unless it is there; writes ceph.conf anew. @throws CroftError `missing-component`, `command-failed`, `in-use` */
export async function found(paths: CephPaths, owner: Owner | undefined, wish: FoundingWish): Promise<ClusterRecord> {
  await makeTree(paths, owner);
  let record = await readClusterRecord(paths.record);
  if (!record) {
    const { box, address } = wish;
    const port = wish.port ?? (await freePort(address));
    record = {
      fsid: randomUUID(),
      box,
      address,
      port,
      founded: false,
      osds: [],
      ...(wish.shared ? { mons: [{ box, address, port }] } : {}),
    };
    await writeClusterRecord(paths.record, record);
  }
  await writeDaemonConf(paths, record);
  if (record.founded) return record;
  await makeMon(paths, owner, record);
  const founded = { ...record, founded: true };
  await writeClusterRecord(paths.record, founded);
  return founded;
}

export async function writeDaemonConf(paths: CephPaths, record: ClusterRecord, disks = record.osds.length): Promise<void> {
  const memory = osdMemory(totalmem(), disks);
  const text = daemonConf({ ...record, failureDomain: record.mons ? 'host' : 'osd', osdMemory: memory }, paths);
  if (text === (await readFile(paths.conf, 'utf8').catch(() => ''))) return;
  // Holds no secret; the daemons' account reads it.
  await writeFileAtomic(paths.conf, text, 0o644);
}

/** All keys are made here and given to the mon at its birth, so that no command has to carry one. */
async function makeMon(paths: CephPaths, owner: Owner | undefined, { fsid, box, address, port }: ClusterRecord): Promise<void> {
  const all = { mon: 'allow *', osd: 'allow *', mgr: 'allow *', mds: 'allow *' };
  const mon = { entity: 'mon.', key: newKey(), caps: { mon: 'allow *' } };
  const admin = { entity: 'client.admin', key: newKey(), caps: all };
  const mgr = { entity: `mgr.${box}`, key: newKey(), caps: { mon: 'allow profile mgr', osd: 'allow *', mds: 'allow *' } };
  const keyring = (name: string): string => join(paths.keyrings, `${name}.keyring`);
  await writeOwned(keyring(`mon.${box}`), keyringText(mon), owner);
  await writeOwned(keyring(admin.entity), keyringText(admin), owner);
  await writeOwned(keyring(mgr.entity), keyringText(mgr), owner);
  const birth = keyring('birth');
  const map = join(paths.keyrings, 'monmap');
  await writeOwned(birth, keyringText(mon, admin, mgr), owner);
  await run(['monmaptool', '--create', '--clobber', '--addv', box, `[v2:${address}:${port}]`, '--fsid', fsid, map], { ...owner });
  // What a founding that was cut off left; nothing has been stored in it.
  await rm(paths.mon, { recursive: true, force: true });
  await makeOwned(paths.mon, owner);
  await run(['ceph-mon', '--mkfs', '-i', box, '-c', paths.conf, '--monmap', map, '--keyring', birth], {
    ...owner,
    timeout: 60_000,
  });
  await rm(birth, { force: true });
  await rm(map, { force: true });
}

async function freePort(address: string): Promise<number> {
  for (let port = firstPort; port <= lastPort; port++) if (await isFree(address, port)) return port;
  throw new CroftError(
    'in-use',
    `All ports ${firstPort} to ${lastPort} of ${address} are in use; the storage cluster needs one.`,
  );
}

const isFree = (host: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)));
  });
