/** The fence's steps on a real store: in order, cut off before and after each, by one leader and by two; and the box's return. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createDetector } from '../../../../appliance/cluster/peers/detector.ts';
import { advanceFence, type Suspect } from '../../../../appliance/cluster/peers/fence.ts';
import { planFence, planRejoin } from '../../../../appliance/cluster/peers/fence-plan.ts';
import { createLeadership } from '../../../../appliance/cluster/peers/leadership.ts';
import { advanceRejoin, createStartGuard } from '../../../../appliance/cluster/peers/rejoin.ts';
import { timings } from '../../../../appliance/cluster/peers/timing.ts';
import { CroftError } from '../../../../appliance/errors.ts';
import { silentLogger } from '../../../../appliance/host/logger.ts';
import { storagePool } from '../../../../appliance/resources/croft-kinds.ts';
import { persistentVolumeClaim } from '../../../../appliance/resources/data-volume.ts';
import { newId } from '../../../../appliance/resources/identity.ts';
import { fence } from '../../../../appliance/resources/peer-kinds.ts';
import { virtualMachineInstance, type VirtualMachineInstance } from '../../../../appliance/resources/virtual-machine.ts';
import { openSqliteStore } from '../../../../appliance/store/sqlite.ts';
import type { ResourceStore } from '../../../../appliance/store/store.ts';
import { readShutOut, type OsdMap } from '../../../../storage/ceph/fence.ts';
import type { StorageFence } from '../../../../storage/driver.ts';

const logger = silentLogger();
const namespace = 'default';
const suspect: Suspect = { box: 'box-2', addresses: ['10.0.0.2'], bootId: 'boot', dead: true, reason: 'silent' };

/** The disks as far as a fence knows them. */
function simDisks() {
  const map = { blocked: false, disksStopped: false, servesWithout: false };
  let quorum = true;
  let groups = true;
  const asked = (): void => {
    if (!quorum) throw new CroftError('unavailable', 'no monitors');
  };
  const storage: StorageFence = {
    look: async () => (asked(), { ...map }),
    serves: async () => (asked(), !map.disksStopped),
    block: async () => (asked(), void (map.blocked = true)),
    stopDisks: async () => (asked(), void (map.disksStopped = true)),
    serveWithout: async () => (asked(), void (map.servesWithout = true)),
    prove: async () => {
      asked();
      if (!groups) throw new CroftError('unavailable', '3 of 32 placement groups do not serve yet.');
      return 42;
    },
    letIn: async () => (asked(), void Object.assign(map, { blocked: false, disksStopped: false })),
    mend: async () => void (map.servesWithout = false),
  };
  return { map, storage, setQuorum: (yes: boolean) => void (quorum = yes), setGroups: (yes: boolean) => void (groups = yes) };
}

let directory: string;
let store: ResourceStore;
let disks: ReturnType<typeof simDisks>;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'croft-fence-'));
  store = openSqliteStore({ path: join(directory, 'store.db') });
  disks = simDisks();
  await store.create(storagePool, { metadata: { name: 'replicated' }, spec: { driver: 'rbd' } });
  await store.create(storagePool, { metadata: { name: 'local' }, spec: { driver: 'local' } });
});
afterEach(async () => {
  await store.close();
  rmSync(directory, { recursive: true });
});

async function runningVm(name: string, pool: string, box: string, id = newId()): Promise<void> {
  const spec = {
    storageClassName: `croft-${pool}`,
    accessModes: ['ReadWriteOnce' as const],
    resources: { requests: { storage: '1Gi' } },
  };
  await store.create(persistentVolumeClaim, { metadata: { name: `${name}-root`, namespace }, spec });
  const made = await store.create(virtualMachineInstance, {
    metadata: {
      name,
      namespace,
      labels: { 'croft.io/id': id },
      annotations: { 'croft.io/epoch': '3' },
      finalizers: ['croft.io/instance'],
    },
    spec: {
      domain: { devices: { disks: [{ name: 'root', disk: { bus: 'virtio' } }] } },
      volumes: [{ name: 'root', persistentVolumeClaim: { claimName: `${name}-root` } }],
    },
  });
  await store.updateStatus(virtualMachineInstance, { ...made, status: { phase: 'Running', nodeName: box } });
}
const exitOf = async (name: string) => (await store.get(virtualMachineInstance, name, namespace))?.status?.croft?.exit;
const advance = (over: Partial<{ store: ResourceStore; dead: boolean; self: string }> = {}) =>
  advanceFence(
    { store: over.store ?? store, storage: disks.storage, self: over.self ?? 'box-1', logger },
    { ...suspect, dead: over.dead ?? true },
  );
