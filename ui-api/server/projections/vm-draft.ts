/** The flat request to create a VM → one VirtualMachine with its disks as templates. Pure. */
import { stringify, parseDocument } from 'yaml';
import { CroftError } from '../../../appliance/errors.ts';
import { imageNamespace, storageClassOf, type DataVolumeSpec } from '../../../appliance/resources/data-volume.ts';
import { idLabel, isUuid, newId } from '../../../appliance/resources/identity.ts';
import { formatBytes, parseBytes } from '../../../appliance/resources/quantity.ts';
import type { Disk, Interface, InstanceSpec, virtualMachine, Volume } from '../../../appliance/resources/virtual-machine.ts';
import type { Draft } from '../../../appliance/store/store.ts';
import { startOrderAnnotation } from '../../../appliance/vm/start-order.ts';
import type { DiskWish, NicWish, VmCreate } from '../../schemas/vm.ts';
import type { TypeMatchers } from './instancetypes.ts';
import { kernelBootOf } from './kernel-boot.ts';
import { quantityOf } from './vm.ts';

type VmDraft = Draft<typeof virtualMachine>;
type Templates = NonNullable<VmDraft['spec']['dataVolumeTemplates']>;

export const refuseField = (pointer: string, message: string): never => {
  throw new CroftError('invalid-input', message, { errors: [{ pointer, detail: message }] });
};

/** Names that look like ids would make `/v1/vms/{name or id}` ambiguous. @throws CroftError `invalid-input` */
export function checkName(name: string): string {
  if (isUuid(name)) refuseField('/name', `name: ${JSON.stringify(name)} looks like an id; choose a name that is not a UUID.`);
  return name;
}

/** Smallest guest that boots at all. */
const leastMemory = 16 * 2 ** 20;

/** cpus and memory (bytes) of a request; undefined where `size` says them. @throws CroftError `invalid-input` */
export function resourcesOf(wish: {
  size?: string;
  cpus?: number;
  memory?: number | string;
}): { cpus: number; memory: number } | undefined {
  if (wish.size !== undefined) {
    if (wish.cpus === undefined && wish.memory === undefined) return undefined;
    return refuseField(
      '/size',
      `size: ${JSON.stringify(wish.size)} already says cpus and memory; give either size or both of them.`,
    );
  }
  if (wish.cpus === undefined) return refuseField('/cpus', 'cpus: is missing; give cpus and memory, or size.');
  if (wish.memory === undefined)
    return refuseField('/memory', 'memory: is missing; give bytes or a quantity such as 512Mi, or size.');
  return { cpus: wish.cpus, memory: memoryBytes(wish.memory) };
}

export function memoryBytes(value: number | string): number {
  const bytes = parseBytes(value, 'memory');
  if (bytes < leastMemory)
    refuseField('/memory', `memory: ${JSON.stringify(value)} is ${bytes} bytes; a guest needs at least 16Mi.`);
  return bytes;
}

/** Spec of the volume behind a disk or a `/v1` volume. */
export function volumeSpec(wish: { size?: number | string; pool?: string; image?: string }, field: string): DataVolumeSpec {
  return {
    ...(wish.image === undefined
      ? { source: { blank: {} } }
      : { sourceRef: { kind: 'DataSource' as const, namespace: imageNamespace, name: wish.image } }),
    storage: {
      accessModes: ['ReadWriteOnce'],
      ...(wish.size === undefined ? {} : { resources: { requests: { storage: quantityOf(wish.size, field) } } }),
      ...(wish.pool === undefined ? {} : { storageClassName: storageClassOf(wish.pool) }),
    },
  };
}

/** A CD drive with an image or a volume in it, or empty. */
function cdromParts(vmName: string, name: string, wish: DiskWish, index: number) {
  if (wish.bus === 'virtio')
    refuseField(`/disks/${index}/bus`, `disks[${index}].bus: a CD drive needs sata or scsi, not virtio.`);
  const disk: Disk = { name, cdrom: wish.bus === undefined ? {} : { bus: wish.bus as 'sata' | 'scsi' } };
  return { disk, ...mediumParts(vmName, name, wish) };
}

/** The volume entry of what is in a drive, and the template of an image's. */
export function mediumParts(vmName: string, drive: string, wish: { image?: string; volume?: string; pool?: string }) {
  if (wish.volume !== undefined)
    return { volume: { name: drive, persistentVolumeClaim: { claimName: wish.volume } }, template: undefined };
  if (wish.image === undefined) return { volume: undefined, template: undefined };
  const claim = `${vmName}-${drive}-${wish.image}`;
  return {
    volume: { name: drive, dataVolume: { name: claim } },
    template: { metadata: { name: claim }, spec: volumeSpec({ image: wish.image, pool: wish.pool }, 'image') },
  };
}

