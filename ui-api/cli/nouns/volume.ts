/** `croft volume`: disks with a life of their own. */
import type { Command } from 'commander';
import type { Volume } from '../../client/types.ts';
import { dryRunOption, outputOption, waitOptions } from '../options.ts';
import { volumeColumns } from '../output/columns.ts';
import { onAction, type Shell } from '../session.ts';
import { waitUntil } from '../wait.ts';
import { addMove } from './volume-move.ts';
import { addDelete, addList, addShow, dryRun, type Noun } from './resource.ts';

const noun: Noun<Volume> = { noun: 'volume', title: 'Volume', collection: (client) => client.volumes, columns: volumeColumns };

export function register(program: Command, shell: Shell): void {
  const volume = program.command('volume').description('volumes: the disks of VMs');
  addList(volume, shell, noun);
  addShow(volume, shell, noun);
  addCreate(volume, shell);
  addResize(volume, shell);
  const move = volume.command('move <volume>').description('move a volume to another pool, also while its VM runs');
  addMove(move, shell, ([name = '']) => ({ what: `Volume ${name}`, path: `/v1/volumes/${encodeURIComponent(name)}/move` }));
  addDelete(volume, shell, noun);
}

function addCreate(parent: Command, shell: Shell): void {
  const create = parent
    .command('create <name>')
    .description('create a volume, empty or from an image')
    .requiredOption('--size <size>', 'size, e.g. 10Gi')
    .option('--pool <pool>', 'pool that keeps it')
    .option('--image <image>', 'image it is made of');
  waitOptions(dryRunOption(outputOption(create)));
  onAction<{ size: string; pool?: string; image?: string }>(create, shell, async ({ args: [name = ''], options, session }) => {
    const { volumes } = session.client;
    const { size, pool, image } = options;
    const body = { name, size, pool, image };
    if (await dryRun(session, (query) => volumes.create(body, query))) return;
    const { body: created } = await volumes.create(body, session.project);
    if (options.wait === false) return session.print(`${created.id ?? name}\n`);
    const made = await waitUntil<Volume>(session, {
      what: `Volume ${name}`,
      goal: 'ready',
      look: () => volumes.get(name, session.project, session.io.signal),
      reached: (found) => found?.state === 'bound',
      describe: (found) => [found?.state ?? 'missing', found?.progress, found?.reason].filter(Boolean).join(' '),
      hopeless: (found) => (found?.state === 'failed' ? `failed: ${found.reason ?? 'no reason was given'}` : undefined),
      resume: `croft volume show ${name} --watch`,
    });
    if (options.output && made) session.printOne(made, volumeColumns);
  });
}

function addResize(parent: Command, shell: Shell): void {
  const resize = parent.command('resize <volume>').description('grow a volume').requiredOption('--size <size>', 'its new size');
  dryRunOption(outputOption(resize));
  onAction<{ size: string }>(resize, shell, async ({ args: [name = ''], options, session }) => {
    const patch = { size: options.size };
    if (await dryRun(session, (query) => session.client.volumes.patch(name, patch, query))) return;
    const { body } = await session.client.volumes.patch(name, patch, session.project);
    session.say(`Volume ${name} grows to ${options.size}.`);
    if (options.output) session.printOne(body, volumeColumns);
  });
}
