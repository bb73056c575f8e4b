/**
 * Starting a QEMU that outlives us, and ending one for sure.
 *
 * A held shell is started first (detached, under the guest's uid); its pid and start time, which survive exec,
 * are written to launch.json, and only then is it told to become QEMU. If we die before that, the shell reads
 * the end of its pipe and goes: there is never a QEMU without a record. (The one place beside host/daemon.ts
 * that uses child processes directly.)
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { CroftError, messageOf } from '../errors.ts';
import { bootId, isAlive, readProcess, type ProcessIdentity } from '../host/process-info.ts';

/** `umask`: QEMU's sockets are made for its own uid only. */
const holdScript = 'umask 077; read go || exit 9; exec "$@" </dev/null';

export type HeldProcess = {
  identity: ProcessIdentity & { bootId: string };
  /** Lets it become the program. */
  release(): void;
  /** Ends it, whichever it is by now. */
  abort(): void;
};

export type ProcessStart = {
  argv: string[];
  log: string;
  uid?: number;
  gid?: number /** TZ of the process */;
  timezone?: string;
};

/** @throws CroftError `unavailable` when not even the shell starts */
export async function holdProcess({ argv, log, uid, gid, timezone }: ProcessStart): Promise<HeldProcess> {
  const output = openSync(log, 'a', 0o600);
  let child: ChildProcess;
  try {
    child = spawn('/bin/sh', ['-c', holdScript, 'sh', ...argv], {
      detached: true,
      stdio: ['pipe', output, output],
      cwd: '/',
      // Locale and path only: nothing of our environment is the guest's business.
      env: { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C.UTF-8', ...(timezone === undefined ? {} : { TZ: timezone }) },
      ...(uid === undefined ? {} : { uid }),
      ...(gid === undefined ? {} : { gid }),
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (cause) =>
        reject(new CroftError('unavailable', `QEMU could not be started: ${messageOf(cause)}.`, { cause })),
      );
    });
  } finally {
    closeSync(output);
  }
  child.unref();
  // The shell may be killed while held; launch then sees it gone.
  child.stdin?.on('error', () => undefined);
  const abort = () => void child.kill('SIGKILL');
  const found = await readProcess(child.pid as number);
  if (!found) throw new CroftError('unavailable', 'QEMU could not be started: its process ended before it began.');
  const identity = { pid: found.pid, startTime: found.startTime, bootId: await bootId() };
  return { identity, abort, release: () => void child.stdin?.end('go\n') };
}

/** True once the process is gone; false when it still lives after `timeout` ms. */
export async function waitGone(identity: ProcessIdentity, timeout: number): Promise<boolean> {
  const deadline = Date.now() + timeout;
  for (;;) {
    if (!(await isAlive(identity))) return true;
    if (Date.now() >= deadline) return false;
    await delay(20);
  }
}

/** SIGKILL to this very process: a pid that was given to another one meanwhile is left alone. */
export async function sendKill(identity: ProcessIdentity): Promise<void> {
  if (!(await isAlive(identity))) return;
  try {
    process.kill(identity.pid, 'SIGKILL');
  } catch {
    // It went between the look and the signal.
  }
}

/** @throws CroftError `invalid-state` when the process lives on 2 s after SIGKILL */
export async function killForSure(identity: ProcessIdentity): Promise<void> {
  await sendKill(identity);
  if (await waitGone(identity, 2_000)) return;
  const state = (await readProcess(identity.pid))?.state ?? '?';
  const why = state === 'D' ? 'it hangs in the kernel (state D), as a rule in disk or network I/O' : `it is in state ${state}`;
  throw new CroftError('invalid-state', `QEMU (pid ${identity.pid}) did not end: ${why}. Its disks stay locked.`, {
    fix: ['Look for failing disks or storage servers; the VM ends when that I/O returns, or with a restart of this box.'],
  });
}

/** What QEMU said last, without its time stamp and program name; empty when nothing. */
export async function lastWords(log: string): Promise<string> {
  const text = await readFile(log, 'utf8').catch(() => '');
  const line =
    text
      .split('\n')
      .filter((candidate) => candidate.trim() !== '')
      .at(-1) ?? '';
  return line
    .replace(/^\S+Z /, '')
    .replace(/^\S*qemu-system-\S+: /, '')
    .slice(0, 300);
}
