/** `croft snapshot`, and `croft vm snapshot`/`restore` for those who look there. */
import type { Command } from 'commander';
import type { Snapshot } from '../../client/types.ts';
import { CliError, exitCodes } from '../exit.ts';
import { dryRunOption, listOptions, outputOption, waitOptions, yesOption } from '../options.ts';
import { snapshotColumns } from '../output/columns.ts';
import { confirm } from '../prompt.ts';
import { onAction, type Session, type Shell } from '../session.ts';
import { orMissing, taskIdOf, waitForTask, waitUntil, waitUntilGone } from '../wait.ts';
import { dryRun } from './resource.ts';

export function register(program: Command, shell: Shell): void {
  const snapshot = program.command('snapshot').description('snapshots of VMs');
  addCreate(snapshot.command('create <vm> [name]').description('take a snapshot of all disks of a VM at one instant'), shell);
  addListing(snapshot, shell);
  addShowing(snapshot, shell);
  addRestore(snapshot.command('restore <vm> <snapshot>').description('put the disks of a VM back to a snapshot'), shell);
  addDeletion(snapshot, shell);
}

export function addVmSnapshots(vm: Command, shell: Shell): void {
  addCreate(vm.command('snapshot <vm> [name]').description('same as: croft snapshot create'), shell);
  addRestore(vm.command('restore <vm> <snapshot>').description('same as: croft snapshot restore'), shell);
}

/** `s20260131-153000`: sorts by time, says when. */
const defaultName = (now = new Date()): string => `s${now.toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-')}`;

const failed = ({ state, reason }: Snapshot) => (state === 'failed' ? `failed${reason ? `: ${reason}` : ''}` : undefined);

function addCreate(command: Command, shell: Shell): void {
  waitOptions(dryRunOption(outputOption(command)));
  onAction(command, shell, async ({ args: [vm = '', given], options, session }) => {
    const name = given ?? defaultName();
    const snapshots = session.client.snapshots(vm);
    if (await dryRun(session, (query) => snapshots.create({ name }, query))) return;
    const answer = await snapshots.create({ name }, session.project);
    if (options.wait === false) return session.print(`${taskIdOf(answer) ?? name}\n`);
    const made = await waitUntil<Snapshot>(session, {
      what: `Snapshot ${name} of VM ${vm}`,
      goal: 'ready',
      look: () => snapshots.get(name, session.project, session.io.signal),
      reached: (snapshot) => snapshot?.state === 'ready',
      describe: (snapshot) => snapshot?.state ?? 'missing',
      hopeless: (snapshot) => snapshot && failed(snapshot),
      resume: `croft snapshot show ${vm} ${name}`,
    });
    if (options.output && made) session.printOne(made, snapshotColumns);
    else session.print(`${name}\n`);
  });
}

/** Of one VM, or of all. */
async function snapshotsOf({ client, project }: Session, vm: string | undefined): Promise<Snapshot[]> {
  const vms = vm === undefined ? (await client.vms.list(project)).map(({ name }) => name) : [vm];
  const lists = await Promise.all(
    vms.map(async (name) =>
      (await client.snapshots(name).list(project)).map((snapshot) => ({ ...snapshot, vm: snapshot.vm ?? name })),
    ),
  );
  return lists.flat();
}

function addListing(parent: Command, shell: Shell): void {
  const list = listOptions(parent.command('list [vm]').alias('ls').description('list snapshots of a VM, or of all'));
  onAction(list, shell, async ({ args: [vm], options, session }) => {
    const { watch } = await import('../watch.ts');
    if (!options.watch) return session.printList(await snapshotsOf(session, vm), snapshotColumns);
    await watch(
      session,
      () => snapshotsOf(session, vm),
      (changed) => session.printList(changed, snapshotColumns),
    );
  });
}

function addShowing(parent: Command, shell: Shell): void {
  const show = outputOption(parent.command('show <vm> <snapshot>').description('show one snapshot'));
  onAction(show, shell, async ({ args: [vm = '', name = ''], session }) => {
    session.printOne(await session.client.snapshots(vm).get(name, session.project), snapshotColumns);
  });
}

function addRestore(command: Command, shell: Shell): void {
  waitOptions(yesOption(dryRunOption(command.option('--no-start', 'leave the VM stopped afterwards'))));
  onAction<{ start?: boolean }>(command, shell, async ({ args: [vm = '', name = ''], options, session }) => {
    const snapshots = session.client.snapshots(vm);
    const body = options.start === false ? { start: false } : {};
    if (await dryRun(session, (query) => snapshots.act(name, 'restore', body, query))) return;
    await confirm(session.io, `This puts the disks of VM ${vm} back to ${name}; what was written since is lost.`, options.yes);
    const answer = await snapshots.act(name, 'restore', body, session.project);
    const task = taskIdOf(answer);
    if (options.wait === false) return session.print(`${task ?? name}\n`);
    if (task) await waitForTask(session, task);
    session.say(`VM ${vm} is back at snapshot ${name}.`);
  });
}

function addDeletion(parent: Command, shell: Shell): void {
  const remove = parent.command('delete <vm> <snapshot...>').alias('rm').description('delete snapshots');
  waitOptions(yesOption(dryRunOption(remove)));
  onAction(remove, shell, async ({ args: [vm = '', ...names], options, session }) => {
    const snapshots = session.client.snapshots(vm);
    if (names.length === 0) throw new CliError(exitCodes.usage, 'No snapshot was named.');
    if (!options.dryRun) await confirm(session.io, `This deletes snapshot ${names.join(', ')} of VM ${vm}.`, options.yes);
    for (const name of names) {
      if (await dryRun(session, (query) => snapshots.remove(name, query))) continue;
      await snapshots.remove(name, session.project);
      const look = () => orMissing(snapshots.get(name, session.project));
      if (options.wait !== false) await waitUntilGone(session, `Snapshot ${name}`, look, `croft snapshot show ${vm} ${name}`);
    }
  });
}
