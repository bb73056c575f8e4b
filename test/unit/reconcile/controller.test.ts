/** Informer and controller on the real store behind the injector of a cluster's faults. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startController, watching } from '../../../appliance/reconcile/controller.ts';
import { fromKey, keyOf, startInformer } from '../../../appliance/reconcile/informer.ts';
import { dataVolume, persistentVolumeClaim } from '../../../appliance/resources/data-volume.ts';
import { editObject, editStatus } from '../../../appliance/store/edit.ts';
import { randomOf, roughStore } from '../../../appliance/store/rough.ts';
import { openSqliteStore } from '../../../appliance/store/sqlite.ts';
import type { ResourceStore } from '../../../appliance/store/store.ts';
import { eventually } from '../../helpers/eventually.ts';

const namespace = 'default';
const backoff = { base: 1, max: 20 };
const seed = Number(process.env.CROFT_SEED ?? Date.now() % 1_000_000);
let directory: string;
let store: ResourceStore;
const stops: (() => Promise<void>)[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'croft-controller-'));
  store = openSqliteStore({ path: join(directory, 'store.db'), changeLogLimit: 32 });
});
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
  await store.close();
  rmSync(directory, { recursive: true });
});
const keep = <T extends { stop(): Promise<void> }>(one: T): T => {
  stops.push(() => one.stop());
  return one;
};
const make = (name: string, labels: Record<string, string> = {}) =>
  store.create(dataVolume, { metadata: { name, namespace, labels }, spec: { source: { blank: {} } } });

describe('informer', () => {
  it('has what there is when synced, then follows', async () => {
    await make('a');
    const informer = keep(startInformer(store, dataVolume));
    await informer.synced();
    expect(informer.get('a', namespace)?.metadata.name).toBe('a');
    const told: string[] = [];
    const stop = informer.onChange((type, object, before) =>
      told.push(`${type} ${keyOf(object)} ${before ? 'before' : ''}`.trim()),
    );
    await make('b');
    await editStatus(store, dataVolume, { name: 'a', namespace }, (object) => {
      object.status = { phase: 'Pending' };
    });
    await store.delete(dataVolume, 'b', namespace);
    await eventually(() =>
      expect(told).toEqual(['added default/a', 'added default/b', 'changed default/a before', 'removed default/b before']),
    );
    stop();
    await make('c');
    await eventually(() => expect(informer.list().map(keyOf)).toEqual(['default/a', 'default/c']));
    expect(told).toHaveLength(4);
  });

  it('shares objects that nobody can change', async () => {
    await make('a');
    const informer = keep(startInformer(store, dataVolume));
    await informer.synced();
    const shared = informer.get('a', namespace);
    expect(() => {
      if (shared) shared.spec.source = {};
    }).toThrow(TypeError);
  });

  it('holds to its selector and project', async () => {
    await make('a', { app: 'x' });
    await make('b');
    const informer = keep(startInformer(store, dataVolume, { namespace, labelSelector: 'app=x' }));
    await informer.synced();
    expect(informer.list().map(keyOf)).toEqual(['default/a']);
    await editObject(store, dataVolume, { name: 'b', namespace }, ({ metadata }) => {
      metadata.labels = { app: 'x' };
    });
    await eventually(() => expect(informer.list()).toHaveLength(2));
  });

  it('tells of what went and came while it did not look', async () => {
    let expire = false;
    const broken: ResourceStore = {
      ...store,
      async *watch(kind, query) {
        if (expire) for await (const event of store.watch(kind, query)) yield event;
        else await eventually(() => expire, { timeout: 5_000, interval: 1 });
      },
    };
    const before = await make('same');
    await make('gone');
    const informer = keep(startInformer(broken, dataVolume, { backoff }));
    await informer.synced();
    const told: string[] = [];
    informer.onChange((type, object) =>
      told.push(`${type} ${object.metadata.name} ${object.metadata.uid === before.metadata.uid ? 'old' : ''}`.trim()),
    );
    told.length = 0;
    await store.delete(dataVolume, 'gone', namespace);
    await store.delete(dataVolume, 'same', namespace);
    await make('same');
    for (let index = 0; index < 50; index++)
      await store.create(persistentVolumeClaim, { metadata: { name: `c${index}`, namespace }, spec: {} });
    expire = true;
    await eventually(() => expect(told).toEqual(['removed gone', 'removed same old', 'added same']));
  });

  it(`comes to the truth on a rough store (CROFT_SEED=${seed})`, async () => {
    const random = randomOf(seed);
    const rough = roughStore(store, { seed, lagMs: 2, expired: 0.1, tooMany: 0.1, cut: 0.1, duplicate: 0.2 });
    const informer = keep(startInformer(rough, dataVolume, { backoff }));
    const replica = new Map<string, string | undefined>();
    informer.onChange((type, object) => {
      if (type === 'removed') replica.delete(keyOf(object));
      else replica.set(keyOf(object), object.metadata.resourceVersion);
    });
    for (let index = 0; index < 150; index++) {
      const name = `v${Math.floor(random() * 8)}`;
      if (!(await store.get(dataVolume, name, namespace))) await make(name);
      else if (random() < 0.4) await store.delete(dataVolume, name, namespace);
      else {
        await editStatus(store, dataVolume, { name, namespace }, (object) => {
          object.status = { phase: `p${index}` };
        });
      }
      if (random() < 0.2) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await eventually(async () => {
      const truth = new Map((await store.list(dataVolume)).items.map((one) => [keyOf(one), one.metadata.resourceVersion]));
      expect(new Map(informer.list().map((one) => [keyOf(one), one.metadata.resourceVersion]))).toEqual(truth);
      expect(replica).toEqual(truth);
    });
  });
});

describe('controller', () => {
  it(`brings all keys to what is wished on a rough store (CROFT_SEED=${seed})`, async () => {
    const rough = roughStore(store, { seed, lagMs: 2, conflict: 0.2, expired: 0.1, tooMany: 0.1 });
    const volumes = keep(startInformer(rough, dataVolume, { backoff }));
    const claims = keep(startInformer(rough, persistentVolumeClaim, { backoff }));
    const active = new Set<string>();
    const controller = keep(
      startController({
        name: 'claims',
        watches: [watching(volumes), watching(claims)],
        backoff,
        resync: 0,
        reconcile: async (key) => {
          expect(active.has(key)).toBe(false);
          active.add(key);
          try {
            const { name } = fromKey(key);
            const volume = await rough.get(dataVolume, name, namespace);
            const claim = await rough.get(persistentVolumeClaim, name, namespace);
            if (volume && !claim) await rough.create(persistentVolumeClaim, { metadata: { name, namespace }, spec: {} });
            if (!volume && claim) await rough.delete(persistentVolumeClaim, name, namespace);
            if (volume) {
              await editStatus(rough, dataVolume, { name, namespace }, (object) => {
                object.status = { phase: 'Succeeded' };
              });
            }
          } finally {
            active.delete(key);
          }
        },
      }),
    );
    for (let index = 0; index < 20; index++) await make(`v${index}`);
    for (let index = 0; index < 10; index++) await store.delete(dataVolume, `v${index * 2}`, namespace);
    await store.create(persistentVolumeClaim, { metadata: { name: 'stray', namespace }, spec: {} });
    await eventually(async () => {
      const done = (await store.list(dataVolume)).items;
      expect(done.every(({ status }) => status?.phase === 'Succeeded')).toBe(true);
      expect((await store.list(persistentVolumeClaim)).items.map(keyOf)).toEqual(done.map(keyOf));
      expect(done).toHaveLength(10);
    });
    await controller.idle();
  });

  it('starts nothing before its informers are synced, and all keys then', async () => {
    const gate = Promise.withResolvers<void>();
    const slow: ResourceStore = { ...store, list: async (...args) => (await gate.promise, store.list(...args)) as never };
    await make('a');
    const runs: string[] = [];
    const informer = keep(startInformer(slow, dataVolume));
    const controller = keep(
      startController({ name: 't', watches: [watching(informer)], reconcile: async (key) => void runs.push(key) }),
    );
    controller.enqueue('by-hand');
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(runs).toEqual([]);
    gate.resolve();
    await eventually(() => expect(runs.sort()).toEqual(['by-hand', 'default/a']));
  });

  it('maps objects to other keys, and comes again by resync', async () => {
    const runs: string[] = [];
    const informer = keep(startInformer(store, dataVolume));
    keep(
      startController({
        name: 't',
        watches: [watching(informer, ({ metadata }) => [metadata.labels?.app ?? 'none'])],
        resync: 20,
        reconcile: async (key) => void runs.push(key),
      }),
    );
    await make('a', { app: 'x' });
    await eventually(() => expect(runs.filter((key) => key === 'x').length).toBeGreaterThan(2));
  });
});
