/**
 * Fields that KubeVirt, CDI and Kubernetes document and Croft doesn't know: the topmost of each subtree, from
 * kubevirt v1.7.0 api/openapi-spec/swagger.json. With them a field that is refused is told apart from one that nobody
 * knows (a typing error). A field that a schema of ours has meanwhile is supported, whatever stands here.
 * docs/compatibility.md is made from the same table.
 */
import type { Kind } from './kind.ts';

/** `{parent: 'names'}` → full paths; `[]` stands for any index. */
const under = (groups: Record<string, string>): string[] =>
  Object.entries(groups).flatMap(([parent, names]) =>
    names.split(' ').map((name) => (parent === '' ? name : `${parent}.${name}`)),
  );

/** Of a VirtualMachineInstanceSpec. */
const instanceFields = under({
  '': 'accessCredentials affinity architecture dnsConfig dnsPolicy evictionStrategy livenessProbe nodeSelector priorityClassName readinessProbe resourceClaims schedulerName startStrategy subdomain tolerations topologySpreadConstraints',
  domain: 'chassis ioThreads ioThreadsPolicy launchSecurity',
  'domain.clock.timer.rtc': 'track',
  'domain.clock.utc': 'offsetSeconds',
  'domain.cpu': 'dedicatedCpuPlacement features isolateEmulatorThread maxSockets numa realtime',
  'domain.devices':
    'autoattachInputDevice autoattachVSOCK blockMultiQueue clientPassthrough disableHotplug downwardMetrics filesystems gpus hostDevices inputs logSerialConsole networkInterfaceMultiqueue panicDevices sound tpm useVirtioTransitional video watchdog',
  'domain.devices.disks[]': 'blockSize changedBlockTracking dedicatedIOThread errorPolicy io lun shareable tag',
  'domain.devices.disks[].cdrom': 'tray',
  'domain.devices.disks[].disk': 'pciAddress readonly',
  'domain.devices.interfaces[]': 'acpiIndex binding dhcpOptions macvtap passt pciAddress ports slirp sriov tag',
  'domain.features': 'hypervPassthrough pvspinlock smm',
  'domain.features.apic': 'endOfInterrupt',
  'domain.features.hyperv': 'evmcs',
  'domain.firmware': 'acpi kernelBoot',
  'domain.firmware.bootloader.bios': 'useSerial',
  'domain.firmware.kernelBoot.container': 'imagePullPolicy imagePullSecret',
  'domain.memory': 'hugepages maxGuest',
  'domain.resources': 'overcommitGuestOverhead',
  'networks[].pod': 'vmIPv6NetworkCIDR vmNetworkCIDR',
  'volumes[]':
    'cloudInitConfigDrive configMap containerDisk downwardAPI downwardMetrics emptyDisk ephemeral hostDisk memoryDump secret serviceAccount sysprep',
});

/** Of a VirtualMachineSpec, beside its template and the DataVolumes it makes. */
const vmFields = under({
  '': 'updateVolumesStrategy',
  'dataVolumeTemplates[]': 'apiVersion kind status',
  instancetype: 'inferFromVolume inferFromVolumeFailurePolicy revisionName',
  preference: 'inferFromVolume inferFromVolumeFailurePolicy revisionName',
});

/** Of a DataVolumeSpec. */
const dataVolumeFields = under({
  '': 'checkpoints contentType finalCheckpoint preallocation priorityClassName',
  pvc: 'dataSource dataSourceRef selector volumeAttributesClassName volumeName',
  'pvc.resources': 'limits',
  source: 'gcs imageio registry s3 upload vddk',
  'source.http': 'certConfigMap extraHeaders secretExtraHeaders secretRef',
  storage: 'dataSource dataSourceRef selector volumeName',
  'storage.resources': 'limits',
});

/** Of a VirtualMachineSnapshotSpec. */
const snapshotFields = under({
  '': 'deletionPolicy failureDeadline',
});

/** Of a VirtualMachineRestoreSpec. */
const restoreFields = under({
  '': 'patches targetReadinessPolicy volumeOwnershipPolicy volumeRestoreOverrides volumeRestorePolicy',
});

/** Of a VirtualMachineCloneSpec. */
const cloneFields = under({
  '': 'annotationFilters labelFilters newMacAddresses newSMBiosSerial patches template',
});

/** Of a VirtualMachineInstancetypeSpec. */
const instancetypeFields = under({
  '': 'gpus hostDevices ioThreads ioThreadsPolicy launchSecurity nodeSelector schedulerName',
  cpu: 'dedicatedCPUPlacement isolateEmulatorThread maxSockets numa realtime',
  memory: 'hugepages maxGuest overcommitPercent',
});

