/** How a guest ended, written before its QEMU goes: a service killed in between still tells the exit right. */
import { readFile } from 'node:fs/promises';
import { messageOf } from '../errors.ts';
import { writeFileAtomic } from '../host/files.ts';
import type { Logger } from '../host/logger.ts';
import type { GuestExit } from '../vm/hypervisor.ts';
import type { RunDir } from './run-dir.ts';

/** That it cannot be written must not keep the guest from ending: then it will be told as a crash. */
export async function recordExit(dir: RunDir, exit: GuestExit, logger: Logger): Promise<void> {
  await writeFileAtomic(dir.exitFile, JSON.stringify({ exit })).catch((error: unknown) =>
    logger.warn({ error: messageOf(error) }, 'how the guest ended cannot be recorded'),
  );
}

/** The exit that was recorded before the process went; undefined where none was. */
export async function readRecordedExit(dir: RunDir): Promise<GuestExit | undefined> {
  try {
    return (JSON.parse(await readFile(dir.exitFile, 'utf8')) as { exit?: GuestExit }).exit;
  } catch {
    return undefined; // It went by itself, or we were killed before writing.
  }
}
