/** Disks of VM snapshots as sources of new disks: the one place that knows how a DataVolume names them. */
import { virtualMachineSnapshot, type SnapshotDisk } from '../../appliance/resources/snapshot.ts';
import type { ResourceStore } from '../../appliance/store/store.ts';

export type SnapshotSource = { disk: SnapshotDisk; snapshotId: string; ready: boolean };

/** The disk that `volumeSnapshotName` names, ready or still being frozen; undefined when no snapshot of the project has it. */
export async function findSnapshotSource(
  store: ResourceStore,
  volumeSnapshotName: string,
  namespace: string | undefined,
): Promise<SnapshotSource | undefined> {
  const { items } = await store.list(virtualMachineSnapshot, { namespace });
  for (const { metadata, status } of items) {
    const content = status?.croft?.content;
    const disk = content?.disks.find((candidate) => candidate.volumeSnapshotName === volumeSnapshotName);
    if (!content || !disk) continue;
    const ready = status?.readyToUse === true && metadata.deletionTimestamp === undefined;
    return { disk, snapshotId: content.snapshotId, ready };
  }
  return undefined;
}
