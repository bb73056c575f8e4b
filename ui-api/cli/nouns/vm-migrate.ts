/** `croft vm migrate`: a running VM goes to another box, with progress. */
import type { Command } from 'commander';
import type { Task } from '../../client/types.ts';
import { dryRunOption, waitOptions } from '../options.ts';
import { onAction, type Shell } from '../session.ts';
import { taskIdOf, waitForTask } from '../wait.ts';
import { dryRun } from './resource.ts';

export function addMigrate(vm: Command, shell: Shell): void {
  const command = vm
    .command('migrate <vm>')
    .description('move a running VM to another box')
    .option('--node <box>', 'the box it is to run on; default: the best');
  waitOptions(dryRunOption(command));
  onAction<{ node?: string }>(command, shell, async ({ args: [name = ''], options, session }) => {
    const { vms } = session.client;
    const body = { node: options.node };
    if (await dryRun(session, (query) => vms.act(name, 'migrate', body, query))) return;
    const answer = await vms.act(name, 'migrate', body, session.project);
    const task = taskIdOf(answer as { body?: Task; location?: string });
    if (options.wait === false) return session.print(`${task ?? name}\n`);
    if (task) await waitForTask(session, task);
    session.say(`VM ${name} runs on ${options.node ?? 'another box'} now.`);
  });
}
