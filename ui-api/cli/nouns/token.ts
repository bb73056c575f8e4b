/** `croft token`: API tokens for programs. */
import type { Command } from 'commander';
import type { Token, TokenCreate, TokenWithSecret } from '../../client/types.ts';
import { dryRunOption, outputOption, parseDuration } from '../options.ts';
import { tokenColumns } from '../output/columns.ts';
import { onAction, type Shell } from '../session.ts';
import { addDelete, addList, addShow, dryRun, type Noun } from './resource.ts';

const noun: Noun<Token> = { noun: 'token', title: 'Token', collection: (client) => client.tokens, columns: tokenColumns };

type CreateOptions = { role?: Token['role']; ttl?: number; description?: string };

export function register(program: Command, shell: Shell): void {
  const token = program.command('token').description('API tokens for programs');
  addList(token, shell, noun);
  addShow(token, shell, noun);
  addCreate(token, shell);
  addDelete(token, shell, noun);
}

function addCreate(parent: Command, shell: Shell): void {
  const create = parent
    .command('create <name>')
    .description('make a token; its secret is printed once')
    .option('--role <role>', 'viewer, operator or admin (default: viewer)')
    .option('--ttl <duration>', 'how long it is good for, e.g. 30d', parseDuration)
    .option('--description <text>', 'what it is for');
  dryRunOption(outputOption(create));
  onAction<CreateOptions>(create, shell, async ({ args: [name = ''], options, session }) => {
    const { role, ttl, description } = options;
    const body: TokenCreate = { name, role, description, ttlSeconds: ttl === undefined ? undefined : Math.round(ttl / 1000) };
    if (await dryRun(session, (query) => session.client.tokens.create(body, query))) return;
    const answer = await session.client.tokens.create(body);
    if (options.output) return session.printOne(answer.body, tokenColumns);
    session.say(`Token ${name} is made. Its secret is shown only now:`);
    session.print(`${(answer.body as TokenWithSecret).secret}\n`);
  });
}