/** Of a VirtualMachinePreferenceSpec. */
const preferenceFields = under({
  '': 'preferSpreadSocketToCoreRatio preferredSubdomain',
  'clock.preferredClockOffset.utc': 'offsetSeconds',
  'clock.preferredTimer.rtc': 'track',
  cpu: 'preferredCPUFeatures',
  devices:
    'preferredAutoattachInputDevice preferredBlockMultiQueue preferredDisableHotplug preferredDiskBlockSize preferredDiskDedicatedIoThread preferredDiskIO preferredInputBus preferredInputType preferredLunBus preferredNetworkInterfaceMultiQueue preferredPanicDeviceModel preferredSoundModel preferredTPM preferredUseVirtioTransitional preferredVirtualGPUOptions',
  features: 'preferredPvspinlock preferredSmm',
  'features.preferredApic': 'endOfInterrupt',
  'features.preferredHyperv': 'evmcs',
  firmware: 'preferredUseBiosSerial',
});

/** Of a PersistentVolumeClaimSpec. */
const claimFields = under({ '': 'dataSourceRef selector volumeAttributesClassName', resources: 'limits' });

const at = (base: string, paths: readonly string[]): string[] => paths.map((path) => `${base}.${path}`);

const fieldsOfKind: Record<string, readonly string[]> = {
  VirtualMachine: [
    ...at('spec', vmFields),
    ...at('spec.template.spec', instanceFields),
    ...at('spec.dataVolumeTemplates[].spec', dataVolumeFields),
  ],
  VirtualMachineInstance: at('spec', instanceFields),
  DataVolume: at('spec', dataVolumeFields),
  PersistentVolumeClaim: at('spec', claimFields),
  VirtualMachineSnapshot: at('spec', snapshotFields),
  VirtualMachineRestore: at('spec', restoreFields),
  VirtualMachineClone: at('spec', cloneFields),
  VirtualMachineInstancetype: at('spec', instancetypeFields),
  VirtualMachineClusterInstancetype: at('spec', instancetypeFields),
  VirtualMachinePreference: at('spec', preferenceFields),
  VirtualMachineClusterPreference: at('spec', preferenceFields),
};

/** Values that upstream documents for a field Croft supports, and Croft doesn't take. */
const instanceValues: Record<string, readonly string[]> = {
  'domain.devices.disks[].disk.bus': ['usb'],
  'domain.devices.disks[].cdrom.bus': ['virtio', 'usb'],
  'domain.devices.disks[].cdrom.readonly': ['false'],
  'domain.devices.interfaces[].model': ['e1000', 'igb', 'ne2k_pci', 'pcnet', 'rtl8139', 'virtio-net-pci'],
};

const valuesOfKind: Record<string, Record<string, readonly string[]>> = Object.fromEntries(
  (
    [
      ['VirtualMachine', 'spec.template.spec'],
      ['VirtualMachineInstance', 'spec'],
    ] as const
  ).map(([kind, base]) => [
    kind,
    Object.fromEntries(Object.entries(instanceValues).map(([path, values]) => [`${base}.${path}`, values])),
  ]),
);

type Schema = { properties?: Record<string, Schema>; items?: Schema; anyOf?: Schema[] };

/** True when the kind's schema has the path. */
function has(kind: Kind, path: string): boolean {
  let at: Schema | undefined = { properties: { spec: kind.spec as Schema } };
  for (const part of path.split('.')) {
    const name = part.replace(/\[\]$/, '');
    at = at?.properties?.[name];
    if (part.endsWith('[]')) at = at?.items;
  }
  return at !== undefined;
}

/** Documented upstream and refused here, for a kind; sorted. */
export const unsupportedFields = (kind: Kind): string[] =>
  (fieldsOfKind[kind.kind] ?? []).filter((path) => !has(kind, path)).sort();

/** `{path: values}` documented upstream and refused here. */
export const unsupportedValues = (kind: Kind): Readonly<Record<string, readonly string[]>> => valuesOfKind[kind.kind] ?? {};

/** `/spec/template/spec/domain/devices/disks/0/io` → `spec.template.spec.domain.devices.disks[].io` */
const pathOfPointer = (pointer: string): string =>
  pointer
    .slice(1)
    .replaceAll(/\/\d+(?=\/|$)/g, '[]')
    .replaceAll('/', '.');

/** True for a field (or, where it has a place in the schema, this value of it) that upstream documents and we refuse. */
export function isUnsupported(kind: Kind, pointer: string, value: unknown): boolean {
  const path = pathOfPointer(pointer);
  if ((fieldsOfKind[kind.kind] ?? []).includes(path)) return true;
  const values = unsupportedValues(kind);
  // A client may name a field `constructor`.
  return Object.hasOwn(values, path) && (values[path]?.includes(String(value)) ?? false);
}
