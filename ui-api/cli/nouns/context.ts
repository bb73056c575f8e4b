/** `croft context`: the Crofts signed in to, and which one is meant. */
import type { Command } from 'commander';
import { readContexts, writeContexts, type Contexts } from '../context.ts';
import { usageError } from '../exit.ts';
import { listOptions } from '../options.ts';
import type { Column } from '../output/columns.ts';
import { onAction, type Shell } from '../session.ts';

type Row = { name: string; current: boolean; host: string; user?: string; project?: string };

const columns: Column<Row>[] = [
  { id: 'name', value: ({ name }) => name },
  { id: 'current', value: ({ current }) => current, text: (value) => (value ? '*' : '') },
  { id: 'host', value: ({ host }) => host },
  { id: 'user', value: ({ user }) => user },
  { id: 'project', value: ({ project }) => project },
];

/** Rows without their tokens. */
const rowsOf = ({ current, contexts }: Contexts): Row[] =>
  Object.entries(contexts).map(([name, { host, user, project }]) => ({ name, current: name === current, host, user, project }));

/** @throws CliError usage */
function checkKnown({ contexts }: Contexts, name: string): void {
  if (contexts[name]) return;
  throw usageError(`There is no context ${JSON.stringify(name)}.`, `Contexts: ${Object.keys(contexts).join(', ') || 'none'}.`);
}

export function register(program: Command, shell: Shell): void {
  const context = program.command('context').description('the Crofts signed in to, and which one is meant');
  onAction(listOptions(context.command('list').alias('ls').description('list contexts')), shell, async ({ session }) => {
    session.printList(rowsOf(readContexts(session.io.env)), columns);
  });
  onAction(
    context.command('use <context>').description('make a context the current one'),
    shell,
    async ({ args: [name = ''], session }) => {
      const contexts = readContexts(session.io.env);
      checkKnown(contexts, name);
      await writeContexts(session.io.env, { ...contexts, current: name });
      session.say(`The current context is ${name}.`);
    },
  );
  onAction(context.command('clear').description('use this box’s own socket again'), shell, async ({ session }) => {
    const { contexts } = readContexts(session.io.env);
    await writeContexts(session.io.env, { contexts });
    session.say('No context is current.');
  });
  onAction(
    context.command('delete <context>').alias('rm').description('forget a context'),
    shell,
    async ({ args: [name = ''], session }) => {
      const saved = readContexts(session.io.env);
      checkKnown(saved, name);
      const { [name]: _forgotten, ...contexts } = saved.contexts;
      await writeContexts(session.io.env, { current: saved.current === name ? undefined : saved.current, contexts });
      session.say(`Context ${name} is forgotten.`);
    },
  );
}
