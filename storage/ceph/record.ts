/** cluster.json: what of a Ceph cluster is on this box, and how far its making has come. Replaced in one rename. */
import { readFile } from 'node:fs/promises';
import { Type, type Static } from 'typebox';
import { Value } from 'typebox/value';
import { CroftError } from '../../appliance/errors.ts';
import { writeFileAtomic } from '../../appliance/host/files.ts';

export const OsdRecord = Type.Object({
  /** Wished for by this id (StoragePool's `spec.disks[].id`): a replaced disk has a new one, also in the same place. */
  uuid: Type.String(),
  /** Whole disk, partition or file. */
  path: Type.String(),
  /** Ceph's number, once the cluster gave one. */
  number: Type.Optional(Type.Integer()),
  /** The disk's serial number where it has one. */
  serial: Type.Optional(Type.String()),
  /** Bytes. */
  size: Type.Integer(),
  /** `preparing`: ours, and may be written anew; `ready`: holds data. */
  state: Type.Enum(['preparing', 'ready']),
});
export type OsdRecord = Static<typeof OsdRecord>;

export const ClusterRecord = Type.Object({
  fsid: Type.String(),
  box: Type.String(),
  address: Type.String(),
  port: Type.Integer(),
  /** True once the mon's data directory is made for good. */
  founded: Type.Boolean(),
  osds: Type.Array(OsdRecord),
  /** In a cluster of boxes: all monitors known here. */
  mons: Type.Optional(Type.Array(Type.Object({ box: Type.String(), address: Type.String(), port: Type.Integer() }))),
  /** False on a box that has no monitor of its own. */
  mon: Type.Optional(Type.Boolean()),
  /** OSDs that were taken out: what is left of them on a disk may be overwritten. */
  retired: Type.Optional(Type.Array(Type.String())),
});
export type ClusterRecord = Static<typeof ClusterRecord>;

/** Undefined where this box has no cluster. @throws CroftError `invalid-state` on a file that is none of ours */
export async function readClusterRecord(path: string): Promise<ClusterRecord | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const record: unknown = JSON.parse(text);
  if (!Value.Check(ClusterRecord, record)) {
    throw new CroftError('invalid-state', `${path} is damaged; the disks' data is not touched. Restore the file from a backup.`);
  }
  return record;
}

export const writeClusterRecord = (path: string, record: ClusterRecord): Promise<void> =>
  writeFileAtomic(path, `${JSON.stringify(record, undefined, 2)}\n`);
