/** `croft node update`, `rollback` and `restart`: the releases of an installed box, over the API. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Command } from 'commander';
import { CroftError } from '../../../appliance/errors.ts';
import type { Releases, Task, UpdateBody } from '../../client/types.ts';
import { sendPieces } from '../../client/upload.ts';
import { usageError } from '../exit.ts';
import { outputOption, waitOptions } from '../options.ts';
import { slotColumns } from '../output/columns.ts';
import { bytes } from '../output/values.ts';
import { onAction, type Session, type Shell } from '../session.ts';
import { waitForTask } from '../wait.ts';

type UpdateOptions = { abort?: boolean; restart?: boolean };

const uploadPath = '/v1/node/update/upload';
const later = 'Restart the box when it suits (croft node restart): its guests are shut down meanwhile.';

function addUpdate(node: Command, shell: Shell): void {
  const update = node
    .command('update [bundle]')
    .description('put a signed release (file or URL) beside the running one; without it: which releases the box has')
    .option('--restart', 'restart the box into it at once; guests are shut down')
    .option('--abort', 'end an update under way, or take back one that waits for the next start');
  waitOptions(outputOption(update));
  onAction<UpdateOptions>(update, shell, async ({ args: [bundle], options, session }) => {
    if (bundle !== undefined && options.abort) throw usageError('Name a bundle or --abort, not both.');
    if (options.abort) await session.client.request('DELETE', '/v1/node/update');
    else if (bundle !== undefined) return begin(session, bundle, options.restart === true);
    const { body } = await session.client.request<Releases>('GET', '/v1/node/update');
    tell(session, body);
  });
}

async function begin(session: Session, bundle: string, restart: boolean): Promise<void> {
  const remote = /^https?:\/\//.test(bundle);
  if (!remote) await send(session, bundle);
  const body: UpdateBody = { ...(remote ? { url: bundle } : { upload: true }), ...(restart ? { restart } : {}) };
  const { id } = (await session.client.request<Task>('POST', '/v1/node/update', { body })).body;
  if (session.options.wait === false) return session.say(`The update has begun: croft task watch ${id}.`);
  await waitForTask(session, id);
  session.say(restart ? 'The box restarts into the new release.' : `The next start tries the new release. ${later}`);
}

async function send(session: Session, file: string): Promise<void> {
  const stats = await stat(file).catch((error: Error) => {
    throw usageError(`${file} cannot be read: ${error.message}`);
  });
  if (!stats.isFile() || stats.size === 0) throw usageError(`${file} is not a file with an update.`);
  const read = (offset: number, length: number) => createReadStream(file, { start: offset, end: offset + length - 1 });
  const progress = (done: number, total: number): void =>
    session.progress.update(`${file}: sent ${bytes(done)} of ${bytes(total)}`);
  await sendPieces(session.client, uploadPath, { size: stats.size, read }, { signal: session.io.signal, progress });
}

function tell(session: Session, { slots, confirmed, taskId, refusal }: Releases): void {
  if (refusal !== undefined) throw new CroftError('invalid-state', refusal);
  session.printList(slots, slotColumns);
  if (!confirmed) session.say('The running release has not passed its health check yet.');
  if (taskId !== undefined) session.say(`An update is under way: croft task watch ${taskId}.`);
}

function addRollback(node: Command, shell: Shell): void {
  const rollback = node
    .command('rollback')
    .description('try the other slot’s release at the next start')
    .option('--restart', 'restart the box at once; guests are shut down');
  outputOption(rollback);
  onAction<UpdateOptions>(rollback, shell, async ({ options, session }) => {
    const body = options.restart ? { restart: true } : {};
    tell(session, (await session.client.request<Releases>('POST', '/v1/node/rollback', { body })).body);
    if (!options.restart) session.say(later);
  });
}

function addRestart(node: Command, shell: Shell): void {
  const restart = node.command('restart').description('restart the box; its guests are shut down');
  onAction(restart, shell, async ({ session }) => {
    await session.client.request('POST', '/v1/node/restart', { body: {} });
    session.say('The box restarts.');
  });
}

export function registerUpdates(node: Command, shell: Shell): void {
  addUpdate(node, shell);
  addRollback(node, shell);
  addRestart(node, shell);
}
