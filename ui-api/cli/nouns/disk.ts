/** `croft disk`: what replicated pools are made of. */
import type { Command } from 'commander';
import type { Disk } from '../../client/types.ts';
import { collect, dryRunOption, parseInteger, waitOptions, yesOption } from '../options.ts';
import { diskColumns } from '../output/columns.ts';
import { confirm } from '../prompt.ts';
import { onAction, type Session, type Shell } from '../session.ts';
import { orMissing, waitUntil } from '../wait.ts';
import { addList, addShow, dryRun, type Noun } from './resource.ts';

const noun: Noun<Disk> = {
  noun: 'disk',
  title: 'Disk',
  collection: (client) => client.collection<Disk>('/v1/disks'),
  columns: diskColumns,
};

type WishOptions = { size?: string; wipe?: string[] };

/** `box-2:/dev/sdb` names the box too, in a cluster of several. */
export const placeOf = (text: string): { path: string; node?: string } => {
  const [, node, path] = /^([a-z0-9-]+):(\/.*)$/.exec(text) ?? [];
  return node === undefined || path === undefined ? { path: text } : { path, node };
};

/** Options of a disk that is to be taken in. */
export const wishOptions = (command: Command): Command =>
  command
    .option('--size <size>', 'make a file of this size where there is none, to try things out')
    .option('--wipe <serial>', 'overwrite what is on the disk of this serial number (path of a file); repeatable', collect);

export function register(program: Command, shell: Shell): void {
  const disk = program.command('disk').description('disks that replicated pools are made of');
  addList(disk, shell, noun);
  addShow(disk, shell, noun);
  addAdd(disk, shell);
  addReplace(disk, shell);
  addRemove(disk, shell);
  addLocate(disk, shell);
}

function addAdd(parent: Command, shell: Shell): void {
  const add = wishOptions(parent.command('add <path>').description('add a disk to a replicated pool'));
  add.option('--pool <pool>', 'the pool, where there are several');
  waitOptions(dryRunOption(add));
  onAction<WishOptions & { pool?: string }>(add, shell, async ({ args: [path = ''], options, session }) => {
    const body = { ...placeOf(path), size: options.size, wipe: options.wipe, pool: options.pool };
    const ask = (query?: object) => session.client.request<Disk>('POST', '/v1/disks', { body, query: { ...query } });
    if (await dryRun(session, ask)) return;
    await follow(session, (await ask()).body);
  });
}

function addReplace(parent: Command, shell: Shell): void {
  const replace = parent.command('replace <disk> <path>').description('put another disk in the place of one');
  waitOptions(dryRunOption(wishOptions(replace)));
  onAction<WishOptions>(replace, shell, async ({ args: [old = '', path = ''], options, session }) => {
    const body = { ...placeOf(path), size: options.size, wipe: options.wipe };
    const target = `/v1/disks/${encodeURIComponent(old)}/replace`;
    const ask = (query?: object) => session.client.request<Disk>('POST', target, { body, query: { ...query } });
    if (await dryRun(session, ask)) return;
    await follow(session, (await ask()).body);
  });
}

function addRemove(parent: Command, shell: Shell): void {
  const remove = parent.command('remove <disk>').alias('rm').description('empty a disk and take it out');
  waitOptions(yesOption(dryRunOption(remove)));
  onAction(remove, shell, async ({ args: [name = ''], options, session }) => {
    const disks = noun.collection(session.client);
    const old = await disks.get(name);
    if (await dryRun(session, (query) => disks.remove(name, query))) return;
    await confirm(session.io, `This moves all data off ${old.name} (${old.path}) and takes it out.`, options.yes);
    await disks.remove(name);
    if (options.wait === false) return session.say(`Disk ${old.name} is being emptied.`);
    await waitUntil<Disk>(session, {
      what: `Disk ${old.name}`,
      goal: 'out',
      look: () => orMissing(disks.get(old.id)),
      reached: (disk) => disk === undefined,
      describe: (disk) => disk?.state ?? 'gone',
      resume: `croft disk show ${old.name} --watch`,
    });
  });
}

/** Waits until the disk is up and all copies are there again. */
async function follow(session: Session, disk: Disk): Promise<void> {
  if (session.options.wait === false) return session.print(`${disk.id}\n`);
  type State = { disk: Disk | undefined; health: string; message: string };
  await waitUntil<State>(session, {
    what: `Disk ${disk.path}`,
    goal: 'up, with all copies there',
    look: async () => {
      const pool = await session.client.pools.get(disk.pool, undefined, session.io.signal);
      const found = await orMissing(noun.collection(session.client).get(disk.id, undefined, session.io.signal));
      return { disk: found, health: pool.health?.state ?? 'unknown', message: pool.health?.message ?? pool.reason ?? '' };
    },
    reached: (state) => state?.disk?.state === 'up' && state.health === 'ok',
    describe: (state) => [state?.disk?.state ?? 'missing', state?.message].filter(Boolean).join(', '),
    hopeless: (state) => (state?.disk?.state === 'refused' ? state.disk.reason : undefined),
    resume: `croft pool show ${disk.pool} --watch`,
  });
}

/** Waits until something blinks, and says what. */
function addLocate(parent: Command, shell: Shell): void {
  const locate = parent
    .command('locate <disk>')
    .description('let the light of a disk blink, so that it is found')
    .option('--seconds <count>', 'how long; 0 ends it (default: 60)', parseInteger);
  waitOptions(dryRunOption(locate));
  onAction<{ seconds?: number }>(locate, shell, async ({ args: [name = ''], options, session }) => {
    const { seconds = 60 } = options;
    const target = `/v1/disks/${encodeURIComponent(name)}/locate`;
    const ask = (query?: object) => session.client.request<Disk>('POST', target, { body: { seconds }, query: { ...query } });
    if (await dryRun(session, ask)) return;
    const { body: disk } = await ask();
    if (seconds === 0) return session.say(`Disk ${disk.name} does not blink any more.`);
    if (options.wait === false) return;
    const seen = await waitUntil<Disk>(session, {
      what: `Disk ${disk.name}`,
      goal: 'blinking',
      look: () => noun.collection(session.client).get(disk.id, undefined, session.io.signal),
      reached: (found) => found?.locating !== undefined,
      describe: (found) => found?.locating ?? 'not yet',
      resume: `croft disk show ${disk.name}`,
    });
    const what =
      seen?.locating === 'light'
        ? 'Its light blinks'
        : 'It has no light of its own: its activity light goes on and off each second';
    session.say(`${disk.name} (${disk.path}): ${what}, for ${seconds} s.`);
  });
}
