/** `croft k3s lock`: writes k3s.lock from a release's own checksum files. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { CroftError, messageOf } from '../errors.ts';
import { lockRelease, writeLock, type Fetch } from './k3s-release.ts';

const usage = 'croft k3s lock [--version VERSION] [--base URL] [--output FILE]';
const defaultOutput = join(import.meta.dirname, '../../k3s.lock');

type Flags = { version?: string; base?: string; output?: string };

function readFlags(args: readonly string[]): Flags {
  if (args[0] !== 'lock') throw new CroftError('invalid-input', `k3s knows one command: ${usage}`);
  const options = { version: { type: 'string' }, base: { type: 'string' }, output: { type: 'string' } } as const;
  try {
    return parseArgs({ args: args.slice(1), options }).values;
  } catch (error) {
    throw new CroftError('invalid-input', `k3s lock: ${messageOf(error)} It is used as ${usage}`, { cause: error });
  }
}

/** @returns the exit code. @throws CroftError `invalid-input`, `download-failed` */
export async function k3sCommand(args: readonly string[], fetch: Fetch): Promise<number> {
  const { version, base, output = defaultOutput } = readFlags(args);
  const directory = await mkdtemp(join(tmpdir(), 'croft-k3s-'));
  try {
    const lock = await lockRelease({
      ...(version === undefined ? {} : { version }),
      // Somebody who names a mirror means it, also one on this machine.
      ...(base === undefined ? {} : { base, allowOwnAddresses: true }),
      fetch,
      directory,
    });
    await writeLock(output, lock);
    process.stdout.write(`${output} pins k3s ${lock.version} from ${lock.base}\n`);
    return 0;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
