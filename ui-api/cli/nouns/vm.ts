/** `croft vm`: create, list, show, edit, delete, wait, explain. Actions and devices have files of their own. */
import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type { DiskWish, Explanation, Vm, VmCreate, VmPatch } from '../../client/types.ts';
import { exitCodes, usageError, CliError } from '../exit.ts';
import { readAll, type Io } from '../io.ts';
import { collect, collectLabel, dryRunOption, outputOption, parseInteger, waitOptions, yesOption } from '../options.ts';
import { vmColumns } from '../output/columns.ts';
import { bytes } from '../output/values.ts';
import { confirm } from '../prompt.ts';
import { onAction, type Session, type Shell } from '../session.ts';
import { orMissing, parseVmGoal, waitForVm, waitUntilGone } from '../wait.ts';
import { addList, addShow, dryRun, type Noun } from './resource.ts';
import { addActions } from './vm-actions.ts';
import { addDevices } from './vm-devices.ts';
import { addClone } from './vm-clone.ts';
import { addExport } from './vm-export.ts';
import { addImport } from './vm-import.ts';
import { addMigrate } from './vm-migrate.ts';
import { addConsole } from './vm-console.ts';
import { addGuestInfo } from './vm-guest.ts';
import { addPortForward, addSsh } from './vm-ssh.ts';
import { addVmSnapshots } from './snapshot.ts';

const noun: Noun<Vm> = { noun: 'vm', title: 'VM', collection: (client) => client.vms, columns: vmColumns };

export function register(program: Command, shell: Shell): void {
  const vm = program.command('vm').description('virtual machines');
  addCreate(vm, shell);
  addList(vm, shell, noun);
  addShow(vm, shell, noun);
  addEdit(vm, shell);
  addDelete(vm, shell);
  addActions(vm, shell);
  addWait(vm, shell);
  addConsole(vm, shell);
  addSsh(vm, shell);
  addPortForward(vm, shell);
  addDevices(vm, shell);
  addVmSnapshots(vm, shell);
  addClone(vm, shell);
  addImport(vm, shell);
  addExport(vm, shell);
  addMigrate(vm, shell);
  addExplain(vm, shell);
  addGuestInfo(vm, shell);
}

type CreateOptions = {
  image?: string;
  iso?: string;
  timezone?: string;
  size?: string;
  preference?: string;
  machine?: string;
  cpus?: number;
  memory?: string;
  disk?: DiskWish[];
  network?: string[];
  firmware?: 'bios' | 'efi';
  kernelImage?: string;
  kernel?: string;
  initrd?: string;
  kernelArgs?: string;
  runStrategy?: Vm['runStrategy'];
  startOrder?: number;
  sshKey?: string[];
  userData?: string;
  hostname?: string;
  label?: Record<string, string>;
  start?: boolean;
  paused?: boolean;
};

function addCreate(vm: Command, shell: Shell): void {
  const create = vm
    .command('create <name>')
    .description('create a VM and start it')
    .option('--image <image>', 'image its first disk is made of')
    .option('--iso <image>', 'image of an ISO in a CD drive, to install from (with --disk SIZE)')
    .option('--size <instancetype>', 'instance type, instead of --cpus and --memory')
    .option('--preference <preference>', 'defaults for what is left open, e.g. windows')
    .option('--cpus <count>', 'virtual CPUs', parseInteger)
    .option('--memory <size>', 'memory, e.g. 512Mi or 4Gi')
    .option('--disk <disk>', 'a disk: its size, or size=,name=,pool=,volume=,image=,bus=; may be repeated', collectDisk)
    .option('--network <network>', 'network of a NIC; may be repeated (default: default)', collect)
    .option('--firmware <kind>', 'bios or efi')
    .option('--kernel-image <image>', 'boot a kernel directly: image of a tar archive that has it')
    .option('--kernel <path>', 'path of the kernel in that image, e.g. boot/vmlinuz')
    .option('--initrd <path>', 'path of its initrd there')
    .option('--kernel-args <text>', 'the kernel’s command line')
    .option('--timezone <zone>', 'zone of its clock, e.g. Europe/Berlin')
    .option('--run-strategy <strategy>', 'Always, RerunOnFailure, Once, Manual or Halted')
    .option('--start-order <number>', 'after a reboot of the box, lower numbers start first', parseInteger)
    .option('--ssh-key <key>', 'public SSH key, or a file of them; may be repeated', collect)
    .option('--user-data <file>', 'cloud-init user data; - reads standard input')
    .option('--hostname <name>', 'host name in the guest (default: the VM’s name)')
    .option('--label <key=value>', 'label; may be repeated', collectLabel)
    .option('--paused', 'start it with stopped vCPUs, until it is unpaused')
    .option('--no-start', 'leave it stopped');
  waitOptions(dryRunOption(outputOption(create)));
  onAction<CreateOptions>(create, shell, async ({ args: [name = ''], options, session }) => {
    const body = await createBody(name, options, session.io);
    if (await dryRun(session, (query) => session.client.vms.create(body, query))) return;
    const created = await session.client.vms.create(body, session.project);
    const goal = parseVmGoal(options.start === false ? 'stopped' : options.paused ? 'state=paused' : 'running');
    const waits = options.wait !== false && !['Halted', 'Manual'].includes(options.runStrategy ?? '');
    if (!waits) session.say(`VM ${name} is created.`);
    const made = waits ? await waitForVm(session, name, goal, { failEarly: true }) : created.body;
    if (options.output) session.printOne(made, vmColumns);
    else if (options.wait === false) session.print(`${created.body.id ?? name}\n`);
  });
}

