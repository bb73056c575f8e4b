/** `croft vm import` and `croft vm switch-virtio`: a VM from elsewhere, first on devices every guest knows. */
import type { Command } from 'commander';
import type { Image, Vm, VmImport, Volume } from '../../client/types.ts';
import { sendUpload } from '../../client/upload.ts';
import { usageError } from '../exit.ts';
import { checkedDigest, openPackage, type OvfPackage } from '../ova.ts';
import { dryRunOption, outputOption, waitOptions } from '../options.ts';
import { vmColumns } from '../output/columns.ts';
import { bytes } from '../output/values.ts';
import { onAction, type Session, type Shell } from '../session.ts';
import { orMissing, parseVmGoal, waitForVm, waitUntil } from '../wait.ts';

type ImportOptions = {
  machine?: string;
  name?: string;
  network?: Record<string, string>;
  keepMac?: boolean;
  devices?: 'compatible' | 'virtio';
  pool?: string;
  start?: boolean;
};

export function addImport(vm: Command, shell: Shell): void {
  const command = vm
    .command('import <package>')
    .description('make a VM of an OVA file or a directory with an OVF; typed again, it goes on')
    .option('--machine <name>', 'which one, where the package has several')
    .option('--name <name>', 'name of the VM (default: the package’s)')
    .option(
      '--network <theirs=ours>',
      "network of the package → network here; '*=NAME' for all others; may be repeated",
      collectNetwork,
    )
    .option('--keep-mac', 'keep the MAC addresses of its NICs')
    .option('--devices <kind>', 'compatible (SATA, e1000e: the default) or virtio')
    .option('--pool <pool>', 'pool that keeps its disks')
    .option('--start', 'start it when its disks are there');
  waitOptions(dryRunOption(outputOption(command)));
  onAction<ImportOptions>(command, shell, async ({ args: [path = ''], options, session }) => {
    const parcel = await openPackage(path);
    try {
      await importPackage(session, parcel, options);
    } finally {
      await parcel.close();
    }
  });

  const change = vm
    .command('switch-virtio <vm>')
    .description('give a stopped VM virtio disks and NICs, once its guest has the drivers')
    .option('--back', 'to SATA disks and e1000e NICs again');
  outputOption(change);
  onAction<{ back?: boolean }>(change, shell, async ({ args: [name = ''], options, session }) => {
    const { body } = await session.client.vms.act(name, 'switch-virtio', options.back ? { back: true } : {}, session.project);
    session.say(`VM ${name} has ${options.back ? 'SATA disks and e1000e' : 'virtio disks and'} NICs from its next start on.`);
    if (options.output) session.printOne(body as Vm, vmColumns);
  });
}

/** `VM Network=vlan20`, collected. */
export function collectNetwork(text: string, before: Record<string, string> = {}): Record<string, string> {
  const at = text.lastIndexOf('=');
  if (at < 1 || at === text.length - 1) throw usageError(`--network: ${JSON.stringify(text)} is not THEIRS=OURS.`);
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}

async function importPackage(session: Session, parcel: OvfPackage, options: ImportOptions): Promise<void> {
  const { machine, name, network: networks, keepMac, devices, pool, start } = options;
  const wish = { ovf: parcel.descriptor, machine, name, networks, keepMac, devices, pool, start };
  const ask = async (body: object, dryRun: boolean): Promise<VmImport> => {
    const query = { ...session.project, ...(dryRun ? { dryRun } : {}) };
    const answer = await session.client.request<VmImport & { result?: VmImport }>('POST', '/v1/vms/import', { query, body });
    return answer.body.result ?? answer.body;
  };
  const planned = await ask(wish, true);
  tellReport(session, planned.report);
  // Read before anything is made: a damaged package leaves nothing behind.
  const files = planned.report.disks.flatMap(({ file }) => (file === undefined ? [] : [file]));
  const checksums: Record<string, string> = {};
  for (const file of session.options.dryRun ? [] : new Set(files)) {
    const content = await parcel.file(file);
    checksums[file] = await checkedDigest(file, content, parcel.manifest.get(file), (fraction) =>
      session.progress.update(`${file}: checksum ${Math.round(fraction * 100)} %`),
    );
  }
  if (session.options.dryRun) {
    for (const file of files) await parcel.file(file);
    return session.say('Nothing was changed.');
  }
  const begun = await ask({ ...wish, checksums }, false);
  for (const { file, image } of begun.uploads) {
    const content = await parcel.file(file);
    const progress = (done: number, total: number) => session.progress.update(`${file}: sent ${bytes(done)} of ${bytes(total)}`);
    await sendUpload(session.client, image, content, { signal: session.io.signal, progress });
    await untilTaken(session, image, file);
  }
  const { report } = begun;
  if (session.options.wait === false) return session.print(`${begun.vm.id ?? report.name}\n`);
  const made = await waitForVm(session, report.name, parseVmGoal(start ? 'running' : 'stopped'), { failEarly: true });
  await untilDisksAreThere(session, report.name);
  if (session.options.output) session.printOne(made, vmColumns);
}

function tellReport(session: Session, report: VmImport['report']): void {
  const { name, cpus, memory, firmware, disks, nics, notes } = report;
  session.say(`VM ${name}: ${cpus} CPU${cpus === 1 ? '' : 's'}, ${bytes(memory)}, ${firmware === 'efi' ? 'UEFI' : 'BIOS'}`);
  for (const disk of disks)
    session.say(`  disk ${disk.name}: ${disk.file ?? 'blank'} ${bytes(disk.capacity ?? disk.size)}`.trimEnd());
  for (const nic of nics) session.say(`  NIC ${nic.name}: ${nic.from} → ${nic.network}${nic.mac ? ` (${nic.mac})` : ''}`);
  for (const note of notes) session.say(`  ${note}`);
}

/** The image of a disk is used up, and gone, as soon as the disk is made. */
const untilTaken = (session: Session, image: string, file: string) =>
  waitUntil<Image>(session, {
    what: `Disk ${file}`,
    goal: 'taken in',
    look: () => orMissing(session.client.images.get(image, undefined, session.io.signal)),
    reached: (found) => found === undefined || found.state === 'ready' || found.state === 'terminating',
    describe: (found) => [found?.state, found?.reason].filter(Boolean).join(' '),
    hopeless: (found) => (found?.state === 'failed' ? `failed: ${found.reason ?? 'no reason was given'}` : undefined),
    resume: `croft image show ${image} --watch`,
  });

const untilDisksAreThere = (session: Session, name: string) =>
  waitUntil<Volume[]>(session, {
    what: `VM ${name}`,
    goal: 'imported',
    look: async () => {
      const { disks } = await session.client.vms.get(name, session.project, session.io.signal);
      const names = disks.flatMap(({ volume }) => volume ?? []);
      const look = (volume: string) => orMissing(session.client.volumes.get(volume, session.project, session.io.signal));
      const found = (await Promise.all(names.map(look))).filter((volume) => volume !== undefined);
      return found.length < names.length ? undefined : found;
    },
    reached: (volumes) => volumes?.every(({ state }) => state === 'bound') ?? false,
    describe: (volumes) =>
      volumes?.map(({ name: volume, state, reason }) => `${volume} ${reason ?? state}`).join(', ') ?? 'its disks are being made',
    hopeless: (volumes) => volumes?.find(({ state }) => state === 'failed')?.reason,
    resume: `croft vm show ${name} --watch`,
  });
