/**
 * The binding of volumes and images to RBD images: one RADOS object per kind in the pool itself, one omap key per
 * volume or image. A key is set in one operation, on all copies when it returns, so there is no moment at which a
 * volume is half bound; and the pool carries all that is known of it, wherever it is opened next.
 */
import { Type, type Static } from 'typebox';
import { Value } from 'typebox/value';
import { CroftError } from '../../appliance/errors.ts';

/** RADOS objects that hold the records. */
export const volumesObject = 'croft.volumes';
export const imagesObject = 'croft.images';

export const VolumeRecord = Type.Object({
  id: Type.String(),
  /** ISO 8601. */
  createdAt: Type.String(),
  /** The generation that guests write to. */
  head: Type.Integer(),
  /** The number the next generation gets; none is used twice. */
  next: Type.Integer(),
  /** `generation`: the one the RBD snapshot is of. */
  snapshots: Type.Array(
    Type.Object({ id: Type.String(), generation: Type.Integer(), size: Type.Integer(), createdAt: Type.String() }),
  ),
});
export type VolumeRecord = Static<typeof VolumeRecord>;

export const ImageRecord = Type.Object({
  id: Type.String(),
  /** A deleted image may live on in its clones; the same id taken in again is another generation. */
  generation: Type.Integer(),
  /** Bytes the guest sees, and bytes taken. */
  size: Type.Integer(),
  used: Type.Integer(),
});
export type ImageRecord = Static<typeof ImageRecord>;

/** Every image is cloned from this snapshot of it. */
export const imageSnapshot = 'base';

export const headName = ({ id, head }: VolumeRecord): string => generationName(id, head);
export const generationName = (id: string, generation: number): string => `vol-${id}.g${generation}`;
export const imageName = (id: string, generation: number): string => `img-${id}.g${generation}`;
export const snapshotName = (id: string): string => `s-${id}`;
/** A clone that is read into a file, and gone after it. */
export const exportName = (key: string): string => `exp-${key}`;
export const isExport = (name: string): boolean => name.startsWith('exp-');
/** Lasts while a clone of the present state is made. */
export const cloneSnapshotName = (id: string): string => `c-${id}`;

const ours = /^(vol|img)-.+\.g\d+$/;

/** What must be kept of the pool's RBD images: name → its snapshots to keep. */
export function keptImages(volumes: Iterable<VolumeRecord>, images: Iterable<ImageRecord>): Map<string, Set<string>> {
  const kept = new Map<string, Set<string>>();
  const keep = (name: string, snapshot?: string): void => {
    const snapshots = kept.get(name) ?? new Set();
    kept.set(name, snapshot === undefined ? snapshots : snapshots.add(snapshot));
  };
  for (const record of volumes) {
    keep(headName(record));
    for (const { id, generation } of record.snapshots) keep(generationName(record.id, generation), snapshotName(id));
  }
  for (const { id, generation } of images) keep(imageName(id, generation), imageSnapshot);
  return kept;
}

/** RBD images of ours that nothing names any more. Images with other names are not ours. */
export const unnamed = (names: readonly string[], kept: ReadonlyMap<string, unknown>): string[] =>
  names.filter((name) => ours.test(name) && !kept.has(name));

/** @throws CroftError `invalid-state` on a record that is none of ours */
export function parseRecord<T>(schema: typeof VolumeRecord | typeof ImageRecord, key: string, text: string): T {
  const record: unknown = JSON.parse(text);
  if (!Value.Check(schema, record)) throw new CroftError('invalid-state', `The pool's record of ${key} is damaged.`);
  return record as T;
}
