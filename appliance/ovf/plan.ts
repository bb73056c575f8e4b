/** An OVF's machine and the person's wishes → what will be made, and what is to know before. Pure. */
import { CroftError, type FieldError } from '../errors.ts';
import { humanBytes } from '../resources/quantity.ts';
import type { OvfMachine } from './read.ts';

/** Ports of the SATA controller that a first boot without virtio drivers needs. */
const sataPorts = 6;

export type ImportWishes = {
  name?: string | undefined;
  /** Network of the descriptor → network of Croft; `*` for all others. */
  networks?: Record<string, string> | undefined;
  keepMac?: boolean | undefined;
  /** Devices of the first boot. Default `compatible`: SATA and e1000e, which every guest has drivers of. */
  devices?: 'compatible' | 'virtio' | undefined;
};

export type ImportDisk = {
  name: string /** Bytes of a blank disk. */;
  size?: number;
  file?: string;
  capacity?: number;
  image?: string;
};

export type ImportPlan = {
  name: string;
  cpus: number;
  memory: number;
  firmware: 'bios' | 'efi';
  devices: 'compatible' | 'virtio';
  disks: ImportDisk[];
  nics: { name: string; from: string; network: string; mac?: string }[];
  /** Sentences: what is different here, what was guessed, what has no counterpart. */
  notes: string[];
};

/** `Web Server_1` → `web-server-1`. */
export const nameFrom = (text: string): string =>
  text
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, 50)
    .replaceAll(/^-+|-+$/g, '') || 'imported';

/** `known`: the networks there are. @throws CroftError `invalid-input` naming each network without a counterpart */
export function planImport(machine: OvfMachine, wishes: ImportWishes, known: readonly string[]): ImportPlan {
  const notes: string[] = [];
  const name = wishes.name ?? nameFrom(machine.name);
  if (machine.cpus === undefined) notes.push('It does not say how many CPUs it has: it gets 1.');
  if (machine.memory === undefined) notes.push('It does not say how much memory it has: it gets 1 GiB.');
  const devices = wishes.devices ?? 'compatible';
  if (machine.disks.length === 0) throw new CroftError('invalid-input', 'The OVF descriptor has no disk.');
  if (devices === 'compatible' && machine.disks.length > sataPorts) {
    throw new CroftError('invalid-input', `It has ${machine.disks.length} disks; SATA has ${sataPorts} ports.`, {
      fix: ['Import it with --devices virtio if its guest has virtio drivers.'],
    });
  }
  const disks = machine.disks.map((disk, index): ImportDisk => {
    const place = index === 0 ? 'root' : `disk${index}`;
    if (disk.file !== undefined) {
      return {
        name: place,
        file: disk.file,
        image: `${name}-${place}-import`,
        ...(disk.capacity === undefined ? {} : { capacity: disk.capacity }),
      };
    }
    if (disk.capacity === undefined) throw new CroftError('invalid-input', `Disk ${index + 1} has neither a file nor a size.`);
    notes.push(`Disk ${place} has no file: it is made blank, ${humanBytes(disk.capacity)}.`);
    return { name: place, size: Math.ceil(disk.capacity / 512) * 512 };
  });
  if (machine.ignored.length > 0) notes.push(`Not taken over: ${machine.ignored.join(', ')}.`);
  if (devices === 'compatible') {
    notes.push('It starts on SATA disks and e1000e NICs, which need no drivers. Then: croft vm switch-virtio, for speed.');
  }
  const nics = mapNics(machine, wishes, known);
  if (!wishes.keepMac && nics.length > 0) notes.push('Its NICs get new MAC addresses (keep them with --keep-mac).');
  return {
    name,
    cpus: machine.cpus ?? 1,
    memory: machine.memory ?? 2 ** 30,
    firmware: machine.firmware,
    devices,
    disks,
    nics,
    notes,
  };
}

function mapNics(machine: OvfMachine, { networks = {}, keepMac }: ImportWishes, known: readonly string[]): ImportPlan['nics'] {
  const missing = new Set<string>();
  const nics = machine.nics.map((nic, index) => {
    const same = known.find((name) => name === nic.network || name === nameFrom(nic.network));
    const network = networks[nic.network] ?? networks['*'] ?? same;
    if (network === undefined) missing.add(nic.network);
    return {
      name: `nic${index}`,
      from: nic.network,
      network: network ?? '',
      ...(keepMac && nic.mac !== undefined ? { mac: nic.mac } : {}),
    };
  });
  if (missing.size > 0) {
    const errors = [...missing].map(
      (name): FieldError => ({ pointer: '/networks', detail: `${JSON.stringify(name)} is not mapped` }),
    );
    const said = [...missing].map((name) => JSON.stringify(name)).join(', ');
    throw new CroftError(
      'invalid-input',
      `networks: ${said} of the descriptor have no counterpart here; there are ${known.join(', ')}.`,
      {
        errors,
        fix: [...missing]
          .map((name) => `--network '${name}=${known[0] ?? 'default'}'`)
          .concat("or all of them: --network '*=default'"),
      },
    );
  }
  return nics;
}
