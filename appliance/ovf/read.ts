/**
 * What an OVF descriptor says of one virtual machine (DMTF DSP0243 1.1 and 2.0; resource types of CIM_ResourceAllocation-
 * SettingData), with VMware's and VirtualBox's own words for firmware. Pure; the text is foreign and nothing in it is
 * believed beyond its shape: names of files are plain names, numbers are numbers.
 */
import { CroftError } from '../errors.ts';
import { allNamed, childOf, childrenOf, parseXml, textOf, type XmlElement } from './xml.ts';

export type OvfDisk = {
  /** File beside the descriptor; absent for a blank disk. */
  file?: string;
  /** Bytes the guest sees, where it says so. */
  capacity?: number;
};

export type OvfNic = { network: string; mac?: string; model?: string };

export type OvfMachine = {
  name: string;
  os?: string;
  cpus?: number;
  /** Bytes. */
  memory?: number;
  firmware: 'bios' | 'efi';
  /** In the order of controllers and places: the first is what it boots from. */
  disks: OvfDisk[];
  nics: OvfNic[];
  /** Parts that have no counterpart: `CD drive`, `sound card`. */
  ignored: string[];
};

const refuse = (why: string, fix?: string): CroftError =>
  new CroftError('invalid-input', `The OVF descriptor is not usable: ${why}.`, fix ? { fix: [fix] } : {});

/** CIM resource types. */
const types = { cpu: 3, memory: 4, nic: 10, disk: 17, disk2: 31 } as const;
const controllers = new Set([5, 6, 7, 20]);
const ignoredTypes: Record<number, string> = {
  14: 'floppy drive',
  15: 'CD drive',
  16: 'CD drive',
  23: 'USB controller',
  35: 'sound card',
};

/** `wanted`: name or id of one where it describes several. @throws CroftError `invalid-input` */
export function readOvf(text: string, wanted?: string): OvfMachine {
  const envelope = parseXml(text);
  if (envelope.name !== 'Envelope') throw refuse(`its root is <${envelope.name}>, not <Envelope>`);
  const system = machineOf(allNamed(envelope, 'VirtualSystem'), wanted);
  const hardware = childOf(system, 'VirtualHardwareSection');
  if (!hardware) throw refuse('it has no <VirtualHardwareSection>');
  const items = hardware.children.filter(({ name }) => ['Item', 'StorageItem', 'EthernetPortItem'].includes(name));
  const ofType = (...wanted: number[]) => items.filter((item) => wanted.includes(numberIn(item, 'ResourceType') ?? -1));
  const cpu = ofType(types.cpu)[0];
  const memory = ofType(types.memory)[0];
  const quantity = memory && numberIn(memory, 'VirtualQuantity');
  const ignored = items.flatMap((item) => ignoredTypes[numberIn(item, 'ResourceType') ?? -1] ?? []);
  return {
    name: textOf(system, 'Name') ?? system.attributes.id ?? 'imported',
    ...optional('os', textOf(childOf(system, 'OperatingSystemSection'), 'Description')),
    ...optional('cpus', cpu && numberIn(cpu, 'VirtualQuantity')),
    ...optional('memory', quantity && memory && quantity * unitBytes(textOf(memory, 'AllocationUnits') ?? 'byte * 2^20')),
    firmware: firmwareOf(system),
    disks: disksOf(envelope, items, ofType(types.disk, types.disk2)),
    nics: ofType(types.nic).map(nicOf),
    ignored: [...new Set(ignored)],
  };
}

/** Several machines are imported one by one, each under its own name. */
function machineOf(systems: XmlElement[], wanted: string | undefined): XmlElement {
  const [first, ...others] = systems;
  if (!first) throw refuse('it has no <VirtualSystem>');
  if (wanted === undefined && others.length === 0) return first;
  const idOf = (system: XmlElement): string => (system.attributes.id ?? '').slice(0, 80);
  const known = systems.map((system) => JSON.stringify(idOf(system))).join(', ');
  if (wanted === undefined) {
    throw refuse(
      `it describes ${systems.length} virtual machines, ${known}: name the one to import`,
      `Import them one by one: machine, or croft vm import --machine ${JSON.stringify(idOf(first))}.`,
    );
  }
  const found = systems.filter((system) => wanted === idOf(system) || wanted === textOf(system, 'Name'));
  if (found.length === 1) return found[0] as XmlElement;
  throw refuse(
    `it has ${found.length === 0 ? 'no' : 'more than one'} virtual machine ${JSON.stringify(wanted)}; it has ${known}`,
  );
}

const optional = <K extends string, V>(key: K, value: V | undefined | '' | 0): { [key in K]?: V } =>
  (value === undefined || value === '' || value === 0 ? {} : { [key]: value }) as { [key in K]?: V };