async function createBody(name: string, options: CreateOptions, io: Io): Promise<VmCreate> {
  const {
    image,
    iso,
    timezone,
    size,
    preference,
    cpus,
    memory,
    disk,
    network,
    firmware,
    runStrategy,
    startOrder,
    hostname,
    label,
  } = options;
  const userData =
    options.userData === undefined
      ? undefined
      : options.userData === '-'
        ? await readAll(io.stdin)
        : await readText(options.userData);
  const keys = await Promise.all((options.sshKey ?? []).map(readKeys));
  return {
    name,
    image,
    iso,
    timezone,
    size,
    preference,
    cpus,
    memory,
    disks: disk,
    nics: network?.map((each) => ({ network: each })),
    firmware,
    kernelBoot: kernelBootOf(options),
    runStrategy,
    startOrder,
    hostname,
    userData,
    sshKeys: keys.length > 0 ? keys.flat() : undefined,
    labels: label,
    start: options.start === false ? false : undefined,
    paused: options.paused,
  };
}

function kernelBootOf({ kernelImage, kernel, initrd, kernelArgs }: CreateOptions): VmCreate['kernelBoot'] {
  if (kernelImage === undefined && kernel === undefined && initrd === undefined && kernelArgs === undefined) return undefined;
  if (kernelImage === undefined || kernel === undefined)
    throw usageError('A kernel is booted directly with --kernel-image and --kernel; --initrd and --kernel-args may be added.');
  return { image: kernelImage, kernel, initrd, args: kernelArgs };
}

/** `10Gi` or `size=10Gi,name=data,pool=fast`, collected. */
export function collectDisk(text: string, before: DiskWish[] = []): DiskWish[] {
  if (!text.includes('=')) return [...before, { size: text }];
  const known = ['size', 'name', 'pool', 'volume', 'image', 'bus'];
  const pairs = text.split(',').map((part) => part.split('='));
  const unknown = pairs.find(([key, value]) => !known.includes(key ?? '') || !value);
  if (unknown)
    throw usageError(`--disk: cannot use ${JSON.stringify(unknown.join('='))}.`, `Write a size, or ${known.join('=, ')}=.`);
  return [...before, Object.fromEntries(pairs) as DiskWish];
}

/** A key as it is, or the keys in a file, one a line. */
async function readKeys(text: string): Promise<string[]> {
  const content = /^(ssh|ecdsa|sk-)\S* /.test(text) ? text : await readText(text);
  return content
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw usageError(`${path} cannot be read: ${(error as Error).message}`);
  }
}

type EditOptions = Pick<CreateOptions, 'cpus' | 'memory' | 'size' | 'machine' | 'runStrategy' | 'startOrder'> & {
  label?: Record<string, string>;
  removeLabel?: string[];
};

