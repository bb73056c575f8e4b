/** The tiny image, built from Debian packages once per test run, outside any namespace: building may download. */
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../appliance/host/exec.ts';
import { buildTiny } from '../../storage/images/tiny/build.ts';

const cache = process.env.CROFT_CACHE ?? join(homedir(), '.cache/croft');
let building: Promise<string> | undefined;

/** Path of the image, built once per test process (seconds, with the kernel package cached). */
export const tinyImage = (): Promise<string> => (building ??= build());

async function build(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'croft-tiny-'));
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  const output = join(directory, 'tiny.qcow2');
  await buildTiny({ workDir: join(directory, 'work'), cacheDir: cache, output, run });
  return output;
}
