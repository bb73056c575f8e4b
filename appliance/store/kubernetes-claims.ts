/**
 * PersistentVolumes for claims. In a cluster the controller manager owns a claim's phase: it binds a claim to a
 * PersistentVolume that names it. So where a solo box writes `phase: Bound`, here such a volume is made, and the
 * phase follows by itself; when the box lets go of the claim, the volume goes first.
 */
import { isCroftError } from '../errors.ts';
import { idLabel } from '../resources/identity.ts';
import type { KubeClient } from './kubernetes-client.ts';
import { fromWire, type WireObject } from './kubernetes-objects.ts';
import { persistentVolumeClaim } from '../resources/data-volume.ts';

/** No CSI driver of this name exists yet: pods cannot mount such a volume, guests can use it. */
export const csiDriver = 'storage.croft.io';

const volumesPath = '/api/v1/persistentvolumes';
/** Named from the claim's uid, so that a claim made anew under the same name never meets the old volume. */
const volumeName = (claim: WireObject): string => `croft-${claim.metadata.uid}`;

/** Turns a wished `phase: Bound` into a PersistentVolume; the phase written is the one there is. */
export async function bindClaim(client: KubeClient, stored: WireObject, body: WireObject): Promise<void> {
  const wished = body.status ?? {};
  const { name, namespace, uid, labels } = stored.metadata;
  body.status = { ...stored.status, ...wished, phase: stored.status?.phase ?? 'Pending' };
  if (stored.status?.phase !== 'Bound') delete body.status.capacity;
  if (wished.phase !== 'Bound' || stored.metadata.deletionTimestamp !== undefined) return;
  const { spec } = fromWire(persistentVolumeClaim, stored) as { spec: Record<string, unknown> };
  if (spec.volumeName !== undefined) return;
  const volume = {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: volumeName(stored), labels: { [idLabel]: labels?.[idLabel] ?? '' } },
    spec: {
      capacity: wished.capacity,
      accessModes: spec.accessModes,
      volumeMode: spec.volumeMode,
      storageClassName: spec.storageClassName,
      // The box removes the volume itself, by the claim's finalizer.
      persistentVolumeReclaimPolicy: 'Retain',
      claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', name, namespace, uid },
      csi: { driver: csiDriver, volumeHandle: labels?.[idLabel] ?? String(uid) },
    },
  };
  try {
    await client.send({ method: 'POST', path: volumesPath, body: volume, about: `PersistentVolume of ${namespace}/${name}` });
  } catch (error) {
    // Made by an earlier report of the same.
    if (!isCroftError(error, 'already-exists')) throw error;
  }
}

/** Removes the claim's PersistentVolume, if there is one. */
export async function releaseClaim(client: KubeClient, stored: WireObject): Promise<void> {
  try {
    await client.send({
      method: 'DELETE',
      path: `${volumesPath}/${volumeName(stored)}`,
      about: `PersistentVolume of ${stored.metadata.name}`,
    });
  } catch (error) {
    if (!isCroftError(error, 'not-found')) throw error;
  }
}