function addEdit(vm: Command, shell: Shell): void {
  const edit = vm
    .command('edit <vm>')
    .alias('resize')
    .description('change CPUs, memory, run strategy or labels')
    .option('--cpus <count>', 'virtual CPUs', parseInteger)
    .option('--memory <size>', 'memory, e.g. 4Gi')
    .option('--size <instancetype>', 'instance type, instead of --cpus and --memory')
    .option('--machine <type>', 'versioned machine type, e.g. pc-q35-9.2: new virtual hardware at the next restart')
    .option('--run-strategy <strategy>', 'Always, RerunOnFailure, Once, Manual or Halted')
    .option('--start-order <number>', 'after a reboot of the box, lower numbers start first', parseInteger)
    .option('--label <key=value>', 'set a label; may be repeated', collectLabel)
    .option('--remove-label <key>', 'remove a label; may be repeated', collect);
  dryRunOption(outputOption(edit));
  onAction<EditOptions>(edit, shell, async ({ args: [name = ''], options, session }) => {
    const removed = Object.fromEntries((options.removeLabel ?? []).map((key) => [key, null]));
    const labels = { ...options.label, ...removed };
    const { cpus, memory, size, machine, runStrategy, startOrder } = options;
    const patch: VmPatch = {
      cpus,
      memory,
      size,
      machine,
      runStrategy,
      startOrder,
      ...(Object.keys(labels).length > 0 ? { labels } : {}),
    };
    if (Object.values(patch).every((value) => value === undefined)) {
      throw usageError('Nothing to change was named.', 'See: croft vm edit --help');
    }
    if (await dryRun(session, (query) => session.client.vms.patch(name, patch, query))) return;
    const { body } = await session.client.vms.patch(name, patch, session.project);
    const restart = body.conditions?.find(({ type, status }) => type === 'RestartRequired' && status === 'True');
    session.say(`VM ${name} is changed.${restart ? ` ${restart.message ?? 'It takes effect at the next restart'}` : ''}`);
    if (options.output) session.printOne(body, vmColumns);
  });
}

function addDelete(vm: Command, shell: Shell): void {
  const remove = vm
    .command('delete <vm...>')
    .alias('rm')
    .description('delete VMs, and their disks')
    .option('--keep-disks', 'keep their volumes');
  waitOptions(yesOption(dryRunOption(remove)));
  onAction<{ keepDisks?: boolean }>(remove, shell, async ({ args, options, session }) => {
    const deleteDisks = !options.keepDisks;
    if (!options.dryRun) await confirmDelete(session, args, deleteDisks);
    for (const name of args) {
      if (await dryRun(session, (query) => session.client.vms.remove(name, { ...query, deleteDisks }))) continue;
      await session.client.vms.remove(name, { ...session.project, deleteDisks });
      if (options.wait === false) session.say(`VM ${name}: deletion accepted.`);
      else await untilDeleted(session, name);
    }
  });
}

/** Says what will be lost, in numbers. */
async function confirmDelete(session: Session, names: string[], deleteDisks: boolean): Promise<void> {
  if (session.options.yes) return;
  const vms = await Promise.all(names.map((name) => session.client.vms.get(name, session.project)));
  const disks = vms.flatMap((vm) => vm.disks);
  const size = disks.reduce((sum, disk) => sum + (disk.size ?? 0), 0);
  const fate = deleteDisks ? `and its ${disks.length} disk(s), ${bytes(size)}` : 'and keeps its disks';
  await confirm(session.io, `This deletes VM ${names.join(', ')} ${fate}.`, false);
}

const untilDeleted = (session: Session, name: string) =>
  waitUntilGone(
    session,
    `VM ${name}`,
    () => orMissing(session.client.vms.get(name, session.project)),
    `croft vm wait ${name} deleted`,
  );

function addWait(vm: Command, shell: Shell): void {
  const wait = vm
    .command('wait <vm> <condition>')
    .description('wait until a VM is running, has an ip or agent, is deleted, or has state=X');
  waitOptions(outputOption(wait));
  onAction(wait, shell, async ({ args: [name = '', condition = ''], options, session }) => {
    if (condition === 'deleted') return void (await untilDeleted(session, name));
    const found = await waitForVm(session, name, parseVmGoal(condition));
    if (options.output) session.printOne(found, vmColumns);
  });
}

function addExplain(vm: Command, shell: Shell): void {
  const explain = outputOption(vm.command('explain <vm>').description('say why a VM is in its state, and what to do next'));
  onAction(explain, shell, async ({ args: [name = ''], options, session }) => {
    const path = `/v1/vms/${encodeURIComponent(name)}/explain`;
    const { body } = await session.client.request<Explanation>('GET', path, { query: session.project });
    if (!body?.sentence) throw new CliError(exitCodes.failed, `The API gave no explanation for VM ${name}.`);
    if (options.output && options.output !== 'table') return session.printOne(body, []);
    session.print(`${body.state}: ${body.sentence}\n`);
    if (body.disks) session.print(`  ${body.disks}\n`);
    for (const next of body.next) session.print(`  Next: ${next}\n`);
    for (const { at, text } of body.evidence) session.print(`  ${at ? `${at}  ` : ''}${text}\n`);
  });
}
