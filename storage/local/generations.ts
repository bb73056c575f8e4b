/** Snapshot, restore and merge of a local volume: everything that adds or removes generations of its chain. */
import { chmod, rm, stat } from 'node:fs/promises';
import { run } from '../../appliance/host/exec.ts';
import { CroftError } from '../../appliance/errors.ts';
import type { Step } from '../driver.ts';
import { createQcow2, grant, isLocked, readQcow2 } from './files.ts';
import { layerNodes, nodeNameOf, prefixOf } from './graph.ts';
import { completePending, dropPending, type LocalPool } from './pool.ts';
import { chainOf, mergeable, type Layer, type VolumeRecord } from './record.ts';

/**
 * Files in a chain, image included. Each one costs every read of unwritten space a lookup. Deleting snapshots of a
 * stopped VM shortens the chain; while it runs nothing does, so a ninth layer is refused.
 */
export const maxChain = 8;

const mergeDeadline = 60 * 60 * 1000;

/** @throws CroftError `invalid-state` when `layer` has no room for another file on top */
export function assertChainHasRoom(pool: LocalPool, layer: Layer): void {
  const length = chainOf(pool.records, layer).length;
  if (length < maxChain) return;
  throw new CroftError(
    'invalid-state',
    `The disk has ${length} layers of at most ${maxChain}. Delete snapshots while the VM is stopped, then try again.`,
    { fix: ['Stop the VM and delete snapshots of it: its layers are then merged.'] },
  );
}

/** Puts a new empty generation on the head of a closed volume. @returns the number of the frozen one. */
export async function freezeHead(pool: LocalPool, id: string, describe?: { snapshotId: string }): Promise<number> {
  const record = pool.record(id);
  await mergeAll(pool, id);
  assertChainHasRoom(pool, { volume: id, generation: record.head });
  const { size } = await readQcow2(pool.headPath(record));
  const generation = record.next;
  const parent = { volume: id, generation: record.head };
  await createQcow2(pool.files.layer({ volume: id, generation }), size, pool.files.backing(id, parent));
  await pool.change(id, (current) => ({
    ...current,
    head: generation,
    next: generation + 1,
    layers: { ...current.layers, [generation]: parent },
    snapshots: describe
      ? [...current.snapshots, { id: describe.snapshotId, generation: record.head, size, createdAt: new Date().toISOString() }]
      : current.snapshots,
  }));
  await chmod(pool.headPath(record), 0o400);
  return record.head;
}

/** See VolumeDriver.snapshot. */
export async function snapshotSteps(pool: LocalPool, id: string, snapshotId: string, node?: string): Promise<Step[]> {
  const record = pool.record(id);
  if (record.snapshots.some((snapshot) => snapshot.id === snapshotId)) return [];
  if (node === undefined) return [offlineSnapshot(pool, id, snapshotId)];
  const { pending } = record;
  const prefix = prefixOf(node);
  const nameOf = (generation: number): string => nodeNameOf(prefix, id, { volume: id, generation }, 0);
  // QEMU writes to the pending generation already: only the record is behind.
  if (pending?.snapshotId === snapshotId && node === nameOf(pending.generation)) return [commitStep(pool, id)];
  if (pending && node === nameOf(pending.generation)) await pool.change(id, completePending);
  assertChainHasRoom(pool, { volume: id, generation: pool.record(id).head });

  const generation = pool.record(id).next;
  const path = pool.files.layer({ volume: id, generation });
  const [fileNode, formatNode] = layerNodes(nameOf(generation), path, { direct: pool.direct, writable: true, backing: null });
  return [
    { host: 'make the new layer', run: () => prepare(pool, id, snapshotId, generation) },
    { qmp: { execute: 'blockdev-add', arguments: fileNode } },
    { qmp: { execute: 'blockdev-add', arguments: formatNode } },
    { qmp: { execute: 'blockdev-snapshot', arguments: { node, overlay: formatNode['node-name'] } } },
    commitStep(pool, id),
  ];
}

const offlineSnapshot = (pool: LocalPool, id: string, snapshotId: string): Step => ({
  host: 'freeze the disk and put a new layer on it',
  run: async () => {
    await pool.locks.with([id], async () => {
      const record = await pool.settle(id);
      if (record.snapshots.some((snapshot) => snapshot.id === snapshotId)) return;
      await pool.assertClosed(record);
      await freezeHead(pool, id, { snapshotId });
    });
  },
});

