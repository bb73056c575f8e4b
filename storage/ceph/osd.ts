/** One disk as an OSD: made, started, taken out. All steps may be repeated; an OSD is known by its uuid from the wish on. */
import { chown, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { CroftError } from '../../appliance/errors.ts';
import { run } from '../../appliance/host/exec.ts';
import type { CephBridge } from '../rbd/bridge/client.ts';
import { makeOwned, writeOwned, type Owner } from './bootstrap.ts';
import { keyringText, newKey, type CephPaths } from './conf.ts';
import { wipeMarks } from './disks.ts';
import type { OsdRecord } from './record.ts';

const makeTimeout = 120_000;
const tebibyte = 2 ** 40;

export type OsdContext = { paths: CephPaths; owner: Owner | undefined; bridge: CephBridge; box: string };

/**
 * Registers the OSD and writes its store on the disk. Whatever is on the disk is lost: `record` has been looked at
 * (disks.ts) and noted as `preparing` before. @returns its number
 */
export async function makeOsd({ paths, owner, bridge, box }: OsdContext, record: OsdRecord): Promise<number> {
  await giveDisk(record.path, owner);
  const key = newKey();
  const number = await register(bridge, record.uuid, key);
  const data = join(paths.osds, String(number));
  // What a try that was cut off left behind.
  await rm(data, { recursive: true, force: true });
  await makeOwned(data, owner);
  await writeOwned(join(paths.keyrings, `osd.${number}.keyring`), keyringText({ entity: `osd.${number}`, key }), owner);
  await symlink(record.path, join(data, 'block'));
  await wipeMarks(record.path, record.size);
  await run(['ceph-osd', '--mkfs', '-i', String(number), '--osd-uuid', record.uuid, '-c', paths.conf, '--no-mon-config'], {
    ...owner,
    timeout: makeTimeout,
  });
  await place(bridge, box, number, record.size);
  return number;
}

/**
 * A number and a key for the uuid. `osd new` is idempotent only with the same key, and a try that was cut off may have
 * used another: then that registration, which never held data, is undone first.
 */
async function register(bridge: CephBridge, uuid: string, key: string): Promise<number> {
  const known = await bridge.command<{ osds: { osd: number; uuid: string }[] }>({ prefix: 'osd dump', format: 'json' });
  const former = known.osds.find((osd) => osd.uuid === uuid);
  if (former) await purge(bridge, former.osd);
  const made = await bridge.command<{ osdid: number }>(
    { prefix: 'osd new', uuid, format: 'json' },
    { input: JSON.stringify({ cephx_secret: key }) },
  );
  return made.osdid;
}

/** Its place in the CRUSH tree, weighed in TiB. Idempotent. */
async function place(bridge: CephBridge, box: string, number: number, size: number): Promise<void> {
  await bridge.command({ prefix: 'osd crush add-bucket', name: box, type: 'host' });
  await bridge.command({ prefix: 'osd crush move', name: box, args: ['root=default'] });
  const weight = Math.max(0.001, Math.round((size / tebibyte) * 10_000) / 10_000);
  await bridge.command({ prefix: 'osd crush add', id: number, weight, args: ['root=default', `host=${box}`] });
}

/** The daemon runs as Ceph's account: it must be able to open the disk. */
export async function giveDisk(path: string, owner: Owner | undefined): Promise<void> {
  if (!owner) return;
  await chown(path, owner.uid, owner.gid);
  const { exitCode } = await run(['test', '-w', path], { ...owner, okCodes: [0, 1] });
  if (exitCode === 0) return;
  throw new CroftError('invalid-input', `disk: the user ceph cannot reach ${path}.`, {
    fix: ['Put the file where every directory above it can be entered by all users, e.g. under /var/lib.'],
  });
}

/** Forgets the OSD in the cluster: map, CRUSH tree and key. Idempotent. */
export const purge = (bridge: CephBridge, number: number): Promise<string> =>
  bridge.command({ prefix: 'osd purge-actual', id: number, yes_i_really_mean_it: true });
