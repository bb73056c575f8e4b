/**
 * A control group for each guest, where the kernel offers them: v2 `croft.slice/vm-<id>`, v1 the same below `memory`
 * and `cpu`. Its memory limit keeps a QEMU that grows without bound from taking the box with it; its weight shares the
 * processors by vCPUs; a quota only where the VM asks for one (`resources.limits.cpu`). A box without them runs guests
 * as well: every failure here is told once and changes nothing else.
 */
import { mkdir, readFile, rmdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../errors.ts';
import type { Logger } from '../host/logger.ts';

const slice = 'croft.slice';
const period = 100_000;
const MiB = 2 ** 20;

export type CgroupLimits = {
  /** Bytes. */
  memory: number;
  vcpus: number;
  /** Processors at most; absent: no bound. */
  cpuLimit?: number;
};

/** Files to write, relative to the guest's group of that controller (v2 has one group for both). Pure. */
export function cgroupFiles(
  version: 1 | 2,
  { memory, vcpus, cpuLimit }: CgroupLimits,
): Record<'memory' | 'cpu', [string, string][]> {
  const quota = cpuLimit === undefined ? undefined : Math.max(1_000, Math.round(cpuLimit * period));
  if (version === 2) {
    return {
      memory: [['memory.max', String(memory)]],
      cpu: [
        ['cpu.weight', String(Math.min(10_000, 100 * vcpus))],
        ['cpu.max', quota === undefined ? `max ${period}` : `${quota} ${period}`],
      ],
    };
  }
  return {
    memory: [['memory.limit_in_bytes', String(memory)]],
    cpu: [
      ['cpu.shares', String(Math.min(262_144, 1024 * vcpus))],
      ['cpu.cfs_period_us', String(period)],
      ['cpu.cfs_quota_us', String(quota ?? -1)],
    ],
  };
}

/** What a QEMU may take beside its guest's memory: its own, video, page tables; emulated, the translated code too. Bytes. */
export const memoryLimitOf = (guest: number, accelerator: 'kvm' | 'tcg'): number =>
  guest + Math.ceil(guest / 64) + 384 * MiB + (accelerator === 'tcg' ? 640 * MiB : 0);

/**
 * For uninstalling: removes the groups of these guests, then `croft.slice` where no other box has a guest in it.
 * What still holds a process stays. Idempotent.
 */
export async function removeCgroups(ids: readonly string[], root = '/sys/fs/cgroup'): Promise<void> {
  for (const parent of [join(root, slice), join(root, 'memory', slice), join(root, 'cpu', slice)]) {
    // Gone already, or still in use: either way there is nothing that this could undo.
    for (const id of ids) await rmdir(join(parent, `vm-${id}`)).catch(() => undefined);
    await rmdir(parent).catch(() => undefined);
  }
}

export class Cgroups {
  readonly #root: string;
  readonly #logger: Logger;
  #version: Promise<1 | 2 | undefined> | undefined;

  constructor(logger: Logger, root = '/sys/fs/cgroup') {
    this.#root = root;
    this.#logger = logger;
  }

  /** Puts a process that is still held into its guest's group. True when it is limited. */
  async place(id: string, pid: number, limits: CgroupLimits): Promise<boolean> {
    this.#version ??= this.#prepare();
    const version = await this.#version;
    if (version === undefined) return false;
    try {
      const files = cgroupFiles(version, limits);
      for (const controller of ['memory', 'cpu'] as const) {
        const group = this.#group(version, controller, id);
        await mkdir(group, { recursive: true });
        for (const [name, value] of files[controller]) await writeFile(join(group, name), value);
        await writeFile(join(group, 'cgroup.procs'), String(pid));
      }
      return true;
    } catch (error) {
      this.#logger.warn({ vm: id, error: messageOf(error) }, 'the guest runs without limits of its control group');
      return false;
    }
  }

  /** True when the kernel killed the guest's QEMU for want of memory, its own limit's or the box's. */
  async wasOomKilled(id: string): Promise<boolean> {
    for (const file of [
      join(this.#group(2, 'memory', id), 'memory.events'),
      join(this.#group(1, 'memory', id), 'memory.oom_control'),
    ]) {
      const text = await readFile(file, 'utf8').catch(() => ''); // No such group: nothing is known.
      if (/^oom_kill [1-9]/m.test(text)) return true;
    }
    return false;
  }

  /** Removes the guest's group; one that still holds a process stays. Idempotent. */
  async remove(id: string): Promise<void> {
    const groups = new Set([this.#group(2, 'memory', id), this.#group(1, 'memory', id), this.#group(1, 'cpu', id)]);
    // Gone, or a process that hangs in the kernel is still in it: it is removed with the guest's next end.
    for (const group of groups) await rmdir(group).catch(() => undefined);
  }

  #group(version: 1 | 2, controller: string, id: string): string {
    return version === 2 ? join(this.#root, slice, `vm-${id}`) : join(this.#root, controller, slice, `vm-${id}`);
  }

  async #prepare(): Promise<1 | 2 | undefined> {
    if (process.getuid?.() !== 0) return undefined;
    try {
      const controllers = await readFile(join(this.#root, 'cgroup.controllers'), 'utf8').catch(() => undefined);
      if (controllers !== undefined && /\bmemory\b/.test(controllers) && /\bcpu\b/.test(controllers)) {
        await writeFile(join(this.#root, 'cgroup.subtree_control'), '+memory +cpu');
        await mkdir(join(this.#root, slice), { recursive: true });
        await writeFile(join(this.#root, slice, 'cgroup.subtree_control'), '+memory +cpu');
        return 2;
      }
      for (const controller of ['memory', 'cpu']) {
        await stat(join(this.#root, controller, 'cgroup.procs'));
        await mkdir(join(this.#root, controller, slice), { recursive: true });
      }
      return 1;
    } catch (error) {
      this.#logger.info({ error: messageOf(error) }, 'no control groups here: guests run without limits of their own');
      return undefined;
    }
  }
}
