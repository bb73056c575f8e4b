/**
 * A medium that is reached over the network: the live system brought only its root into memory; what an installation
 * writes beside it is fetched. Checked like any medium: the slot is compared with the release's checksums.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { createWriteStream } from 'node:fs';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CroftError, messageOf } from '../appliance/errors.ts';
import { run } from '../appliance/host/exec.ts';

const squashfs = 'live/filesystem.squashfs';
const fetched = ['live/vmlinuz', 'live/initrd.img', 'croft/release', 'croft/sha256'];
/** ms for one file: 60 MB over a slow line. */
const downloadTimeout = 30 * 60_000;

/** Makes the medium at `target`; `live` is where the live system keeps its root's file. @throws CroftError `download-failed` */
export async function openRemoteMedium(base: string, live: string, target: string): Promise<string> {
  for (const name of fetched) {
    const file = join(target, name);
    await mkdir(dirname(file), { recursive: true });
    try {
      const response = await fetch(`${base}/${name}`, { signal: AbortSignal.timeout(downloadTimeout) });
      if (!response.ok || !response.body) throw new Error(`the server answered ${response.status} ${response.statusText}`);
      await pipeline(Readable.fromWeb(response.body), createWriteStream(file));
    } catch (cause) {
      throw new CroftError('download-failed', `croft.from: ${base}/${name} could not be fetched: ${messageOf(cause)}`, { cause });
    }
  }
  await writeFile(join(target, squashfs), '');
  await run(['mount', '--bind', join(live, squashfs), join(target, squashfs)]);
  return target;
}

/** Tells who serves installations that this one is done. Its own disk starts either way, so a failure is told only. */
export async function reportInstalled(url: string, print: (line: string) => void): Promise<void> {
  try {
    const response = await fetch(url, { method: 'POST', signal: AbortSignal.timeout(30_000) });
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
  } catch (error) {
    print(`${url} could not be told that this machine is installed: ${messageOf(error)}`);
  }
}
