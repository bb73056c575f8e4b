/**
 * What changed between two snapshots as a file, and back: RBD's own format (`rbd export-diff`), which knows holes. The
 * bytes go between Ceph and the file, never through Croft.
 */
import { rm } from 'node:fs/promises';
import { CroftError } from '../../appliance/errors.ts';
import { run } from '../../appliance/host/exec.ts';
import type { ChangesOptions } from '../driver.ts';
import type { Place } from './bridge/client.ts';
import type { RbdPool } from './pool.ts';
import { generationName, headName, snapshotName, type VolumeRecord } from './record.ts';

/** A disk of many TiB. */
const deadline = 7 * 24 * 3_600_000;

const specOf = ({ pool, namespace }: Place, image: string): string => [pool, ...(namespace ? [namespace] : []), image].join('/');

type Export = { conf: string; place: Place; image: string; snapshot: string; since?: string | undefined; file: string };

/** Pure. */
export const exportArgv = ({ conf, place, image, snapshot, since, file }: Export): [string, ...string[]] => [
  'rbd',
  ...['-c', conf, 'export-diff', '--whole-object'],
  ...(since === undefined ? [] : ['--from-snap', snapshotName(since)]),
  `${specOf(place, image)}@${snapshotName(snapshot)}`,
  file,
];

/** Pure. */
export const importArgv = ({ conf, place, image, file }: Omit<Export, 'snapshot' | 'since'>): [string, ...string[]] => [
  'rbd',
  ...['-c', conf, 'import-diff', file, specOf(place, image)],
];

/** `rbd` tells of its progress on one line that it writes again and again. */
const reporting =
  (progress: ChangesOptions['progress']) =>
  (text: string): void => {
    const percent = [...text.matchAll(/(\d+)% complete/g)].at(-1)?.[1];
    if (percent !== undefined) progress?.(Number(percent), 100);
  };

const snapshotIn = (record: VolumeRecord, id: string): VolumeRecord['snapshots'][number] => {
  const found = record.snapshots.find((one) => one.id === id);
  if (!found) throw new CroftError('not-found', `Volume ${record.id} has no snapshot ${id}.`);
  return found;
};

/** See VolumeDriver.exportChanges. `conf`: the administrator's ceph.conf. */
export async function exportChanges(
  pool: RbdPool,
  conf: string,
  { id, snapshotId, file, since, progress, signal }: ChangesOptions & { id: string; snapshotId: string },
): Promise<void> {
  const record = pool.volume(id);
  const to = snapshotIn(record, snapshotId);
  // After a restore the older snapshot is of another image: then everything is written.
  const from = since === undefined ? undefined : snapshotIn(record, since);
  if (from && from.generation !== to.generation) {
    throw new CroftError(
      'invalid-state',
      `Volume ${id} was restored between the snapshots ${since} and ${snapshotId}: there is no list of what changed. Export all of it.`,
    );
  }
  const image = generationName(id, to.generation);
  await rm(file, { force: true });
  await run(exportArgv({ conf, place: pool.place, image, snapshot: snapshotId, since, file }), {
    timeout: deadline,
    onLine: reporting(progress),
    ...(signal ? { signal } : {}),
  });
}

/** See VolumeDriver.importChanges. */
export async function importChanges(
  pool: RbdPool,
  conf: string,
  { id, snapshotId, file, since, progress, signal }: ChangesOptions & { id: string; snapshotId: string },
): Promise<void> {
  await pool.locks.with([id], async () => {
    const record = pool.volume(id);
    if (record.snapshots.some((one) => one.id === snapshotId)) return;
    const base = since === undefined ? undefined : snapshotIn(record, since);
    if (base && base.generation !== record.head)
      throw new CroftError(
        'invalid-state',
        `Volume ${id} was restored since its snapshot ${since}: import all of it into a new one.`,
      );
    await pool.assertClosed(record);
    const bridge = await pool.bridge();
    const image = headName(record);
    // Of a try that was cut off after its last byte.
    await bridge.removeSnapshot(pool.place, image, snapshotName(snapshotId));
    await run(importArgv({ conf, place: pool.place, image, file }), {
      timeout: deadline,
      onLine: reporting(progress),
      ...(signal ? { signal } : {}),
    });
    const { size, snapshots } = await pool.head(record);
    if (!snapshots.includes(snapshotName(snapshotId))) {
      throw new CroftError('invalid-input', `${file} does not end at snapshot ${snapshotId}.`);
    }
    const made = { id: snapshotId, generation: record.head, size, createdAt: new Date().toISOString() };
    await pool.setVolume({ ...record, snapshots: [...record.snapshots, made] });
  });
}