function numberIn(element: XmlElement, name: string): number | undefined {
  const text = textOf(element, name);
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** `byte * 2^20` (DSP0004), and the words that older tools write. @throws CroftError `invalid-input` */
export function unitBytes(units: string): number {
  const power = /^byte(?:s)?(?:\s*\*\s*(2|10)\^(\d{1,2}))?$/i.exec(units.trim());
  if (power) return power[1] === undefined ? 1 : Number(power[1]) ** Number(power[2]);
  const words: Record<string, number> = {
    kilobytes: 10,
    kb: 10,
    megabytes: 20,
    mb: 20,
    gigabytes: 30,
    gb: 30,
    terabytes: 40,
    tb: 40,
  };
  const exponent = words[units.trim().toLowerCase()];
  if (exponent === undefined) throw refuse(`it counts in ${JSON.stringify(units.slice(0, 40))}, which is no unit of bytes`);
  return 2 ** exponent;
}

/** VMware: `<vmw:Config key="firmware" value="efi">`; VirtualBox: `<Firmware type="EFI">`. */
function firmwareOf(system: XmlElement): 'bios' | 'efi' {
  const config = [...allNamed(system, 'Config'), ...allNamed(system, 'ExtraConfig')];
  const byConfig = config.some(({ attributes }) => attributes.key === 'firmware' && attributes.value === 'efi');
  return byConfig || allNamed(system, 'Firmware').some(({ attributes }) => /^efi/i.test(attributes.type ?? '')) ? 'efi' : 'bios';
}

function disksOf(envelope: XmlElement, items: XmlElement[], drives: XmlElement[]): OvfDisk[] {
  const files = new Map(
    childrenOf(childOf(envelope, 'References'), 'File').map(({ attributes }) => [attributes.id, attributes.href]),
  );
  const disks = new Map(
    childrenOf(childOf(envelope, 'DiskSection'), 'Disk').map(({ attributes }) => [attributes.diskId, attributes]),
  );
  const places = new Map(
    items
      .filter((item) => controllers.has(numberIn(item, 'ResourceType') ?? -1))
      .map((item, order) => [textOf(item, 'InstanceID'), order]),
  );
  const placeOf = (drive: XmlElement): [number, number] => [
    places.get(textOf(drive, 'Parent')) ?? places.size,
    numberIn(drive, 'AddressOnParent') ?? 0,
  ];
  return drives
    .map((drive) => ({ drive, place: placeOf(drive) }))
    .sort((a, b) => a.place[0] - b.place[0] || a.place[1] - b.place[1])
    .map(({ drive }) => diskOf(textOf(drive, 'HostResource') ?? '', files, disks));
}

function diskOf(
  resource: string,
  files: ReadonlyMap<string | undefined, string | undefined>,
  disks: ReadonlyMap<string | undefined, Record<string, string>>,
): OvfDisk {
  const [, kind, id] = /^(?:ovf:)?\/(disk|file)\/(.+)$/.exec(resource) ?? [];
  if (kind === 'file') return { file: plainName(files.get(id), id) };
  const disk = disks.get(id);
  if (!disk) throw refuse(`a drive names the disk ${JSON.stringify(resource.slice(0, 80))}, which is not there`);
  if (disk.parentRef) throw refuse('a disk is a delta of another', 'Consolidate its snapshots, then export it again.');
  const capacity = /^\d{1,15}$/.test(disk.capacity ?? '')
    ? Number(disk.capacity) * unitBytes(disk.capacityAllocationUnits ?? 'byte')
    : undefined;
  const size = capacity === undefined || !Number.isSafeInteger(capacity) ? {} : { capacity };
  return disk.fileRef === undefined ? size : { file: plainName(files.get(disk.fileRef), disk.fileRef), ...size };
}

/** Files lie beside the descriptor: anything else would reach out of the package. */
function plainName(href: string | undefined, id: string | undefined): string {
  if (href === undefined)
    throw refuse(`it refers to the file ${JSON.stringify((id ?? '').slice(0, 80))}, which is not in its references`);
  const name = href.replace(/^\.\//, '');
  if (!/^[^/\\\0]{1,255}$/.test(name) || name === '.' || name === '..') {
    throw refuse(`the file ${JSON.stringify(href.slice(0, 80))} is not a plain name beside the descriptor`);
  }
  return name;
}

function nicOf(item: XmlElement): OvfNic {
  const mac = textOf(item, 'Address')?.toLowerCase().replaceAll('-', ':');
  return {
    network: textOf(item, 'Connection') ?? 'unnamed',
    ...(mac !== undefined && /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(mac) ? { mac } : {}),
    ...optional('model', textOf(item, 'ResourceSubType')),
  };
}
