/** `croft volume move`, `croft vm move-disk`: a volume changes its pool, with progress; Ctrl-C stops the waiting, not the move. */
import type { Command } from 'commander';
import type { Task } from '../../client/types.ts';
import { dryRunOption, waitOptions } from '../options.ts';
import { onAction, type Shell } from '../session.ts';
import { taskIdOf, waitForTask } from '../wait.ts';
import { dryRun } from './resource.ts';

type MoveOptions = { pool: string; bandwidth?: string };

/** `describe` says of the arguments what is moved and which address moves it. */
export function addMove(command: Command, shell: Shell, describe: (args: string[]) => { what: string; path: string }): void {
  command
    .requiredOption('--pool <pool>', 'the pool it is to be in')
    .option('--bandwidth <size>', 'bytes a second at most while the VM runs, e.g. 100Mi');
  waitOptions(dryRunOption(command));
  onAction<MoveOptions>(command, shell, async ({ args, options, session }) => {
    const { what, path } = describe(args);
    const { pool, bandwidth } = options;
    const post = (query: object) =>
      session.client.request<Task>('POST', path, { body: { pool, bandwidth }, query: { ...query } });
    if (await dryRun(session, post)) return;
    const task = taskIdOf(await post(session.project));
    if (options.wait === false) return session.print(`${task ?? ''}\n`);
    if (task) await waitForTask(session, task);
    session.say(`${what} is in pool ${pool}.`);
  });
}
