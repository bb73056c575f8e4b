/** `croft user`: people who may sign in. */
import type { Command } from 'commander';
import type { User, UserCreate, UserWithLink } from '../../client/types.ts';
import { usageError } from '../exit.ts';
import { readAll } from '../io.ts';
import { dryRunOption, outputOption } from '../options.ts';
import { userColumns } from '../output/columns.ts';
import { onAction, type Session, type Shell } from '../session.ts';
import { addDelete, addList, addShow, dryRun, type Noun } from './resource.ts';

const noun: Noun<User> = { noun: 'user', title: 'User', collection: (client) => client.users, columns: userColumns };

export function register(program: Command, shell: Shell): void {
  const user = program.command('user').description('people who may sign in');
  addList(user, shell, noun);
  addShow(user, shell, noun);
  addCreate(user, shell);
  addEdit(user, shell);
  addReset(user, shell);
  addDelete(user, shell, noun);
}

type Role = User['role'];
type CreateOptions = { role: Role; fullName?: string; passwordStdin?: boolean };

/** The first line of standard input, when asked for. */
async function passwordFrom(session: Session, wanted: boolean | undefined): Promise<string | undefined> {
  return wanted ? (await readAll(session.io.stdin)).split(/\r?\n/)[0] : undefined;
}

/** Where a browser finds the box; the API itself gives paths. Over the socket: where the box listens by its settings. */
const addressOf = ({ connection, io }: Session): string =>
  connection.baseUrl ?? `http://${io.env.CROFT_LISTEN ?? '127.0.0.1:8440'}`;

function printLink(session: Session, user: UserWithLink): void {
  if (!user.setupUrl) return;
  session.say(`This link sets the password of ${user.name}, once${user.setupExpiresAt ? `, until ${user.setupExpiresAt}` : ''}:`);
  session.print(`${addressOf(session)}${user.setupUrl}\n`);
}

function addCreate(parent: Command, shell: Shell): void {
  const create = parent
    .command('create <name>')
    .alias('invite')
    .description('add a user; prints the one-time link that sets the password')
    .requiredOption('--role <role>', 'viewer, operator or admin')
    .option('--full-name <text>', 'name for people')
    .option('--password-stdin', 'take the password from standard input instead');
  dryRunOption(outputOption(create));
  onAction<CreateOptions>(create, shell, async ({ args: [name = ''], options, session }) => {
    const password = await passwordFrom(session, options.passwordStdin);
    const body: UserCreate = { name, role: options.role, fullName: options.fullName, password };
    if (await dryRun(session, (query) => session.client.users.create(body, query))) return;
    const answer = await session.client.users.create(body);
    session.say(`User ${name} is added.`);
    if (options.output) session.printOne(answer.body, userColumns);
    else printLink(session, answer.body);
  });
}

type EditOptions = { role?: Role; fullName?: string; disable?: boolean; enable?: boolean };

function addEdit(parent: Command, shell: Shell): void {
  const edit = parent
    .command('edit <user>')
    .description('change role or name, disable or enable')
    .option('--role <role>', 'viewer, operator or admin')
    .option('--full-name <text>', 'name for people')
    .option('--disable', 'no sign-in any more')
    .option('--enable', 'sign-in again');
  dryRunOption(outputOption(edit));
  onAction<EditOptions>(edit, shell, async ({ args: [name = ''], options, session }) => {
    const { role, fullName, disable, enable } = options;
    if (disable && enable) throw usageError('Give either --disable or --enable.');
    const patch = { role, fullName, disabled: disable ? true : enable ? false : undefined };
    if (Object.values(patch).every((value) => value === undefined)) {
      throw usageError('Nothing to change was named.', 'See: croft user edit --help');
    }
    if (await dryRun(session, (query) => session.client.users.patch(name, patch, query))) return;
    const { body } = await session.client.users.patch(name, patch);
    session.say(`User ${name} is changed.`);
    if (options.output) session.printOne(body, userColumns);
  });
}

function addReset(parent: Command, shell: Shell): void {
  const reset = parent
    .command('reset-password <user>')
    .description('print a one-time link that sets a new password')
    .option('--password-stdin', 'set the password from standard input instead');
  onAction<{ passwordStdin?: boolean }>(reset, shell, async ({ args: [name = ''], options, session }) => {
    const password = await passwordFrom(session, options.passwordStdin);
    if (password !== undefined) {
      await session.client.users.patch(name, { password });
      return session.say(`The password of ${name} is changed.`);
    }
    const { body } = await session.client.users.act(name, 'reset-password');
    printLink(session, body as UserWithLink);
  });
}
