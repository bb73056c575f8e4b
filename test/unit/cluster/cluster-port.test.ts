import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createClusterPort, settleCluster } from '../../../appliance/cluster/cluster-port.ts';
import { failedInit, notePending, pendingInit } from '../../../appliance/cluster/init.ts';
import {
  readMembership,
  settingsOfFounder,
  writeMembership,
  type K3sWish,
  type Membership,
} from '../../../appliance/cluster/membership.ts';
import { loadConfig } from '../../../appliance/config.ts';
import { silentLogger } from '../../../appliance/host/logger.ts';
import { openBoxStore, type BoxStore } from '../../../appliance/store/box/box-store.ts';
import { eventually } from '../../helpers/eventually.ts';

const wish: K3sWish = {
  nodeName: 'box-1',
  address: '192.0.2.1',
  ranges: { pods: '10.42.0.0/16', services: '10.43.0.0/16', dns: '10.43.0.10' },
  kubeletArgs: [],
};
const context = { request: {}, wish };

let directory: string;
let box: BoxStore;
/** Steps done, and those that fail from now on. */
let done: string[];
let failing: Set<string>;
let replaced: number;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'croft-port-'));
  box = openBoxStore(join(directory, 'box.db'));
  [done, failing, replaced] = [[], new Set(), 0];
});
afterEach(async () => {
  await box.close();
  rmSync(directory, { recursive: true, force: true });
});

const step = (name: string) => async (): Promise<void> => {
  if (failing.has(name)) throw new Error(`${name} failed`);
  done.push(name);
};
const shared = () => {
  const config = loadConfig({ data: directory, run: directory }, {});
  return {
    config,
    box,
    logger: silentLogger(),
    lockFile: join(directory, 'k3s.lock'),
    fetch: () => Promise.reject(new Error('nothing is fetched here')),
    parts: {
      prepare: () => ({
        install: step('install'),
        uninstall: step('uninstall'),
        start: step('start'),
        reset: step('reset'),
        installKinds: step('kinds'),
      }),
      move: () => ({
        start: step('start'),
        copy: step('copy'),
        discard: step('discard'),
        commit: async (made: K3sWish) => {
          await step('commit')();
          await writeMembership(config, { ...made, since: '2026-01-01T00:00:00Z' });
        },
        revoke: step('revoke'),
      }),
    },
  };
};
const portOf = (membership?: Membership) =>
  createClusterPort({
    ...shared(),
    nodeName: 'box-1',
    membership,
    k3s: undefined,
    occupied: async () => [],
    replace: () => void (replaced += 1),
  });
const pendingMove = () => notePending(box.journal, { phase: 'move', task: 't', context });

describe('before the store is opened', () => {
  it('nothing is done where nothing is due', async () => {
    expect(await settleCluster(shared())).toBeUndefined();
    expect(done).toEqual([]);
  });

  it('a move that is due is made, once', async () => {
    pendingMove();
    expect(await settleCluster(shared())).toMatchObject({ address: '192.0.2.1' });
    expect(await settleCluster(shared())).toMatchObject({ address: '192.0.2.1' });
    expect(done).toEqual(['start', 'copy', 'commit']);
    expect(pendingInit(box.journal)).toBeUndefined();
  });

  it('one that fails is undone, told, and not tried again by itself', async () => {
    pendingMove();
    failing.add('copy');
    expect(await settleCluster(shared())).toBeUndefined();
    expect(await settleCluster(shared())).toBeUndefined();
    expect(done).toEqual(['start', 'discard']);
    expect(failedInit(box.journal)?.detail).toBe('copy failed');
    expect(await portOf().status()).toMatchObject({ state: 'none', words: expect.stringContaining('copy failed') });
  });

  it('one that cannot be undone yet is taken up at the next start; the box works on meanwhile', async () => {
    pendingMove();
    failing.add('copy').add('discard');
    expect(await settleCluster(shared())).toBeUndefined();
    expect(pendingInit(box.journal)?.phase).toBe('move');
    failing.clear();
    expect(await settleCluster(shared())).toBeUndefined();
    expect(done).toEqual(['start', 'discard']);
    expect(pendingInit(box.journal)).toBeUndefined();
  });

  it('a move cut off between its commit and its last note is not made again: newer changes would be lost', async () => {
    pendingMove();
    await writeMembership(shared().config, { ...wish, since: '2026-01-01T00:00:00Z' });
    expect(await settleCluster(shared())).toBeDefined();
    expect(done).toEqual([]);
    expect(pendingInit(box.journal)).toBeUndefined();
  });
});

