/** The sizes and preferences every box has from its first start; people add their own, change and delete them. */
import type { InstancetypeSpec, PreferenceSpec } from './instancetype.ts';

export const firstInstancetypes: readonly { name: string; spec: InstancetypeSpec }[] = [
  { name: 'tiny', spec: { cpu: { guest: 1 }, memory: { guest: '256Mi' } } },
  { name: 'small', spec: { cpu: { guest: 1 }, memory: { guest: '1Gi' } } },
  { name: 'medium', spec: { cpu: { guest: 2 }, memory: { guest: '4Gi' } } },
  { name: 'large', spec: { cpu: { guest: 4 }, memory: { guest: '8Gi' } } },
];

const on = { enabled: true };

/** What upstream's common-instancetypes say for Windows: UEFI, SATA and e1000e until drivers are in, enlightenments. */
const windows: PreferenceSpec = {
  annotations: { 'vm.kubevirt.io/os': 'windows' },
  cpu: { preferredCPUTopology: 'sockets' },
  clock: {
    preferredTimer: {
      hpet: { present: false },
      hyperv: {},
      pit: { tickPolicy: 'delay' },
      rtc: { tickPolicy: 'catchup' },
    },
  },
  devices: { preferredDiskBus: 'sata', preferredCdromBus: 'sata', preferredInterfaceModel: 'e1000e' },
  features: {
    preferredAcpi: {},
    preferredApic: {},
    preferredHyperv: {
      relaxed: on,
      vapic: on,
      spinlocks: { spinlocks: 8191 },
      vpindex: on,
      runtime: on,
      synic: on,
      synictimer: { direct: on },
      reset: on,
      frequencies: on,
      reenlightenment: on,
      tlbflush: on,
      ipi: on,
    },
  },
  firmware: { preferredUseEfi: true },
};

export const firstPreferences: readonly { name: string; spec: PreferenceSpec }[] = [
  {
    name: 'linux',
    spec: {
      annotations: { 'vm.kubevirt.io/os': 'linux' },
      devices: { preferredDiskBus: 'virtio', preferredInterfaceModel: 'virtio', preferredRng: {} },
    },
  },
  { name: 'windows', spec: windows },
  {
    name: 'windows.virtio',
    spec: { ...windows, devices: { preferredDiskBus: 'virtio', preferredCdromBus: 'sata', preferredInterfaceModel: 'virtio' } },
  },
];
