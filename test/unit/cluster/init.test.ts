import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { holdImageArchive, holdProgram } from '../../../appliance/cluster/hold-image.ts';
import { moveSaga, prepareSaga, type MoveParts, type PrepareParts } from '../../../appliance/cluster/init.ts';
import { k3sConfig } from '../../../appliance/cluster/k3s-config.ts';
import { thisArchitecture } from '../../../appliance/cluster/k3s-release.ts';
import {
  readMembership,
  readWish,
  removeMembership,
  writeMembership,
  type K3sWish,
} from '../../../appliance/cluster/membership.ts';
import { chooseRanges } from '../../../appliance/cluster/ranges.ts';
import { run } from '../../../appliance/host/exec.ts';
import { readProcess } from '../../../appliance/host/process-info.ts';
import { eventually } from '../../helpers/eventually.ts';
import { describeSaga } from '../../contract/saga.ts';

const wish: K3sWish = {
  nodeName: 'box-1',
  address: '192.0.2.1',
  ranges: { pods: '10.42.0.0/16', services: '10.53.0.0/16', dns: '10.53.0.10' },
  kubeletArgs: [],
};

describeSaga({
  name: 'prepare',
  setUp: async () => {
    const world = { installed: false, running: false, kinds: false };
    const parts: PrepareParts = {
      install: async () => void (world.installed = true),
      uninstall: async () => void (world.installed = false),
      start: async () => {
        if (!world.installed) throw new Error('there is no k3s');
        world.running = true;
      },
      // What was in it goes with it.
      reset: async () => void Object.assign(world, { running: false, kinds: false }),
      installKinds: async () => {
        if (!world.running) throw new Error('k3s does not run');
        world.kinds = true;
      },
    };
    return { saga: prepareSaga(parts), context: { request: {}, wish }, snapshot: () => ({ ...world }) };
  },
});

describeSaga({
  name: 'move',
  setUp: async () => {
    const world = { copies: 0, member: false };
    const parts: MoveParts = {
      start: async () => {},
      copy: async () => {
        if (world.member) throw new Error('moved already: the copies are what counts now');
        world.copies = 3;
      },
      discard: async () => void (world.copies = 0),
      commit: async () => void (world.member = true),
      revoke: async () => void (world.member = false),
    };
    return { saga: moveSaga(parts), context: { wish }, snapshot: () => ({ ...world }) };
  },
});

describe('the ranges of pods and Services', () => {
  it('are k3s’ own where they are free', () => {
    expect(chooseRanges(['192.0.2.1/24'])).toEqual({ pods: '10.42.0.0/16', services: '10.43.0.0/16', dns: '10.43.0.10' });
  });

  it('keep out of the box’s networks, whichever holds the other', () => {
    expect(chooseRanges(['10.43.0.1/24'])).toEqual(wish.ranges);
    expect(chooseRanges(['10.42.7.1/24', '0.0.0.0/0', '10.52.0.1/32', 'fe80::1/64']).pods).toBe('10.52.0.0/16');
  });

  it('are said to be missing when nothing is free', () => {
    expect(() => chooseRanges(['10.0.0.1/8'])).toThrow('No range is free for Services');
  });

  it('reach k3s’ configuration', () => {
    const plan = { role: 'first', nodeName: 'b', nodeIp: '192.0.2.1', dataDir: '/d', kubeconfig: '/k' } as const;
    expect(k3sConfig({ ...plan, ranges: wish.ranges })).toContain('service-cidr: 10.53.0.0/16\ncluster-dns: 10.53.0.10\n');
    expect(k3sConfig(plan)).not.toContain('cidr');
  });
});

describe('on disk', () => {
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'croft-init-'));
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  it('a box is a member from the writing of cluster.json to its removal', async () => {
    const directories = { data: directory, run: directory };
    expect(await readMembership(directories)).toBeUndefined();
    await writeMembership(directories, { ...wish, since: '2026-01-01T00:00:00Z' });
    expect(await readMembership(directories)).toEqual({ ...wish, since: '2026-01-01T00:00:00Z' });
    for (let time = 0; time < 2; time++) await removeMembership(directories);
    expect(await readMembership(directories)).toBeUndefined();
    expect(await readWish(directories)).toBeUndefined();
    writeFileSync(join(directory, 'cluster.json'), '{');
    await expect(readMembership(directories)).rejects.toThrow('cluster.json cannot be read');
  });

  it('the hold program runs, takes no time, and its image is an archive of it', async () => {
    const path = join(directory, 'hold');
    writeFileSync(path, holdProgram(thisArchitecture()), { mode: 0o755 });
    const child = spawn(path);
    try {
      await eventually(async () => (await readProcess(child.pid as number))?.state === 'S');
    } finally {
      child.kill('SIGKILL');
    }
    const archive = join(directory, 'hold.tar');
    writeFileSync(archive, holdImageArchive(thisArchitecture()));
    expect((await run(['tar', '-tf', archive])).stdout.split('\n')).toEqual(['config.json', 'layer.tar', 'manifest.json']);
    await run(['tar', '-xf', archive, '-C', directory]);
    expect((await run(['tar', '-tvf', join(directory, 'layer.tar')])).stdout).toMatch(/^-rwxr-xr-x .* hold$/);
  });
});