const untilSettled = async (): Promise<string[]> => {
  const steps: string[] = [];
  for (let turn = 0; turn < 20; turn++) {
    const { do: done } = await advance();
    if (done === 'nothing') break;
    steps.push(done);
  }
  return steps;
};
const order = ['open', 'block', 'stop-disks', 'serve-without', 'confirm', 'release', 'settle'];

describe('the leader', () => {
  it('takes the steps in their order, frees shared VMs only, and leaves other boxes’ alone', async () => {
    await runningVm('web', 'replicated', 'box-2');
    await runningVm('cache', 'local', 'box-2');
    await runningVm('other', 'replicated', 'box-1');
    expect(await untilSettled()).toEqual(order);
    expect(await exitOf('web')).toBe('Fenced');
    expect([await exitOf('cache'), await exitOf('other')]).toEqual([undefined, undefined]);
    expect((await store.get(fence, 'box-2'))?.status).toMatchObject({
      phase: 'confirmed',
      osdmapEpoch: 42,
      settled: true,
      bootId: 'boot',
    });
  });

  it('leaves a guest between two boxes to the one that lives, until that is fenced too', async () => {
    await runningVm('web', 'replicated', 'box-2');
    const web = (await store.get(virtualMachineInstance, 'web', namespace)) as VirtualMachineInstance;
    const migrationState = {
      migrationUid: 'm',
      sourceNode: 'box-3',
      targetNode: 'box-2',
      croft: { state: 'switched' as const, since: '' },
    };
    await store.updateStatus(virtualMachineInstance, { ...web, status: { ...web.status, migrationState } });
    expect(await untilSettled()).not.toContain('release');
    expect(await exitOf('web')).toBeUndefined();
    const other = await store.create(fence, { metadata: { name: 'box-3' }, spec: { box: 'box-3', addresses: ['10.0.0.3'] } });
    await store.updateStatus(fence, { ...other, status: { phase: 'confirmed' } });
    expect((await advance()).do).toBe('release');
    expect(await exitOf('web')).toBe('Fenced');
  });

  it('opens nothing for a box that lives, and goes on with a fence whose box lives again', async () => {
    expect(await advance({ dead: false })).toEqual({ do: 'nothing' });
    expect(await store.get(fence, 'box-2')).toBeUndefined();
    await advance();
    expect((await advance({ dead: false })).do).toBe('block');
  });

  it('starts nothing without monitors, nor before every group serves, and says which', async () => {
    await runningVm('web', 'replicated', 'box-2');
    await advance();
    disks.setQuorum(false);
    expect(await advance()).toEqual({ do: 'wait', why: expect.stringContaining('no quorum of monitors') as string });
    disks.setQuorum(true);
    disks.setGroups(false);
    const steps = [];
    for (let turn = 0; turn < 5; turn++) steps.push((await advance()).do);
    expect(steps).toEqual(['block', 'stop-disks', 'serve-without', 'wait', 'wait']);
    expect(await exitOf('web')).toBeUndefined();
    expect((await store.get(fence, 'box-2'))?.status?.phase).toBe('pending');
  });

  it('blocks again what was let in, before it frees anything more', async () => {
    await runningVm('web', 'replicated', 'box-2');
    for (let turn = 0; turn < 5; turn++) await advance();
    expect((await store.get(fence, 'box-2'))?.status?.phase).toBe('confirmed');
    disks.map.blocked = false;
    expect((await advance()).do).toBe('block');
    expect(await exitOf('web')).toBeUndefined();
  });

  /** Every write to store or disks fails once, before or after it took effect; then all goes on. */
  const cuts = Array.from({ length: 12 }, (_, at) => (['before', 'after'] as const).map((when) => [at, when] as const)).flat();
  it.each(cuts)('ends the same, cut off at write %i, %s it', async (at, when) => {
    await runningVm('web', 'replicated', 'box-2');
    let writes = 0;
    const cut = <A extends unknown[], R>(work: (...args: A) => Promise<R>) => {
      return async (...args: A): Promise<R> => {
        const dies = writes++ === at;
        if (dies && when === 'before') throw new CroftError('unavailable', 'cut');
        const result = await work(...args);
        if (dies) throw new CroftError('unavailable', 'cut');
        return result;
      };
    };
    const { storage } = disks;
    const cutStorage = {
      ...storage,
      block: cut(storage.block),
      stopDisks: cut(storage.stopDisks),
      serveWithout: cut(storage.serveWithout),
    };
    const cutStore = Object.assign(Object.create(store) as ResourceStore, {
      create: cut(store.create.bind(store)),
      updateStatus: cut(store.updateStatus.bind(store)),
    });
    const context = { store: cutStore, storage: cutStorage, self: 'box-1', logger };
    for (let turn = 0; turn < 24; turn++) await advanceFence(context, suspect);
    expect(await exitOf('web')).toBe('Fenced');
    expect((await store.get(fence, 'box-2'))?.status).toMatchObject({ phase: 'confirmed', settled: true });
  });

  it('and a second leader at once: one fence, one freeing', async () => {
    await runningVm('web', 'replicated', 'box-2');
    for (let turn = 0; turn < 12; turn++) await Promise.all([advance(), advance({ self: 'box-3' })]);
    expect(await exitOf('web')).toBe('Fenced');
    expect((await store.get(fence, 'box-2'))?.status).toMatchObject({ phase: 'confirmed', settled: true });
  });
});

