/** `croft pool`: where volumes and images are kept. */
import type { Command } from 'commander';
import type { Pool, PoolCreate } from '../../client/types.ts';
import { dryRunOption, outputOption, parseInteger } from '../options.ts';
import { poolColumns } from '../output/columns.ts';
import { onAction, type Shell } from '../session.ts';
import { addDelete, addList, addShow, dryRun, type Noun } from './resource.ts';

const noun: Noun<Pool> = { noun: 'pool', title: 'Pool', collection: (client) => client.pools, columns: poolColumns };

export function register(program: Command, shell: Shell): void {
  const pool = program.command('pool').description('storage pools');
  addList(pool, shell, noun);
  addShow(pool, shell, noun);
  const create = pool
    .command('create <name>')
    .description('create a pool')
    .option('--driver <driver>', 'local or rbd (default: local)')
    .option('--path <directory>', 'directory of a local pool')
    .option('--reserve <size>', 'space kept free')
    .option('--replicas <count>', 'copies of every block (rbd)', parseInteger);
  dryRunOption(outputOption(create));
  onAction<Omit<PoolCreate, 'name'>>(create, shell, async ({ args: [name = ''], options, session }) => {
    const { driver, path, reserve, replicas } = options;
    const body: PoolCreate = { name, driver, path, reserve, replicas };
    if (await dryRun(session, (query) => session.client.pools.create(body, query))) return;
    const answer = await session.client.pools.create(body);
    session.say(`Pool ${name} is created.`);
    if (options.output) session.printOne(answer.body, poolColumns);
  });
  addDelete(pool, shell, noun);
}