/** Announces the new generation in the record, then makes its file: a crash from here on can be told apart. */
async function prepare(pool: LocalPool, id: string, snapshotId: string, generation: number): Promise<void> {
  await pool.locks.with([id], async () => {
    const record = pool.record(id);
    const head = pool.headPath(record);
    const { size } = await readQcow2(head);
    const stale = record.pending;
    await pool.change(id, (current) => ({
      ...dropPending(current),
      next: Math.max(current.next, generation + 1),
      pending: { snapshotId, generation, size, createdAt: new Date().toISOString() },
    }));
    if (stale && stale.generation !== generation)
      await rm(pool.files.layer({ volume: id, generation: stale.generation }), { force: true });
    const path = pool.files.layer({ volume: id, generation });
    await createQcow2(path, size, pool.files.backing(id, { volume: id, generation: record.head }));
    const { uid, gid } = await stat(head);
    await grant(path, { uid, gid }, 0o600);
  });
}

const commitStep = (pool: LocalPool, id: string): Step => ({
  host: 'bind the disk to its new layer',
  run: async () => {
    await pool.locks.with([id], async () => {
      const frozen = pool.headPath(pool.record(id));
      await pool.change(id, completePending);
      await chmod(frozen, 0o400);
    });
  },
});

/** See VolumeDriver.restore. */
export async function restore(pool: LocalPool, id: string, snapshotId: string): Promise<void> {
  await pool.locks.with([id], async () => {
    const record = await pool.settle(id);
    await pool.assertClosed(record);
    const snapshot = snapshotOf(record, snapshotId);
    const parent = { volume: id, generation: snapshot.generation };
    assertChainHasRoom(pool, parent);
    const generation = record.next;
    await createQcow2(pool.files.layer({ volume: id, generation }), snapshot.size, pool.files.backing(id, parent));
    await pool.change(id, (current) => ({
      ...current,
      head: generation,
      next: generation + 1,
      layers: { ...current.layers, [generation]: parent },
    }));
  });
  await pool.collect();
}

/** @throws CroftError `not-found` */
export function snapshotOf(record: VolumeRecord, snapshotId: string): VolumeRecord['snapshots'][number] {
  const found = record.snapshots.find((snapshot) => snapshot.id === snapshotId);
  if (!found) throw new CroftError('not-found', `Volume ${record.id} has no snapshot ${snapshotId}.`);
  return found;
}

/** See VolumeDriver.deleteSnapshot. */
export async function deleteSnapshot(pool: LocalPool, id: string, snapshotId: string): Promise<void> {
  await pool.locks.with([id], async () => {
    const record = await pool.settle(id);
    if (!record.snapshots.some((snapshot) => snapshot.id === snapshotId)) return;
    await pool.change(id, (current) => ({
      ...current,
      snapshots: current.snapshots.filter((snapshot) => snapshot.id !== snapshotId),
    }));
    await pool.collect();
    if (!(await isLocked(pool.headPath(record)))) await mergeAll(pool, id);
  });
}

/**
 * Folds layers that no snapshot and no clone needs into the one above. `qemu-img rebase` first copies what the upper
 * layer would lose, then renames its backing file: whenever it is cut off, both the old and the new chain read the same.
 */
async function mergeAll(pool: LocalPool, id: string): Promise<void> {
  // An export reads these files; they are folded the next time.
  if (pool.exporting.has(id)) return;
  for (let pair = mergeable(pool.records, pool.record(id)); pair; pair = mergeable(pool.records, pool.record(id))) {
    const { from, into } = pair;
    const parent = pool.record(id).layers[from] ?? null;
    const intoPath = pool.files.layer({ volume: id, generation: into });
    const backing = parent === null ? ['-b', ''] : ['-b', pool.files.backing(id, parent), '-F', 'qcow2'];
    const { mode } = await stat(intoPath);
    await chmod(intoPath, 0o600);
    await run(['qemu-img', 'rebase', '-f', 'qcow2', ...backing, intoPath], { timeout: mergeDeadline });
    await chmod(intoPath, mode & 0o777);
    await pool.change(id, (current) => ({ ...current, layers: { ...current.layers, [into]: parent } }));
    await pool.collect();
  }
}