describe('the fenced box', () => {
  const running = new Map<string, number>();
  const guests = {
    all: () => [...running].map(([id, epoch]) => ({ id, epoch })),
    end: async (id: string) => void running.delete(id),
  };
  const guard = () => createStartGuard(store, 'box-2');
  const rejoin = (own = guard()) => advanceRejoin({ store, storage: disks.storage, box: 'box-2', guests, guard: own, logger });
  beforeEach(() => running.clear());

  it('starts nothing while there is a fence', async () => {
    const own = guard();
    (await own.enter())();
    await advance();
    await expect(own.enter()).rejects.toThrow(/starts nothing until it has rejoined/);
    expect(own.under).toBe(0);
  });

  it('ends what isn’t its own, keeps what is, and lifts only a settled fence', async () => {
    const [webId, cacheId] = [newId(), newId()];
    await runningVm('web', 'replicated', 'box-2', webId);
    await runningVm('cache', 'local', 'box-2', cacheId);
    running.set(webId, 3).set(cacheId, 3).set('gone', 1);
    await advance();
    expect((await rejoin()).do).toBe('end-guests');
    expect([...running.keys()]).toEqual([webId, cacheId]);
    expect((await rejoin()).do).toBe('wait');
    await untilSettled();
    // The instance is another box's from here on.
    const web = await store.get(virtualMachineInstance, 'web', namespace);
    if (web) await store.updateStatus(virtualMachineInstance, { ...web, status: { ...web.status, nodeName: 'box-1' } });
    const steps = [];
    for (let turn = 0; turn < 4; turn++) steps.push((await rejoin()).do);
    expect(steps).toEqual(['end-guests', 'claim', 'lift', 'nothing']);
    expect([...running.keys()]).toEqual([cacheId]);
    expect(disks.map).toMatchObject({ blocked: false, disksStopped: false });
    expect(await store.get(fence, 'box-2')).toBeUndefined();
  });

  it('waits for a start that began before the fence', async () => {
    const own = guard();
    const leave = await own.enter();
    await untilSettled();
    expect((await rejoin(own)).do).toBe('end-guests');
    expect((await store.get(fence, 'box-2'))?.status?.phase).toBe('confirmed');
    leave();
    expect((await rejoin(own)).do).toBe('claim');
  });

  it('that dies while lifting is fenced anew', async () => {
    await untilSettled();
    await rejoin();
    expect((await store.get(fence, 'box-2'))?.status?.phase).toBe('lifting');
    expect((await advance({ dead: false })).do).toBe('nothing');
    expect((await advance()).do).toBe('reopen');
    expect((await rejoin()).do).toBe('wait');
  });
});

