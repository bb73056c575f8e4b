/** `croft task`: long work and its progress. */
import type { Command } from 'commander';
import { listOptions, outputOption, waitOptions } from '../options.ts';
import { taskColumns } from '../output/columns.ts';
import { onAction, type Shell } from '../session.ts';
import { waitForTask } from '../wait.ts';
import { watch } from '../watch.ts';

export function register(program: Command, shell: Shell): void {
  const task = program.command('task').description('long work and its progress');

  const list = listOptions(task.command('list').alias('ls').description('list tasks')).option('--state <state>', 'only these');
  onAction<{ state?: string }>(list, shell, async ({ options, session }) => {
    const fetch = () => session.client.tasks.list({ state: options.state }, session.io.signal);
    if (!options.watch) return session.printList(await fetch(), taskColumns);
    await watch(session, fetch, (changed, first) => {
      if (!first) session.setHeaders(false);
      session.printList(changed, taskColumns);
    });
  });

  onAction(
    outputOption(task.command('show <task>').description('show one task')),
    shell,
    async ({ args: [id = ''], options, session }) => {
      const found = await session.client.tasks.get(id);
      session.printOne(found, taskColumns);
      if (options.output && options.output !== 'table') return;
      for (const { at, text } of found.log ?? []) session.print(`  ${at}  ${text}\n`);
    },
  );

  const follow = task.command('watch <task>').alias('wait').description('wait for a task to end; fails as the task fails');
  onAction(outputOption(waitOptions(follow)), shell, async ({ args: [id = ''], options, session }) => {
    const ended = await waitForTask(session, id);
    if (options.output) session.printOne(ended, taskColumns);
  });

  onAction(task.command('cancel <task>').description('cancel a task'), shell, async ({ args: [id = ''], session }) => {
    await session.client.tasks.act(id, 'cancel');
    session.say(`Task ${id}: cancelling.`);
  });
}
