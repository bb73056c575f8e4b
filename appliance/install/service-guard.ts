/**
 * Keeps the daemons of packages we install from starting: Croft runs its own instances. Debian's way is
 * /usr/sbin/policy-rc.d; ours denies only while the process that wrote it lives, so that even after a
 * `kill -9` of ours it denies nothing, and the next run takes the file away.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { messageOf } from '../errors.ts';
import { readProcess } from '../host/process-info.ts';

const marker = '# made by croft';
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export type GuardPaths = { policy: string; saved: string };
const systemPaths: GuardPaths = { policy: '/usr/sbin/policy-rc.d', saved: '/usr/sbin/policy-rc.d.before-croft' };

/** The policy script: 101 denies the action; with its maker gone it answers as what stood there before, or allows. */
export const guardScript = (pid: number, startTime: number, saved: string): string => `#!/bin/sh
${marker}: daemons stay down while process ${pid} installs packages
if [ -r /proc/${pid}/stat ] && [ "$(sed 's/.*) //' /proc/${pid}/stat | cut -d' ' -f20)" = "${startTime}" ]; then
  exit 101
fi
[ -x ${saved} ] && exec ${saved} "$@"
exit 0
`;

const contentOf = (path: string): string | undefined => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // Absent is the usual case; unreadable means as root that it isn't there either.
    return undefined;
  }
};

/** Takes a guard of ours away and puts back what stood there before. Safe to call at any time. */
export function removeGuard(paths: GuardPaths = systemPaths): void {
  const ours = contentOf(paths.policy)?.includes(marker) ?? false;
  if (ours) rmSync(paths.policy, { force: true });
  const saved = contentOf(paths.saved);
  if (saved !== undefined && contentOf(paths.policy) === undefined) renameSync(paths.saved, paths.policy);
}

/** Runs `work` with daemons kept down; the guard is gone afterwards, also when work fails or a signal ends us. */
export async function withServicesHeld<T>(work: () => Promise<T>, paths: GuardPaths = systemPaths): Promise<T> {
  removeGuard(paths);
  if (contentOf(paths.policy) !== undefined) renameSync(paths.policy, paths.saved);
  const self = await readProcess(process.pid);
  const remove = (): void => {
    try {
      removeGuard(paths);
    } catch (error) {
      process.stderr.write(`croft: ${paths.policy} could not be put back: ${messageOf(error)}\n`);
    }
  };
  const onSignal = (signal: NodeJS.Signals): void => {
    remove();
    release();
    // Where nobody else handles the signal it must still end us, as it would have without this handler.
    if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
  };
  const release = (): void => {
    process.off('exit', remove);
    for (const signal of signals) process.off(signal, onSignal);
  };
  process.on('exit', remove);
  for (const signal of signals) process.on(signal, onSignal);
  try {
    writeFileSync(paths.policy, guardScript(process.pid, self?.startTime ?? 0, paths.saved), { mode: 0o755 });
    return await work();
  } finally {
    release();
    remove();
  }
}