describe('plans', () => {
  const whole = { blocked: true, disksStopped: true, servesWithout: true };
  it('free nothing unless confirmed, and confirm nothing unless all holds', () => {
    for (const key of ['blocked', 'disksStopped', 'servesWithout'] as const) {
      const shutOut = { ...whole, [key]: false };
      const fenced = (phase: 'pending' | 'confirmed') =>
        planFence({ dead: true, fence: { phase, settled: false }, shutOut, held: 1 }).do;
      expect(['block', 'stop-disks', 'serve-without']).toContain(fenced('pending'));
      expect(fenced('confirmed')).not.toBe('release');
    }
    expect(planRejoin({ fence: { phase: 'confirmed', settled: false }, staleGuests: 0 })).toEqual({ do: 'wait' });
  });

  it('read the disks’ map', () => {
    const map: OsdMap = {
      epoch: 7,
      blocklist: { '10.0.0.2:0/0': 'until' },
      osds: [
        { osd: 0, up: 1, state: ['exists', 'up'] },
        { osd: 1, up: 0, state: ['exists', 'noup'] },
      ],
      pools: [{ pool: 1, pool_name: 'replicated', size: 2, min_size: 1, pg_num: 32 }],
    };
    expect(readShutOut(map, { box: 'box-2', addresses: ['10.0.0.2'] }, [1])).toEqual(whole);
    expect(readShutOut(map, { box: 'box-1', addresses: ['10.0.0.1'] }, [0])).toMatchObject({
      blocked: false,
      disksStopped: false,
    });
    const [pool] = map.pools;
    const strict = { ...map, pools: [{ ...(pool as OsdMap['pools'][number]), min_size: 2 }] };
    expect(readShutOut(strict, { box: 'box-2', addresses: ['10.0.0.2'] }, [1]).servesWithout).toBe(false);
  });
});

describe('silence', () => {
  it('counts only while the own heartbeat comes back', () => {
    let now = 0;
    const detector = createDetector('a', 3_000, () => now);
    detector.seen('a', '1');
    detector.seen('b', '1');
    now = 60_000; // The store stood still: nobody was heard.
    expect(detector.silence('b')).toBe(0);
    expect(detector.hears()).toBe(false);
    detector.seen('a', '2');
    detector.seen('b', '2');
    now = 66_000;
    detector.seen('a', '3');
    detector.seen('b', '2');
    expect(detector.hears()).toBe(true);
    expect(detector.silence('b')).toBe(6_000);
  });
});

describe('leadership', () => {
  it('passes on only after the lease stood still, and the old leader has stopped by then', async () => {
    let now = 0;
    const make = (box: string) => createLeadership(store, box, timings.box, logger, () => now);
    const [a, b] = [make('a'), make('b')];
    await a.tick();
    await b.tick();
    expect([a.open(), b.open()]).toEqual([true, false]);
    for (let beat = 0; beat < 10; beat++) {
      now += 1_000;
      await a.tick();
      await b.tick();
      expect([a.open(), b.open()]).toEqual([true, false]);
    }
    let opened = 0;
    b.onOpen(() => opened++);
    for (let beat = 0; beat < 6; beat++) {
      now += 1_000;
      await b.tick();
      expect(a.open() && b.open()).toBe(false);
    }
    expect([a.open(), b.open(), opened]).toEqual([false, true, 1]);
  });
});
