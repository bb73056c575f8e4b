/** The volumes of a snapshot's disks, as they are now; and the few things all three reconcilers do alike. */
import { CroftError, isCroftError, messageOf, type ErrorCode } from '../../errors.ts';
import { persistentVolumeClaim } from '../../resources/data-volume.ts';
import { idLabel } from '../../resources/identity.ts';
import type { Resource } from '../../resources/meta.ts';
import type { SnapshotContent, SnapshotDisk } from '../../resources/snapshot.ts';
import type { VirtualMachine } from '../../resources/virtual-machine.ts';
import type { VmContext } from '../context.ts';
import type { DiskToFreeze } from './take.ts';

export type LocatedDisk = DiskToFreeze & { /** Bytes its claim has or asks for. */ wished: number };

/** The volume of a disk; undefined when it is gone. @throws CroftError `unavailable` while that can't be said */
export async function locate(
  { store, volumes }: VmContext,
  namespace: string,
  disk: SnapshotDisk,
): Promise<LocatedDisk | undefined> {
  const claim = await store.get(persistentVolumeClaim, disk.claim, namespace);
  const same = claim?.metadata.labels?.[idLabel] === disk.volumeId && claim.metadata.deletionTimestamp === undefined;
  if (!claim || !same || claim.status?.phase === 'Lost') return undefined;
  const found = await volumes.resolve(namespace, disk.claim);
  if ('pending' in found) throw new CroftError('unavailable', found.pending);
  return { name: disk.name, volumeId: found.volumeId, driver: found.driver, wished: found.wished ?? found.size };
}

/** Those of a snapshot's disks that are still there. @throws as locate */
export async function locateAll(context: VmContext, namespace: string, content: SnapshotContent): Promise<LocatedDisk[]> {
  const found = await Promise.all(content.disks.map((disk) => locate(context, namespace, disk)));
  return found.filter((disk) => disk !== undefined);
}

/** Removes a snapshot from all its volumes. Idempotent. @throws as locate, and what the drivers throw */
export async function removeFromVolumes(context: VmContext, namespace: string, content: SnapshotContent): Promise<void> {
  for (const { driver, volumeId } of await locateAll(context, namespace, content)) {
    try {
      await driver.deleteSnapshot(volumeId, content.snapshotId);
    } catch (error) {
      if (!isCroftError(error, 'not-found')) throw error; // The volume went meanwhile, with all its snapshots.
    }
  }
}

export const vmIdOf = (vm: VirtualMachine | undefined): string => vm?.metadata.labels?.[idLabel] ?? '';

export const namespaceOf = ({ metadata }: Resource): string => metadata.namespace ?? 'default';

/** One object of a project; what `editObject` and `editStatus` take. */
export const placeOf = ({ metadata }: Resource) => ({ name: metadata.name, namespace: metadata.namespace });

/** An event about a VM. */
export function tell(context: VmContext, object: Resource, vm: string, reason: string, message: string, failed = false): void {
  const project = namespaceOf(object);
  context.events.record({
    type: failed ? 'Warning' : 'Normal',
    reason,
    message,
    about: { kind: 'VirtualMachine', name: vm, project },
  });
}

const passing: readonly ErrorCode[] = ['in-use', 'unavailable', 'command-timeout', 'conflict', 'too-many-requests', 'busy'];

/** True for trouble that goes by itself. */
export const isPassing = (error: unknown): boolean => isCroftError(error) && passing.includes(error.code);

/** What is told of a failure; its inside goes to the log. */
export function sentenceOf(context: VmContext, error: unknown, what: string): string {
  if (!isCroftError(error)) context.logger.error({ err: error }, `${what} failed`);
  return messageOf(error);
}

/** An earlier run made it already: that is as good. */
export async function createUnlessThere(creation: Promise<unknown>): Promise<void> {
  try {
    await creation;
  } catch (error) {
    if (!isCroftError(error, 'already-exists')) throw error;
  }
}
