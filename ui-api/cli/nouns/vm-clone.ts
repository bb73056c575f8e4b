/** `croft vm clone`: a new VM with copies of another's disks. */
import type { Command } from 'commander';
import type { Task } from '../../client/types.ts';
import { dryRunOption, outputOption, waitOptions } from '../options.ts';
import { vmColumns } from '../output/columns.ts';
import { onAction, type Shell } from '../session.ts';
import { taskIdOf, waitForTask } from '../wait.ts';
import { dryRun } from './resource.ts';

type CloneOptions = { snapshot?: string; start?: boolean };

export function addClone(vm: Command, shell: Shell): void {
  const command = vm
    .command('clone <vm> <name>')
    .description('make a new VM with copies of the disks of another, which may run')
    .option('--snapshot <snapshot>', 'copy the disks as they were in this snapshot')
    .option('--start', 'start it');
  waitOptions(dryRunOption(outputOption(command)));
  onAction<CloneOptions>(command, shell, async ({ args: [vmName = '', name = ''], options, session }) => {
    const { snapshot, start } = options;
    const body = { name, snapshot, start };
    const { vms } = session.client;
    if (await dryRun(session, (query) => vms.act(vmName, 'clone', body, query))) return;
    const answer = await vms.act(vmName, 'clone', body, session.project);
    const task = taskIdOf(answer as { body?: Task; location?: string });
    if (options.wait === false) return session.print(`${task ?? name}\n`);
    if (task) await waitForTask(session, task);
    session.say(`VM ${name} is a clone of ${vmName}.`);
    if (options.output) session.printOne(await vms.get(name, session.project), vmColumns);
  });
}
