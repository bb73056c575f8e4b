import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { dataVolume } from '../../../appliance/resources/data-volume.ts';
import { roughStore } from '../../../appliance/store/rough.ts';
import { openSqliteStore } from '../../../appliance/store/sqlite.ts';
import type { ResourceStore } from '../../../appliance/store/store.ts';
import { collect, refusal } from '../../contract/store-tools.ts';
import { eventually } from '../../helpers/eventually.ts';

const calm = { seed: 1, conflict: 0, expired: 0, tooMany: 0, lag: 0, duplicate: 0, cut: 0 };
const namespace = 'default';
const make = (store: ResourceStore, name: string) => store.create(dataVolume, { metadata: { name, namespace }, spec: {} });
let directory: string;
let inner: ResourceStore;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'croft-rough-'));
  inner = openSqliteStore({ path: join(directory, 'store.db') });
});
afterEach(async () => {
  await inner.close();
  rmSync(directory, { recursive: true });
});

it('is the inner store when all rates are zero', async () => {
  const store = roughStore(inner, calm);
  const made = await make(store, 'a');
  expect(await store.get(dataVolume, 'a', namespace)).toEqual(made);
});

it('injects each fault by its own code', async () => {
  const made = await make(inner, 'a');
  await refusal('conflict', roughStore(inner, { ...calm, conflict: 1 }).update(dataVolume, made));
  await refusal('too-many-requests', roughStore(inner, { ...calm, tooMany: 1 }).list(dataVolume));
  const { resourceVersion } = await inner.list(dataVolume);
  await refusal(
    'expired',
    collect((signal) => roughStore(inner, { ...calm, expired: 1 }).watch(dataVolume, { resourceVersion, signal })).ended,
  );
  await refusal('unavailable', make(roughStore(inner, { ...calm, lostAnswer: 1 }), 'b'));
  expect(await inner.get(dataVolume, 'b', namespace)).toBeDefined();
});

it('lists what was, unless asked for what is', async () => {
  const store = roughStore(inner, { ...calm, lag: 1 });
  await store.list(dataVolume);
  await make(inner, 'a');
  expect((await store.list(dataVolume)).items).toHaveLength(0);
  expect((await store.list(dataVolume, { consistent: true })).items).toHaveLength(1);
});

it('repeats events in order and cuts watches off', async () => {
  const seen = collect((signal) => roughStore(inner, { ...calm, duplicate: 1 }).watch(dataVolume, { signal }));
  await make(inner, 'a');
  await make(inner, 'b');
  await eventually(() => expect(seen.told()).toEqual(['ADDED a', 'ADDED a', 'ADDED b', 'ADDED a', 'ADDED b']));
  await seen.stop();
  const cut = collect((signal) => roughStore(inner, { ...calm, cut: 1 }).watch(dataVolume, { signal }));
  await cut.ended;
  expect(cut.told()).toEqual(['ADDED a']);
});
