/**
 * `croft update FILE|URL [--restart]` and `croft update --back [--restart]`: root's way on an installed box, also
 * when API and console are down. A download is kept until it has been taken, and checked like a file.
 */
import { createWriteStream } from 'node:fs';
import { access, mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { CroftError, messageOf } from '../../appliance/errors.ts';
import { run } from '../../appliance/host/exec.ts';
import { readEnvironment, writeEnvironment } from '../environment-block.ts';
import { fromEnvironment, otherSlot, stage, toEnvironment } from '../slots.ts';
import { applyUpdate, type UpdateTarget } from './apply.ts';
import { thisMachine } from './medium.ts';

const downloads = '/var/lib/croft/updates';
/** ms: a release over a slow line. */
const downloadTimeout = 6 * 3600_000;

/** @throws CroftError `invalid-input`, `not-found`, `download-failed`, and as applyUpdate */
export async function updateCommand(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { back: { type: 'boolean', default: false }, restart: { type: 'boolean', default: false } },
  });
  const [source] = positionals;
  if (values.back === (source !== undefined) || positionals.length > 1) {
    throw new CroftError('invalid-input', 'croft update takes one FILE or URL, or --back.');
  }
  const target = await thisMachine(await readFile('/proc/cmdline', 'utf8'));
  if (source === undefined) await goBack(target);
  else await take(source, target);
  if (values.restart) await run(['systemctl', '--no-block', 'reboot']);
  else print('Restart the box when it suits: its guests are shut down meanwhile.');
  return 0;
}

const print = (line: string): void => void process.stdout.write(`${line}\n`);

async function take(source: string, target: UpdateTarget): Promise<void> {
  const remote = /^https?:\/\//.test(source);
  const bundle = remote ? await download(source) : source;
  await access(bundle).catch((cause: unknown) => {
    throw new CroftError('not-found', `There is no file ${bundle}.`, { cause });
  });
  let said = '';
  const progress = (_fraction: number, step: string): void => {
    if (step !== said) print(step);
    said = step;
  };
  const { slot, release } = await applyUpdate(bundle, target, { progress });
  if (remote) await rm(bundle);
  print(`Croft ${release.version} is in slot ${slot} and is tried at the next start.`);
}

/** Marks the other slot, which was confirmed once, to be started next. */
async function goBack(target: UpdateTarget): Promise<void> {
  const other = otherSlot(target.running);
  const state = fromEnvironment(await readEnvironment(target.environment));
  if (state.good !== target.running || !state.slots[other].ok) {
    throw new CroftError('invalid-state', `Slot ${other} holds no release that ran here; there is nothing to go back to.`);
  }
  await writeEnvironment(target.environment, toEnvironment(stage(state, other)));
  print(`Slot ${other} is tried at the next start.`);
}

async function download(url: string): Promise<string> {
  await mkdir(downloads, { recursive: true, mode: 0o700 });
  const file = join(downloads, 'incoming.update');
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(downloadTimeout) });
    if (!response.ok || !response.body) throw new Error(`the server answered ${response.status} ${response.statusText}`);
    await pipeline(Readable.fromWeb(response.body), createWriteStream(file));
    const handle = await open(file, 'r+');
    await handle.sync();
    await handle.close();
    return file;
  } catch (cause) {
    await rm(file, { force: true });
    throw new CroftError('download-failed', `${url} could not be fetched: ${messageOf(cause)}`, { cause });
  }
}
