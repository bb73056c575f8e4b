/** `croft vm set-network`, `attach`, `detach`, `grow-disk`: disks and NICs of a VM, while it runs or not. */
import type { Command } from 'commander';
import type { DiskWish, Vm } from '../../client/types.ts';
import { usageError } from '../exit.ts';
import { dryRunOption, outputOption } from '../options.ts';
import { vmColumns } from '../output/columns.ts';
import { bytes } from '../output/values.ts';
import { onAction, type Session, type Shell } from '../session.ts';
import { nearest } from '../suggest.ts';
import { dryRun } from './resource.ts';
import { addMove } from './volume-move.ts';

export function addDevices(vm: Command, shell: Shell): void {
  addSetNetwork(vm, shell);
  addAttach(vm, shell);
  addDetach(vm, shell);
  addGrow(vm, shell);
  const move = vm.command('move-disk <vm> <disk>').description('move a disk to another pool, also while the VM runs');
  addMove(move, shell, ([name = '', disk = '']) => ({
    what: `Disk ${disk} of VM ${name}`,
    path: path(name, 'disks', disk, 'move'),
  }));
  addCdrom(vm, shell);
}

const path = (vm: string, ...rest: string[]) => `/v1/vms/${[vm, ...rest].map(encodeURIComponent).join('/')}`;

function addSetNetwork(vm: Command, shell: Shell): void {
  const command = vm
    .command('set-network <vm>')
    .description('move a NIC to another network, live')
    .requiredOption('--network <network>', 'the network it moves to')
    .option('--nic <nic>', 'which NIC (not needed when there is one)');
  dryRunOption(outputOption(command));
  onAction<{ network: string; nic?: string }>(command, shell, async ({ args: [name = ''], options, session }) => {
    const { network } = options;
    const nic = nicOf(await session.client.vms.get(name, session.project), options.nic);
    const put = (query: object) =>
      session.client.request<Vm>('PUT', path(name, 'nics', nic), { body: { network }, query: { ...query }, ifMatch: '*' });
    if (await dryRun(session, put)) return;
    const { body } = await put(session.project);
    session.say(`NIC ${nic} of VM ${name} is on network ${network}.`);
    if (options.output) session.printOne(body, vmColumns);
  });
}

/** @throws CliError usage when it isn't clear which NIC is meant */
function nicOf(vm: Vm, wanted: string | undefined): string {
  const names = vm.nics.map(({ name }) => name);
  const [only] = names;
  if (wanted === undefined && only !== undefined && names.length === 1) return only;
  if (wanted !== undefined && names.includes(wanted)) return wanted;
  const list = `VM ${vm.name} has ${names.join(', ') || 'no NIC'}.`;
  if (wanted === undefined) throw usageError('Say which NIC with --nic.', list);
  const near = nearest(wanted, names);
  throw usageError(`--nic: there is no ${JSON.stringify(wanted)}${near ? `; did you mean ${near}?` : '.'}`, list);
}

type AttachOptions = {
  size?: string;
  name?: string;
  pool?: string;
  volume?: string;
  bus?: DiskWish['bus'];
  cdrom?: boolean;
  image?: string;
};

function addAttach(vm: Command, shell: Shell): void {
  const command = vm
    .command('attach <vm>')
    .description('attach a new disk, or an existing volume')
    .option('--size <size>', 'make a new, empty disk of this size')
    .option('--volume <volume>', 'attach this volume')
    .option('--name <name>', 'the disk’s name in the VM')
    .option('--pool <pool>', 'pool of the new disk')
    .option('--cdrom', 'a CD drive, empty unless --volume or --image fills it')
    .option('--image <image>', 'image in the CD drive')
    .option('--bus <bus>', 'virtio, sata or scsi (no hot-plug on sata)');
  dryRunOption(outputOption(command));
  onAction<AttachOptions>(command, shell, async ({ args: [name = ''], options, session }) => {
    const { size, volume, pool, bus } = options;
    if (!options.cdrom && (size === undefined) === (volume === undefined)) throw usageError('Give either --size or --volume.');
    const type = options.cdrom ? 'cdrom' : undefined;
    const disk: DiskWish = { size, volume, pool, bus, type, image: options.image, name: options.name };
    const post = (query: object) =>
      session.client.request<Vm>('POST', path(name, 'disks'), { body: disk, query: { ...query }, ifMatch: '*' });
    const before = new Set((await session.client.vms.get(name, session.project)).disks.map((each) => each.name));
    if (await dryRun(session, post)) return;
    await post(session.project);
    const after = await session.client.vms.get(name, session.project);
    for (const added of after.disks.filter((each) => !before.has(each.name))) {
      const what = [added.size === undefined ? '' : bytes(added.size), added.device].filter(Boolean).join(', ');
      session.say(`Disk ${added.name} is attached to VM ${name}${what ? ` (${what})` : ''}.`);
    }
    if (options.output) session.printOne(after, vmColumns);
  });
}

