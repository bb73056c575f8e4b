/** `croft pool`: where volumes and images are kept. */
import type { Command } from 'commander';
import type { Pool, PoolCreate } from '../../client/types.ts';
import { usageError } from '../exit.ts';
import { collect, dryRunOption, outputOption, parseInteger, waitOptions } from '../options.ts';
import { poolColumns } from '../output/columns.ts';
import { onAction, type Shell } from '../session.ts';
import { waitUntil } from '../wait.ts';
import { placeOf, wishOptions } from './disk.ts';
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
  addInit(pool, shell);
  addDelete(pool, shell, noun);
}

type InitOptions = { disk?: string[]; size?: string; wipe?: string[]; replicas?: number };

/** A replicated pool out of disks; waits until VMs can use it. */
function addInit(parent: Command, shell: Shell): void {
  const init = parent
    .command('init <name>')
    .description('make a replicated pool of disks')
    .option(
      '--disk <path>',
      'a whole disk, a partition or (to try things out) a file; BOX:PATH in a cluster; repeatable',
      collect,
    )
    .option('--replicas <count>', 'copies of every block (default: 2)', parseInteger);
  waitOptions(dryRunOption(outputOption(wishOptions(init))));
  onAction<InitOptions>(init, shell, async ({ args: [name = ''], options, session }) => {
    const { disk = [], size, wipe, replicas = 2 } = options;
    if (disk.length < replicas) {
      throw usageError(
        `${replicas} copies need ${replicas} disks or more.`,
        'Name each with --disk, e.g. --disk /dev/sdb --disk /dev/sdc.',
      );
    }
    const body: PoolCreate = { name, driver: 'rbd', replicas, disks: disk.map((path) => ({ ...placeOf(path), size, wipe })) };
    const { pools } = session.client;
    if (await dryRun(session, (query) => pools.create(body, query))) return;
    await pools.create(body);
    if (options.wait === false) return session.say(`Pool ${name} is being made.`);
    const made = await waitUntil<Pool>(session, {
      what: `Pool ${name}`,
      goal: 'ready',
      look: () => pools.get(name, undefined, session.io.signal),
      reached: (found) => found?.state === 'ready' && found.health?.state === 'ok',
      describe: (found) => found?.health?.message ?? found?.reason ?? 'being made',
      hopeless: (found) => (found?.state !== 'ready' && found?.reason ? found.reason : undefined),
      resume: `croft pool show ${name} --watch`,
    });
    if (options.output && made) session.printOne(made, poolColumns);
  });
}
