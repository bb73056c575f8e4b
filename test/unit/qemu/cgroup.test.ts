import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../../../appliance/host/logger.ts';
import { cgroupFiles, Cgroups, memoryLimitOf, removeCgroups } from '../../../appliance/qemu/cgroup.ts';

const limits = { memory: 2 ** 30, vcpus: 2, cpuLimit: 1.5 };
let root = '';
afterEach(() => rm(root, { recursive: true, force: true }));

describe('the files of a control group', () => {
  it("are v2's or v1's names for the same", () => {
    expect(cgroupFiles(2, limits)).toEqual({
      memory: [['memory.max', '1073741824']],
      cpu: [
        ['cpu.weight', '200'],
        ['cpu.max', '150000 100000'],
      ],
    });
    expect(cgroupFiles(1, { memory: 2 ** 30, vcpus: 2 })).toEqual({
      memory: [['memory.limit_in_bytes', '1073741824']],
      cpu: [
        ['cpu.shares', '2048'],
        ['cpu.cfs_period_us', '100000'],
        ['cpu.cfs_quota_us', '-1'],
      ],
    });
  });

  it('leave QEMU room beside the guest, emulated more', () => {
    expect(memoryLimitOf(2 ** 30, 'kvm')).toBe(2 ** 30 + 2 ** 24 + 384 * 2 ** 20);
    expect(memoryLimitOf(2 ** 30, 'tcg') - memoryLimitOf(2 ** 30, 'kvm')).toBe(640 * 2 ** 20);
  });
});

describe.runIf(process.getuid?.() === 0)('a tree of control groups', () => {
  it('v2: controllers are handed down, the process is placed, an OOM kill is read', async () => {
    root = await mkdtemp(join(tmpdir(), 'croft-cg-'));
    await writeFile(join(root, 'cgroup.controllers'), 'cpuset cpu io memory pids\n');
    const groups = new Cgroups(silentLogger(), root);
    expect(await groups.place('a', 42, limits)).toBe(true);
    const group = join(root, 'croft.slice', 'vm-a');
    expect(await readFile(join(root, 'croft.slice', 'cgroup.subtree_control'), 'utf8')).toBe('+memory +cpu');
    expect(await readFile(join(group, 'cgroup.procs'), 'utf8')).toBe('42');
    expect(await readFile(join(group, 'cpu.max'), 'utf8')).toBe('150000 100000');
    expect(await groups.wasOomKilled('a')).toBe(false);
    await writeFile(join(group, 'memory.events'), 'low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\n');
    expect(await groups.wasOomKilled('a')).toBe(true);
  });

  it("uninstalling takes its own guests' groups away, and the slice when it is the last", async () => {
    root = await mkdtemp(join(tmpdir(), 'croft-cg-'));
    const slice = join(root, 'cpu', 'croft.slice');
    for (const id of ['mine', 'theirs']) await mkdir(join(slice, `vm-${id}`), { recursive: true });
    await removeCgroups(['mine'], root);
    expect(await readdir(slice)).toEqual(['vm-theirs']);
    await removeCgroups(['theirs'], root);
    expect(await readdir(join(root, 'cpu'))).toEqual([]);
  });

  it('without any, guests run as well', async () => {
    root = await mkdtemp(join(tmpdir(), 'croft-cg-'));
    expect(await new Cgroups(silentLogger(), root).place('a', 42, limits)).toBe(false);
    await mkdir(join(root, 'x'));
  });
});
