/** What a snapshot keeps of its VM, and what a restore or a clone makes of that. Pure. */
import { storageClassOf } from '../../resources/data-volume.ts';
import { idLabel, newId } from '../../resources/identity.ts';
import { formatBytes } from '../../resources/quantity.ts';
import type { SnapshotContent, SnapshotDisk } from '../../resources/snapshot.ts';
import type { InstanceSpec, VirtualMachine, virtualMachine } from '../../resources/virtual-machine.ts';
import type { Draft } from '../../store/store.ts';
import { wishedDisks } from '../guest-shape.ts';

/** The disks a snapshot is of: those with data of the VM's own; a CD is somebody's image. */
export const snapshotDisks = (spec: InstanceSpec) => wishedDisks(spec).filter(({ disk }) => disk.cdrom === undefined);

/** The name of one disk of a snapshot, as upstream builds a VolumeSnapshot's. */
export const volumeSnapshotName = (snapshotId: string, disk: string): string => `vmsnapshot-${snapshotId}-volume-${disk}`;

export function contentOf(
  vm: VirtualMachine,
  disks: Omit<SnapshotDisk, 'volumeSnapshotName'>[],
  snapshotId: string,
): SnapshotContent {
  const { [idLabel]: _id, ...labels } = vm.metadata.labels ?? {};
  return {
    vm: { labels, annotations: vm.metadata.annotations, spec: structuredClone(vm.spec) },
    disks: disks.map((disk) => ({ ...disk, volumeSnapshotName: volumeSnapshotName(snapshotId, disk.name) })),
    snapshotId,
  };
}

/** The VM's spec as it was, but for its run strategy: a restore is no wish to start or stop. */
export function restoreSpec(vm: VirtualMachine, content: SnapshotContent): void {
  vm.spec.template = structuredClone(content.vm.spec.template);
  vm.spec.dataVolumeTemplates = structuredClone(content.vm.spec.dataVolumeTemplates);
}

export type CloneWish = { source: string; name: string; namespace: string; start: boolean; annotations: Record<string, string> };

/** A new VM from a snapshot: disks of its own, MAC addresses and firmware identity that are made anew. */
export function cloneDraft(content: SnapshotContent, wish: CloneWish): Draft<typeof virtualMachine> {
  const { labels, annotations, spec } = structuredClone(content.vm);
  const template = spec.template;
  const claimOf = new Map(content.disks.map((disk) => [disk.name, `${wish.name}-${disk.name}`]));
  const kept = new Set([...claimOf.keys(), ...cloudInits(template.spec)]);
  template.spec.volumes = template.spec.volumes
    ?.filter(({ name }) => kept.has(name))
    .map((volume) => {
      const claim = claimOf.get(volume.name);
      return claim === undefined ? volume : { name: volume.name, dataVolume: { name: claim } };
    });
  const { devices, firmware } = template.spec.domain;
  devices.disks = devices.disks?.filter(({ name }) => kept.has(name));
  for (const nic of devices.interfaces ?? []) delete nic.macAddress;
  if (firmware) {
    delete firmware.uuid;
    delete firmware.serial;
  }
  renameHost(template.spec, wish.source, wish.name);
  const dataVolumeTemplates = content.disks.map((disk) => ({
    metadata: { name: `${wish.name}-${disk.name}` },
    spec: {
      source: { snapshot: { name: disk.volumeSnapshotName, namespace: wish.namespace } },
      storage: {
        accessModes: ['ReadWriteOnce'],
        resources: { requests: { storage: formatBytes(disk.size) } },
        storageClassName: disk.storageClassName ?? storageClassOf('local'),
      },
    },
  }));
  return {
    metadata: {
      name: wish.name,
      namespace: wish.namespace,
      labels: { ...labels, [idLabel]: newId() },
      annotations: { ...annotations, ...wish.annotations },
    },
    spec: { runStrategy: wish.start ? 'Always' : 'Halted', template, dataVolumeTemplates },
  };
}

const cloudInits = (spec: InstanceSpec): string[] =>
  (spec.volumes ?? []).flatMap(({ name, cloudInitNoCloud }) => (cloudInitNoCloud ? [name] : []));

/** A clone that was named after its source gets its own name, also in the cloud-config that Croft wrote. */
function renameHost(spec: InstanceSpec, from: string, to: string): void {
  if (spec.hostname === from) spec.hostname = to;
  for (const { cloudInitNoCloud } of spec.volumes ?? []) {
    if (!cloudInitNoCloud?.userData?.startsWith('#cloud-config')) continue;
    cloudInitNoCloud.userData = cloudInitNoCloud.userData.replace(new RegExp(`^hostname: ${from}$`, 'm'), `hostname: ${to}`);
  }
}