/** The template, volume and disk entries of one wished disk. `index` is its place in the request's `disks`. */
export function diskParts(vmName: string, name: string, wish: DiskWish, index: number, hotplug = false) {
  if (wish.type === 'cdrom') return cdromParts(vmName, name, wish, index);
  const disk: Disk = { name, disk: wish.bus === undefined ? {} : { bus: wish.bus } };
  if (wish.volume !== undefined) {
    if (wish.size !== undefined || wish.image !== undefined) {
      refuseField(`/disks/${index}`, `disks[${index}]: an existing volume has its size and content; leave size and image out.`);
    }
    const volume: Volume = {
      name,
      persistentVolumeClaim: { claimName: wish.volume, ...(hotplug ? { hotpluggable: true } : {}) },
    };
    return { disk, volume, template: undefined };
  }
  if (wish.size === undefined && wish.image === undefined) {
    refuseField(`/disks/${index}/size`, `disks[${index}].size: is missing; give bytes or a quantity such as 10Gi, or volume.`);
  }
  const claim = `${vmName}-${name}`;
  const volume: Volume = { name, dataVolume: { name: claim, ...(hotplug ? { hotpluggable: true } : {}) } };
  return { disk, volume, template: { metadata: { name: claim }, spec: volumeSpec(wish, `disks.${index}.size`) } };
}

function disksOf(wish: VmCreate, types: DraftTypes): { disks: Disk[]; volumes: Volume[]; templates: Templates } {
  const given = wish.disks ?? [];
  const asked = new Set<string>();
  let unnamed = 0;
  const named = given.map((disk, index) => {
    // `root` is the image's own disk: naming it sets its size, pool or bus.
    const name = disk.name ?? (wish.image === undefined && index === 0 ? 'root' : `disk${++unnamed}`);
    if (asked.has(name))
      refuseField(`/disks/${index}/name`, `disks[${index}].name: ${JSON.stringify(name)} is taken by another disk of this VM.`);
    if (name === 'cloudinit')
      refuseField(`/disks/${index}/name`, `disks[${index}].name: "cloudinit" is kept for the seed; choose another.`);
    asked.add(name);
    return { name, disk, index };
  });
  if (wish.image !== undefined && !asked.has('root')) named.unshift({ name: 'root', disk: {}, index: 0 });
  const parts = named.map(({ name, disk, index }) =>
    diskParts(
      wish.name,
      name,
      name === 'root' && wish.image !== undefined && disk.volume === undefined ? { ...disk, image: wish.image } : disk,
      index,
    ),
  );
  if (wish.iso !== undefined) {
    const cd = cdromParts(wish.name, 'cdrom', { image: wish.iso }, 0);
    // After the disk: an empty one doesn't boot, an installed one does.
    cd.disk.bootOrder = 2;
    parts.push(cd);
    if (types.preference?.name.startsWith('windows')) parts.push(cdromParts(wish.name, 'drivers', { image: types.drivers }, 0));
  }
  const first = parts.find(({ disk }) => !disk.cdrom);
  if (!first && !wish.kernelBoot)
    return refuseField(
      '/image',
      'image: is missing; name an image, or give at least one entry of disks with a size or a volume.',
    );
  if (first) first.disk.bootOrder = 1;
  return {
    disks: parts.map(({ disk }) => disk),
    volumes: parts.flatMap(({ volume }): Volume[] => (volume ? [volume] : [])),
    templates: parts.flatMap(({ template }) => (template ? [template] : [])),
  };
}

/** The entry of a NIC in spec.networks: `default` is the pod network. */
export const networkSource = (nic: string, network: string): NonNullable<InstanceSpec['networks']>[number] =>
  network === 'default' ? { name: nic, pod: {} } : { name: nic, multus: { networkName: network } };

/** How an interface is bound: masquerade on the pod network, bridge elsewhere (upstream's usual pairs). */
export const bindingOf = (network: string): Pick<Interface, 'bridge' | 'masquerade'> =>
  network === 'default' ? { masquerade: {} } : { bridge: {} };

/** The NICs of a request with their names settled; `nics` and `network` exclude each other. */
export function wishedNicsOf(wish: VmCreate): (NicWish & { name: string })[] {
  if (wish.nics !== undefined && wish.network !== undefined) {
    refuseField('/network', 'network: is short for a single NIC; give either network or nics.');
  }
  const nics = wish.nics ?? [{ network: wish.network ?? 'default' }];
  const named = nics.map((nic, index) => ({ ...nic, name: nic.name ?? `nic${index}` }));
  const twice = named.findIndex((nic, index) => named.findIndex(({ name }) => name === nic.name) !== index);
  if (twice >= 0)
    refuseField(
      `/nics/${twice}/name`,
      `nics[${twice}].name: ${JSON.stringify(named[twice]?.name)} is taken by another NIC of this VM.`,
    );
  return named;
}

const cloudConfigHeader = '#cloud-config';

