import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { CroftError } from '../../../appliance/errors.ts';
import { startInformer, type Informer } from '../../../appliance/reconcile/informer.ts';
import { image, network, user } from '../../../appliance/resources/croft-kinds.ts';
import { withLastKnown, type LastKnown } from '../../../appliance/store/last-known.ts';
import { openSqliteStore } from '../../../appliance/store/sqlite.ts';
import type { ResourceStore } from '../../../appliance/store/store.ts';
import { eventually } from '../../helpers/eventually.ts';

let directory: string;
let real: ResourceStore;
let away: 'no' | 'refused' | 'silent';
let informer: Informer;
let known: LastKnown;

/** The store behind an API server that can be taken away: refusing, or saying nothing at all. */
function server(): ResourceStore {
  const gate = async <T>(work: () => Promise<T>): Promise<T> => {
    if (away === 'silent') await new Promise(() => {});
    if (away === 'refused') throw new CroftError('unavailable', 'The Kubernetes API does not answer.');
    return work();
  };
  return {
    ...real,
    get: (kind, name, namespace) => gate(() => real.get(kind, name, namespace)),
    list: (kind, query) => gate(() => real.list(kind, query)),
    create: (kind, draft) => gate(() => real.create(kind, draft)),
  };
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'croft-known-'));
  real = openSqliteStore({ path: join(directory, 'store.db') });
  away = 'no';
  for (const [name, vlan] of [
    ['a', 1],
    ['b', 2],
    ['c', 3],
  ] as const) {
    await real.create(network, { metadata: { name, labels: { odd: String(vlan % 2) } }, spec: { vlan } });
  } // prettier-ignore
  informer = startInformer(real, network) as unknown as Informer;
  await informer.synced();
  known = withLastKnown(server(), [informer], { patience: 50, probeInterval: 10 });
  await Promise.resolve();
});
afterEach(async () => {
  known.stop();
  await informer.stop();
  await real.close();
  rmSync(directory, { recursive: true, force: true });
});

const names = async (query = {}) => (await known.store.list(network, query)).items.map(({ metadata }) => metadata.name);

it('passes on what the server says, while it says something', async () => {
  expect(await names()).toEqual(['a', 'b', 'c']);
  expect(known.staleSince()).toBeUndefined();
  await expect(known.store.create(network, { metadata: { name: 'a' }, spec: {} })).rejects.toThrow('exists');
  expect(known.staleSince()).toBeUndefined();
});

it.each(['refused', 'silent'] as const)('serves what it last saw when the server is %s, and says since when', async (how) => {
  const before = Date.now();
  await names();
  away = how;
  expect(await names()).toEqual(['a', 'b', 'c']);
  expect(known.staleSince()?.getTime()).toBeGreaterThanOrEqual(before);
  expect((await known.store.get(network, 'b'))?.spec.vlan).toBe(2);
  expect(await known.store.get(network, 'x')).toBeUndefined();
  expect(await names({ labelSelector: 'odd=1', fieldSelector: 'metadata.name!=a' })).toEqual(['c']);
  const first = await known.store.list(network, { limit: 2 });
  expect(first.items.length).toBe(2);
  expect(await names({ limit: 2, continue: first.continue })).toEqual(['c']);
});

it('is current again by itself once the server answers', async () => {
  away = 'refused';
  await names();
  expect(known.staleSince()).toBeDefined();
  away = 'no';
  await eventually(() => known.staleSince() === undefined);
});

it('hands out copies: nobody changes the memory', async () => {
  away = 'refused';
  const [first] = (await known.store.list(network)).items;
  if (first) first.spec.vlan = 99;
  expect((await known.store.get(network, 'a'))?.spec.vlan).toBe(1);
});

it('fails clearly for writes, for kinds it has not seen, and where only a quorum will do', async () => {
  away = 'refused';
  await expect(known.store.create(network, { metadata: { name: 'd' }, spec: {} })).rejects.toThrow('does not answer');
  await expect(known.store.get(user, 'ada')).rejects.toThrow('does not answer');
  await expect(known.store.list(image)).rejects.toThrow('does not answer');
  await expect(known.store.list(network, { consistent: true })).rejects.toThrow('does not answer');
});
