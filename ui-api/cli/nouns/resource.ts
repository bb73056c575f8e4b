/** The verbs every noun has in the same way: list, show, delete. */
import type { Command } from 'commander';
import type { Client, Collection } from '../../client/client.ts';
import type { Column } from '../output/columns.ts';
import { dryRunOption, listOptions, outputOption, waitOptions, yesOption } from '../options.ts';
import { confirm } from '../prompt.ts';
import { onAction, type Session, type Shell } from '../session.ts';
import { orMissing, waitUntilGone } from '../wait.ts';
import { watch } from '../watch.ts';

export type Noun<T> = {
  /** As typed: `image`. Also the placeholder of names, which completion reads. */
  noun: string;
  /** In sentences: `Image`. */
  title: string;
  collection: (client: Client) => Pick<Collection<T>, 'list' | 'get' | 'remove'>;
  columns: Column<T>[];
};

export function addList<T>(parent: Command, shell: Shell, { noun, collection, columns }: Noun<T>): Command {
  const list = listOptions(parent.command('list').alias('ls').description(`list ${noun}s`));
  return onAction(list, shell, async ({ options, session }) => {
    const fetch = () => collection(session.client).list(session.project, session.io.signal);
    if (options.watch) await watch(session, fetch, showChanges(session, columns));
    else session.printList(await fetch(), columns);
  });
}

/** Prints what `watch` reports; the header only once. */
const showChanges =
  <T>(session: Session, columns: Column<T>[]) =>
  (changed: T[], first: boolean) => {
    if (!first) session.setHeaders(false);
    session.printList(changed, columns);
  };

export function addShow<T>(parent: Command, shell: Shell, { noun, collection, columns }: Noun<T>): Command {
  const show = outputOption(parent.command(`show <${noun}>`).description(`show one ${noun}`)).option(
    '-w, --watch',
    'print it again whenever it changes',
  );
  return onAction(show, shell, async ({ args: [name = ''], options, session }) => {
    const fetch = () => collection(session.client).get(name, session.project, session.io.signal);
    if (!options.watch) return session.printOne(await fetch(), columns);
    await watch(
      session,
      async () => [await fetch()],
      ([object]) => object && session.printOne(object, columns),
    );
  });
}

/** Deletes one or more after a confirmation, then waits until they are gone. */
export function addDelete<T extends object>(parent: Command, shell: Shell, { noun, title, collection }: Noun<T>): Command {
  const remove = parent.command(`delete <${noun}...>`).alias('rm').description(`delete ${noun}s`);
  waitOptions(yesOption(dryRunOption(remove)));
  return onAction(remove, shell, async ({ args, options, session }) => {
    const { get, remove: removeOne } = collection(session.client);
    if (!options.dryRun) await confirm(session.io, `This deletes ${title} ${args.join(', ')}.`, options.yes);
    for (const name of args) {
      if (await dryRun(session, (query) => removeOne(name, query))) continue;
      await removeOne(name, session.project);
      if (options.wait === false) session.say(`${title} ${name}: deletion accepted.`);
      else
        await waitUntilGone(
          session,
          `${title} ${name}`,
          () => orMissing(get(name, session.project)),
          `croft ${noun} show ${name}`,
        );
    }
  });
}

/** Under `--dry-run`: asks the API what it would do, prints that, and answers true. */
export async function dryRun(
  session: Session,
  ask: (query: { project?: string; dryRun: boolean }) => Promise<{ body: unknown }>,
): Promise<boolean> {
  if (!session.options.dryRun) return false;
  const { body } = await ask({ ...session.project, dryRun: true });
  session.printPlan(body);
  return true;
}