/** The user data of the seed: what was given, with SSH keys added to a cloud-config. @throws CroftError `invalid-input` */
export function userDataOf(wish: Pick<VmCreate, 'name' | 'hostname' | 'userData' | 'sshKeys'>): string {
  const keys = wish.sshKeys ?? [];
  if (wish.userData === undefined) {
    const config = { hostname: wish.hostname ?? wish.name, ...(keys.length > 0 ? { ssh_authorized_keys: keys } : {}) };
    return `${cloudConfigHeader}\n${stringify(config)}`;
  }
  if (keys.length === 0) return wish.userData;
  if (!wish.userData.startsWith(cloudConfigHeader)) {
    refuseField(
      '/sshKeys',
      'sshKeys: can only be added to userData that begins with #cloud-config; put the keys into your userData.',
    );
  }
  const document = parseDocument(wish.userData);
  const config: unknown = document.errors.length === 0 ? document.toJS() : undefined;
  if (config !== null && (typeof config !== 'object' || Array.isArray(config))) {
    refuseField(
      '/userData',
      `userData: is not a YAML mapping${document.errors[0] ? `: ${document.errors[0].message.split('\n')[0]}` : ''}.`,
    );
  }
  const before = ((config ?? {}) as { ssh_authorized_keys?: unknown }).ssh_authorized_keys;
  return `${cloudConfigHeader}\n${stringify({ ...(config as object), ssh_authorized_keys: [...(Array.isArray(before) ? before : []), ...keys] })}`;
}

function runStrategyFor(wish: VmCreate): NonNullable<VmDraft['spec']['runStrategy']> {
  if (wish.start === false && wish.runStrategy !== undefined && wish.runStrategy !== 'Halted') {
    refuseField(
      '/start',
      `start: false means runStrategy Halted, but runStrategy is ${JSON.stringify(wish.runStrategy)}; give one of the two.`,
    );
  }
  return wish.start === false ? 'Halted' : (wish.runStrategy ?? 'Always');
}

function firmwareFor({ firmware, kernelBoot }: VmCreate, types: TypeMatchers): Pick<InstanceSpec['domain'], 'firmware'> {
  const bootloader =
    firmware === 'efi' ? { efi: { secureBoot: false } } : firmware === 'bios' && types.preference ? { bios: {} } : undefined;
  if (!bootloader && !kernelBoot) return {};
  return {
    firmware: { ...(bootloader ? { bootloader } : {}), ...(kernelBoot ? { kernelBoot: kernelBootOf(kernelBoot) } : {}) },
  };
}

/** `drivers`: the image of Windows' virtio drivers, where there is one; `timezone`: the box's own. */
export type DraftTypes = TypeMatchers & { drivers?: string; timezone?: string };

/** @throws CroftError `invalid-input` naming the field, its value and what would be right. */
export function draftVm(wish: VmCreate, project: string, types: DraftTypes = {}): VmDraft {
  const resources = resourcesOf(wish);
  const { drivers: _drivers, timezone: zone, ...matchers } = types;
  const timezone = wish.timezone ?? (matchers.preference?.name.startsWith('windows') ? zone : undefined);
  const { disks, volumes, templates } = disksOf(wish, types);
  const nics = wishedNicsOf(wish);
  const spec: InstanceSpec = {
    domain: {
      ...(resources ? { cpu: { cores: resources.cpus }, memory: { guest: formatBytes(resources.memory) } } : {}),
      ...(timezone === undefined ? {} : { clock: { timezone } }),
      ...firmwareFor(wish, types),
      devices: {
        disks: [...disks, { name: 'cloudinit', disk: { bus: 'virtio' } }],
        interfaces: nics.map(({ name, network, mac, model }) => ({
          name,
          ...bindingOf(network),
          ...(mac === undefined ? {} : { macAddress: mac.toLowerCase() }),
          ...(model === undefined ? {} : { model }),
        })),
        rng: {},
      },
    },
    networks: nics.map(({ name, network }) => networkSource(name, network)),
    volumes: [...volumes, { name: 'cloudinit', cloudInitNoCloud: { userData: userDataOf(wish) } }],
    hostname: wish.hostname ?? wish.name,
    ...(wish.paused ? { startStrategy: 'Paused' as const } : {}),
    ...(wish.gracePeriodSeconds === undefined ? {} : { terminationGracePeriodSeconds: wish.gracePeriodSeconds }),
  };
  return {
    metadata: {
      name: checkName(wish.name),
      namespace: project,
      labels: { ...wish.labels, [idLabel]: newId() },
      ...(wish.startOrder === undefined ? {} : { annotations: { [startOrderAnnotation]: String(wish.startOrder) } }),
    },
    spec: {
      runStrategy: runStrategyFor(wish),
      ...matchers,
      template: { metadata: { labels: wish.labels ?? {} }, spec },
      ...(templates.length > 0 ? { dataVolumeTemplates: templates } : {}),
    },
  };
}
