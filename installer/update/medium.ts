/**
 * An update without a network: a medium labelled CROFT-UPDATE (CROFTUPDATE on FAT) with one file `*.update` is taken
 * at the next start, after the running release has been confirmed. Signed like any other; the release that runs
 * already is left alone, so the medium may stay where it is.
 */
import { access, mkdir, readdir, realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CroftError } from '../../appliance/errors.ts';
import { run } from '../../appliance/host/exec.ts';
import { runningSlot } from '../health.ts';
import { partitionPath } from '../layout.ts';
import { readRelease } from '../release.ts';
import { applyUpdate, type UpdateTarget } from './apply.ts';
import { readKeys, readManifest } from './bundle.ts';

const labels = ['CROFT-UPDATE', 'CROFTUPDATE'];
const keysFolder = join(import.meta.dirname, '../../update-keys');

/** What an update of this machine writes to: the disk it was started from, whatever else there is. */
export async function thisMachine(commandLine: string): Promise<UpdateTarget> {
  const { slot, environment } = runningSlot(commandLine);
  const partition = await realpath(environment);
  const disk = `/dev/${basename(dirname(await realpath(`/sys/class/block/${basename(partition)}`)))}`;
  return {
    running: slot,
    slots: { A: partitionPath(disk, 'A'), B: partitionPath(disk, 'B') },
    environment: partition,
    release: await readRelease('/run/live/medium'),
    keys: await readKeys(keysFolder),
  };
}

/** @throws CroftError as applyUpdate; `not-found` when the medium has no update, or several */
export async function updateFromMedium(commandLine: string, print: (line: string) => void): Promise<void> {
  const device = await findMedium();
  if (!device) return;
  const root = '/run/croft/update';
  await mkdir(root, { recursive: true });
  await run(['mount', '-o', 'ro', device, root]);
  let written = false;
  try {
    const found = (await readdir(root)).filter((name) => name.toLowerCase().endsWith('.update'));
    const [name] = found;
    if (!name || found.length > 1)
      throw new CroftError('not-found', `${basename(device)} has ${found.length} files *.update; one is right.`);
    const target = await thisMachine(commandLine);
    const { release } = await readManifest(join(root, name), target.keys);
    if (release.version === target.release.version && release.epoch === target.release.epoch) {
      print(`${name}: this release runs already`);
      return;
    }
    let said = '';
    const progress = (_fraction: number, step: string): void => {
      if (step !== said) print(step);
      said = step;
    };
    const { slot } = await applyUpdate(join(root, name), target, { progress });
    written = true;
    print(`Croft ${release.version} is in slot ${slot}; restarting`);
  } finally {
    await run(['umount', root]);
  }
  if (written) await run(['systemctl', '--no-block', 'reboot']);
}

async function findMedium(): Promise<string | undefined> {
  for (const label of labels) {
    const device = `/dev/disk/by-label/${label}`;
    const there = await access(device).then(
      () => true,
      () => false,
    );
    if (there) return device;
  }
  return undefined;
}
