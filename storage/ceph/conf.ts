/** The texts Ceph reads: configuration and keyrings. Pure; compared with literal text in the tests. */
import { randomBytes } from 'node:crypto';

const mib = 2 ** 20;

/** Where a cluster lives on this box. */
export type CephPaths = {
  root: string;
  /** Configuration of our daemons and of the administrator. */
  conf: string;
  keyrings: string;
  mon: string;
  mgr: string;
  /** One directory per OSD, by number. */
  osds: string;
  /** Records and logs of the supervised daemons. */
  daemons: string;
  /** One directory per guest uid: what its QEMU needs to reach its pool. */
  guests: string;
  record: string;
};

/** `run`: where it is known which daemons run; default within `root`. */
export const cephPaths = (root: string, run = `${root}/daemons`): CephPaths => ({
  root,
  conf: `${root}/ceph.conf`,
  keyrings: `${root}/keyrings`,
  mon: `${root}/mon`,
  mgr: `${root}/mgr`,
  osds: `${root}/osd`,
  daemons: run,
  guests: `${root}/guests`,
  record: `${root}/cluster.json`,
});

/** A monitor's place. */
export type MonPlace = { box: string; address: string; port: number };

export type CephSettings = {
  fsid: string;
  /** Name of this box in the cluster: of its mon, its mgr and its CRUSH host. */
  box: string;
  /** IPv4 address the daemons listen on; 127.0.0.1 on a box alone. */
  address: string;
  /** The mon's port. */
  port: number;
  /** `host` once there are several boxes: then one box may not vouch for itself. */
  failureDomain: 'osd' | 'host';
  /** All monitors; default this box's. */
  mons?: readonly MonPlace[] | undefined;
  /** What an OSD may use, bytes. */
  osdMemory: number;
};

/** Bytes of a disk that are never given to guests. */
const leastFree = 512 * mib;

/** The least `osd_memory_target` Ceph takes; below it, the cache gets a fixed size and is not tuned. */
const leastTarget = 896 * mib;

/**
 * Bytes one OSD may use: a tenth of the box for all of them, 4 GiB each at most. An OSD needs about 256 MiB
 * whatever it is told, so that is the least.
 */
export const osdMemory = (boxMemory: number, osds: number): number =>
  Math.floor(Math.min(4096 * mib, Math.max(256 * mib, boxMemory / 10 / Math.max(1, osds))));

function memoryLines(memory: number): string[] {
  if (memory >= leastTarget) return [`osd memory target = ${memory}`];
  return [
    `osd memory target = ${leastTarget}`,
    'bluestore cache autotune = false',
    // What an OSD uses beside its cache is about twice as much.
    `bluestore cache size = ${Math.max(32 * mib, Math.floor(memory / 3))}`,
  ];
}

/**
 * ceph.conf of our own daemons. Nothing is read from or written to Ceph's usual places, so that it lives beside any
 * other Ceph of the machine.
 */