it.each([
  ['its address is the cluster’s where somebody named it', true, '', '192.0.2.1'],
  ['it stays alone where nobody did', undefined, '', ''],
  ['CROFT_ADDRESS is heeded', undefined, '192.0.2.9', '192.0.2.9'],
])('of a founder: %s', (_what, joinable, given, address) => {
  const membership = { ...wish, since: '2026-01-01T00:00:00Z', ...(joinable ? { joinable } : {}) };
  const config = settingsOfFounder({ ...shared().config, address: given }, membership);
  expect(config).toMatchObject({ store: 'kubernetes', node: wish.nodeName, address });
});

describe('croft cluster init', () => {
  const address = Object.values(networkInterfaces())
    .flat()
    .find((each) => each?.family === 'IPv4' && !each.internal)?.address;
  const k3s = () => {
    const path = join(directory, 'k3s-program');
    writeFileSync(path, '');
    return path;
  };

  it.runIf(address && process.getuid?.() === 0)('prepares as a task, then asks for the box to be composed anew', async () => {
    const port = portOf();
    const id = await port.init({ k3s: k3s(), address }, 'root');
    await expect(port.init({ k3s: k3s(), address })).rejects.toThrow('under way already');
    await eventually(() => replaced === 1);
    expect(done).toEqual(['install', 'start', 'kinds']);
    expect(box.tasks.get(id)).toMatchObject({ state: 'succeeded', verb: 'cluster.init' });
    expect(await port.status()).toMatchObject({ state: 'moving', taskId: id });
    expect(await readMembership(shared().config)).toBeUndefined();
  });

  it.runIf(address && process.getuid?.() === 0)('is undone when a step fails, and may be tried again', async () => {
    const port = portOf();
    failing.add('kinds');
    const id = await port.init({ k3s: k3s(), address });
    await eventually(() => failedInit(box.journal) !== undefined);
    expect(done).toEqual(['install', 'start', 'reset', 'uninstall']);
    expect(box.tasks.get(id)).toMatchObject({ state: 'failed', error: { detail: 'kinds failed' } });
    failing.clear();
    await port.init({ k3s: k3s(), address });
    expect(failedInit(box.journal)).toBeUndefined();
    await eventually(() => replaced === 1);
  });

  it('goes on with what the end of the service cut off', async () => {
    notePending(box.journal, { phase: 'prepare', task: 'gone', context });
    portOf().resume();
    await eventually(() => replaced === 1);
    expect(done).toEqual(['install', 'start', 'kinds']);
  });

  it.runIf(process.getuid?.() === 0)('refuses before anything is done what cannot be', async () => {
    const port = portOf();
    await expect(port.init({})).rejects.toThrow('No k3s release is pinned here');
    await expect(port.init({ k3s: '/nowhere/k3s' })).rejects.toThrow('k3s: "/nowhere/k3s" is no file on this box.');
    await expect(port.init({ k3s: k3s(), images: [directory] })).rejects.toThrow('images:');
    await expect(port.init({ k3s: k3s(), address: '192.0.2.99' })).rejects.toThrow(
      '192.0.2.99 is not an IPv4 address of this box',
    );
    await expect(portOf({ ...wish, since: '' }).init({})).rejects.toThrow('runs on its Kubernetes already');
    expect([pendingInit(box.journal), done]).toEqual([undefined, []]);
  });
});
