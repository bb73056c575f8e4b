/** Why tests with real Ceph cannot run here. */
import { execFileSync } from 'node:child_process';

/** The first program that is not installed, in words; undefined when all are. */
export function cephMissing(): string | undefined {
  for (const program of ['ceph-mon', 'ceph-mgr', 'ceph-osd', 'rbd', 'qemu-system-x86_64']) {
    try {
      execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' });
    } catch {
      return `needs ${program}`;
    }
  }
  return undefined;
}