export function daemonConf(settings: CephSettings, paths: CephPaths): string {
  const { fsid, box, address, failureDomain, mons } = settings;
  const alone = failureDomain === 'osd';
  return `${[
    '# Written by Croft; changes are overwritten.',
    '[global]',
    `fsid = ${fsid}`,
    `mon host = ${monHosts(settings)}`,
    `mon initial members = ${mons?.[0]?.box ?? box}`,
    'auth cluster required = cephx',
    'auth service required = cephx',
    'auth client required = cephx',
    `keyring = ${paths.keyrings}/$name.keyring`,
    'ms bind msgr1 = false',
    'ms bind msgr2 = true',
    ...['cluster', 'service', 'client', 'mon cluster', 'mon service', 'mon client'].map((who) => `ms ${who} mode = secure`),
    `public addr = ${address}`,
    `cluster addr = ${address}`,
    'admin socket =',
    'pid file =',
    'log to file = false',
    'log to stderr = true',
    'err to stderr = true',
    'mon cluster log to file = false',
    'mon cluster log to stderr = false',
    'osd pool default size = 2',
    'osd pool default min size = 1',
    `osd crush chooseleaf type = ${alone ? 0 : 1}`,
    '# A dead or stopped disk is noticed within seconds, by any one other disk where there is one box only.',
    'osd heartbeat interval = 2',
    'osd heartbeat grace = 6',
    'mon osd adjust heartbeat grace = false',
    // Two boxes with disks: the other one alone can tell.
    'mon osd min down reporters = 1',
    `mon osd reporter subtree level = ${failureDomain}`,
    'osd fast shutdown notify mon = true',
    '# How full it is must be known before it is full.',
    'mgr stats period = 2',
    '# A client that is gone holds its disk this many seconds longer.',
    'osd client watch timeout = 15',
    '# Places in the CRUSH tree are given by Croft, not by host name.',
    'osd crush update on start = false',
    'osd class update on start = false',
    '[mon]',
    `mon data = ${paths.mon}`,
    'auth allow insecure global id reclaim = false',
    '# Another box takes over within seconds of one that died.',
    'mon election timeout = 3',
    'mon lease = 3',
    'mon mgr beacon grace = 12',
    'mon max pg per osd = 500',
    'mon data avail warn = 5',
    'mon data avail crit = 1',
    '[mgr]',
    `mgr data = ${paths.mgr}`,
    'mgr initial modules =',
    '[osd]',
    `osd data = ${paths.osds}/$id`,
    ...memoryLines(settings.osdMemory),
    'osd max object name len = 256',
    'osd max object namespace len = 64',
  ].join('\n')}\n`;
}

/** ceph.conf for a QEMU: where the monitors are and which key to use, nothing else. */
export function guestConf(settings: Pick<CephSettings, 'fsid' | 'box' | 'address' | 'port' | 'mons'>, keyring: string): string {
  return `${[
    '# Written by Croft; changes are overwritten.',
    '[global]',
    `fsid = ${settings.fsid}`,
    `mon host = ${monHosts(settings)}`,
    `keyring = ${keyring}`,
    'ms client mode = secure',
    'ms mon client mode = secure',
    'admin socket =',
    'log to stderr = false',
    'err to stderr = true',
  ].join('\n')}\n`;
}

const monHosts = ({ mons, box, address, port }: Pick<CephSettings, 'mons' | 'box' | 'address' | 'port'>): string =>
  (mons && mons.length > 0 ? mons : [{ box, address, port }]).map((mon) => `[v2:${mon.address}:${mon.port}/0]`).join(',');

/** A new cephx key: type 1 (AES), creation time, length, 16 random bytes, as CryptoKey::encode of Ceph writes it. */
export function newKey(now = Date.now()): string {
  const head = Buffer.alloc(12);
  head.writeUInt16LE(1, 0);
  head.writeUInt32LE(Math.floor(now / 1000), 2);
  head.writeUInt32LE((now % 1000) * 1_000_000, 6);
  head.writeUInt16LE(16, 10);
  return Buffer.concat([head, randomBytes(16)]).toString('base64');
}

export type KeyringEntry = { entity: string; key: string; caps?: Record<string, string> };

export const keyringText = (...entries: KeyringEntry[]): string =>
  entries
    .map(({ entity, key, caps = {} }) =>
      [`[${entity}]`, `\tkey = ${key}`, ...Object.entries(caps).map(([service, cap]) => `\tcaps ${service} = "${cap}"`)].join(
        '\n',
      ),
    )
    .join('\n')
    .concat('\n');

/**
 * Parts of the smallest disk (bytes) at which Ceph speaks up, stops moving data there, and stops all writes. BlueStore
 * keeps its own database on the same disk: an OSD without room for that ends and cannot be started again, and a small
 * disk is that far soon after its usual 95 %. Pure.
 */
export function fullRatios(smallest: number): { nearfull: number; backfillfull: number; full: number } {
  const full = Math.min(0.95, Math.max(0.5, Math.floor(100 * (1 - leastFree / smallest)) / 100));
  const below = (part: number): number => Math.round(100 * (full - part)) / 100;
  return { nearfull: below(0.1), backfillfull: below(0.05), full };
}

/** Placement groups of a pool: about 32 per disk and copy, a power of two. */
export const placementGroups = (osds: number, replicas: number): number =>
  2 ** Math.max(5, Math.round(Math.log2(Math.max(1, (osds * 32) / replicas))));
