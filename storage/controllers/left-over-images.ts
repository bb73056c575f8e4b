/**
 * Images of an import whose VM is gone: nobody would make a disk of them, and another import of the same name would find
 * them in its way. An image can't be owned by a VM (it is of no project), so it names the one it was made for.
 */
import { singleUseAnnotation, usedByAnnotation, type Image } from '../../appliance/resources/croft-kinds.ts';
import { virtualMachine } from '../../appliance/resources/virtual-machine.ts';
import type { ResourceStore } from '../../appliance/store/store.ts';

/** The images are made before their VM; ms that this may take. */
export const importGrace = 10 * 60_000;

/** True when it has no use any more; a number of ms after which to look again; undefined for an image that stays. */
export async function isLeftOver(
  store: ResourceStore,
  { metadata }: Image,
  now = Date.now(),
): Promise<true | number | undefined> {
  const owner = metadata.annotations?.[usedByAnnotation];
  if (metadata.annotations?.[singleUseAnnotation] !== 'true' || owner === undefined) return undefined;
  const [namespace, name = ''] = owner.split('/');
  const vm = await store.get(virtualMachine, name, namespace);
  const wanted = vm?.spec.dataVolumeTemplates?.some(({ spec }) => spec.sourceRef?.name === metadata.name) ?? false;
  // A VM on its way out needs no disks any more.
  if (wanted && vm?.metadata.deletionTimestamp === undefined) return undefined;
  const left = Date.parse(metadata.creationTimestamp ?? '') + importGrace - now;
  return left > 0 ? left : true;
}
