/**
 * `croft update FILE|URL [--restart]` and `croft update --back [--restart]`: root's way on an installed box, also
 * when API and console are down. A download is kept until it has been taken, and checked like a file.
 */
import { access, readFile, rm } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { CroftError } from '../../appliance/errors.ts';
import { run } from '../../appliance/host/exec.ts';
import { applyUpdate, goBack, type UpdateTarget } from './apply.ts';
import { download } from './download.ts';
import { thisMachine } from './medium.ts';

const downloaded = '/var/lib/croft/incoming.update';

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
  if (source === undefined) print(`Slot ${await goBack(target)} is tried at the next start.`);
  else await take(source, target);
  if (values.restart) await run(['systemctl', '--no-block', 'reboot']);
  else print('Restart the box when it suits: its guests are shut down meanwhile.');
  return 0;
}

const print = (line: string): void => void process.stdout.write(`${line}\n`);

async function take(source: string, target: UpdateTarget): Promise<void> {
  const remote = /^https?:\/\//.test(source);
  const bundle = remote ? downloaded : source;
  if (remote) await download(source, bundle);
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
