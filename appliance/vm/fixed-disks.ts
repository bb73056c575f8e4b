/** Disks that cannot come or go while the guest runs: bus sata has no hot-plug. Media of its drives can. Pure. */
import type { Disk, InstanceSpec } from '../resources/virtual-machine.ts';

export const busOf = (disk: Disk): 'virtio' | 'sata' | 'scsi' =>
  disk.cdrom ? (disk.cdrom.bus ?? 'sata') : (disk.disk?.bus ?? 'virtio');

const sataOf = (spec: InstanceSpec): Disk[] => (spec.domain.devices.disks ?? []).filter((disk) => busOf(disk) === 'sata');

/** Names of the disks on buses without hot-plug; differs from the running guest's: a restart is needed. */
export const fixedNames = (spec: InstanceSpec): string[] =>
  sataOf(spec)
    .map(({ name }) => name)
    .sort();

/** The disks and volumes of `wish` that the running guest of `now` can have: what is fixed stays as it is. */
export function liveDisks(wish: InstanceSpec, now: InstanceSpec): Pick<InstanceSpec, 'volumes'> & { disks: Disk[] | undefined } {
  const before = new Set(fixedNames(now));
  const after = new Set(fixedNames(wish));
  if (before.size === after.size && [...before].every((name) => after.has(name))) {
    return { disks: wish.domain.devices.disks, volumes: wish.volumes };
  }
  const leaving = sataOf(now).filter(({ name }) => !after.has(name));
  const isLeaving = (name: string): boolean => leaving.some((disk) => disk.name === name);
  const comes = (name: string): boolean => after.has(name) && !before.has(name);
  return {
    disks: [...(wish.domain.devices.disks ?? []).filter(({ name }) => !comes(name) && !isLeaving(name)), ...leaving],
    volumes: [
      ...(wish.volumes ?? []).filter(({ name }) => !comes(name) && !isLeaving(name)),
      ...(now.volumes ?? []).filter(({ name }) => isLeaving(name)),
    ],
  };
}