/** The drive that is meant: the named one, else the only one. @throws CliError usage */
function driveOf(vm: Vm, wanted: string | undefined): string {
  const names = vm.disks.filter(({ type }) => type === 'cdrom').map(({ name }) => name);
  const [first] = names;
  if (wanted !== undefined) return wanted;
  if (first !== undefined) return first;
  throw usageError(`VM ${vm.name} has no CD drive.`, `croft vm attach ${vm.name} --cdrom --bus scsi  # while it runs`);
}

type CdromOptions = { image?: string; volume?: string; drive?: string };

function addCdrom(vm: Command, shell: Shell): void {
  const cdrom = vm.command('cdrom').description('what is in the CD drives of a VM, while it runs or not');
  const put = (session: Session, name: string, drive: string, body: { image?: string; volume?: string }) => (query: object) =>
    session.client.request<Vm>('PUT', path(name, 'cdroms', drive), { body, query: { ...query }, ifMatch: '*' });

  const insert = cdrom
    .command('insert <vm>')
    .description('put an image or a volume into a drive, in place of what is there')
    .option('--image <image>', 'image, e.g. of an ISO')
    .option('--volume <volume>', 'volume')
    .option('--drive <disk>', 'which drive (default: the first)');
  dryRunOption(outputOption(insert));
  onAction<CdromOptions>(insert, shell, async ({ args: [name = ''], options, session }) => {
    const { image, volume } = options;
    if ((image === undefined) === (volume === undefined)) throw usageError('Give either --image or --volume.');
    const drive = driveOf(await session.client.vms.get(name, session.project), options.drive);
    const change = put(session, name, drive, { image, volume });
    if (await dryRun(session, change)) return;
    const { body } = await change(session.project);
    session.say(`${image ?? volume} goes into the drive ${drive} of VM ${name}.`);
    if (options.output) session.printOne(body, vmColumns);
  });

  const eject = cdrom
    .command('eject <vm>')
    .description('take out what is in a drive')
    .option('--drive <disk>', 'which drive (default: the first)');
  dryRunOption(outputOption(eject));
  onAction<CdromOptions>(eject, shell, async ({ args: [name = ''], options, session }) => {
    const drive = driveOf(await session.client.vms.get(name, session.project), options.drive);
    const change = put(session, name, drive, {});
    if (await dryRun(session, change)) return;
    const { body } = await change(session.project);
    session.say(`The drive ${drive} of VM ${name} is empty.`);
    if (options.output) session.printOne(body, vmColumns);
  });
}

function addDetach(vm: Command, shell: Shell): void {
  const command = vm
    .command('detach <vm> <disk>')
    .description('detach a disk; its volume stays')
    .option('--delete', 'delete the volume too');
  dryRunOption(command);
  onAction<{ delete?: boolean }>(command, shell, async ({ args: [name = '', disk = ''], options, session }) => {
    const deleteVolume = options.delete;
    const remove = (query: object) =>
      session.client.request('DELETE', path(name, 'disks', disk), { query: { ...query, deleteVolume }, ifMatch: '*' });
    if (await dryRun(session, remove)) return;
    await remove(session.project);
    session.say(`Disk ${disk} is detached from VM ${name}${deleteVolume ? ' and its volume deleted' : ''}.`);
  });
}

function addGrow(vm: Command, shell: Shell): void {
  const command = vm
    .command('grow-disk <vm> <disk>')
    .description('grow a disk, while the VM runs or not')
    .requiredOption('--size <size>', 'its new size, e.g. 20Gi');
  dryRunOption(outputOption(command));
  onAction<{ size: string }>(command, shell, async ({ args: [name = '', disk = ''], options, session }) => {
    const { size } = options;
    const put = (query: object) =>
      session.client.request<Vm>('PUT', path(name, 'disks', disk), { body: { size }, query: { ...query }, ifMatch: '*' });
    if (await dryRun(session, put)) return;
    const { body } = await put(session.project);
    session.say(`Disk ${disk} of VM ${name} grows to ${size}.`);
    if (options.output) session.printOne(body, vmColumns);
  });
}
