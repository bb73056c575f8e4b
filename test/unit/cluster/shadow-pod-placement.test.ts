/** A migration's second pod: reserved before the guest goes, the guest's own when it has come, gone when it hasn't. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createShadowPodPlacement } from '../../../appliance/cluster/shadow-pod-placement.ts';
import { pod, podNameOf, podsOf, reservationLabel, type Pod } from '../../../appliance/cluster/shadow-pod.ts';
import { startInformer, type Informer } from '../../../appliance/reconcile/informer.ts';
import { idLabel, newId } from '../../../appliance/resources/identity.ts';
import {
  virtualMachineInstance,
  type MigrationState,
  type VirtualMachineInstance,
} from '../../../appliance/resources/virtual-machine.ts';
import { editObject } from '../../../appliance/store/edit.ts';
import { openSqliteStore } from '../../../appliance/store/sqlite.ts';
import { eventually } from '../../helpers/eventually.ts';

const namespace = 'default';
const vmId = newId();
const migrationUid = '7d3f0000-aaaa-4bbb-8ccc-000000000000';
let directory: string;
let store: ReturnType<typeof openSqliteStore>;
let pods: Informer<typeof pod>;
/** Pods of an owner that isn't there would be collected as garbage. */
let owner: VirtualMachineInstance;
let base: string;

const instance = (nodeName: string, state?: MigrationState['croft']['state']): VirtualMachineInstance => {
  const croft = { state: state ?? 'preparing', since: '2026-01-01T00:00:00Z' } as MigrationState['croft'];
  const migrationState = { migrationUid, sourceNode: 'a', targetNode: 'b', croft };
  return { ...owner, status: { nodeName, ...(state ? { migrationState } : {}) } };
};
/** What the scheduler does. */
const bind = (name: string, nodeName: string) =>
  editObject(store, pod, { name, namespace }, (draft) => void (draft.spec.nodeName = nodeName));
const names = async (): Promise<string[]> => (await store.list(pod)).items.map(({ metadata }) => metadata.name).toSorted();
const seen = (count: number, ...bound: string[]) =>
  eventually(() => {
    const nodes = pods.list().flatMap(({ spec }) => spec.nodeName ?? []);
    return pods.list().length === count && bound.every((name) => nodes.includes(name));
  });
const placementOn = (box: string) => createShadowPodPlacement(store, pods, box);

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'croft-sp-'));
  store = openSqliteStore({ path: join(directory, 'store.db') });
  pods = startInformer(store, pod);
  owner = await store.create(virtualMachineInstance, {
    metadata: { name: 'web', namespace, labels: { [idLabel]: vmId } },
    spec: { domain: { devices: {}, memory: { guest: '1Gi' } } },
  });
  base = podNameOf(owner);
  await placementOn('a').request(instance('a'), vmId, true);
  await seen(1, 'a');
});
afterEach(async () => {
  await pods.stop();
  await store.close();
  await rm(directory, { recursive: true, force: true });
});

it('asks the scheduler for a place at one of the boxes, and says what it waits for', async () => {
  const source = placementOn('a');
  const reserve = () => source.reserve?.(instance('a'), vmId, migrationUid, ['b', 'c']);
  expect(await reserve()).toEqual({ message: expect.stringContaining('looking for a place') });
  await seen(2, 'a');
  expect(await reserve()).toHaveProperty('message');
  const reservation = pods.list().find(({ metadata }) => metadata.labels?.[reservationLabel] === migrationUid) as Pod;
  expect(JSON.stringify(reservation.spec)).toContain('"values":["b","c"]');
  await bind(reservation.metadata.name, 'b');
  await seen(2, 'a', 'b');
  expect(await reserve()).toEqual({ box: 'b' });
  // It stands for nothing yet.
  expect(source.placeOf(instance('a', 'ready'))).toEqual({ state: 'here' });
  await source.cancel?.(migrationUid);
  await source.cancel?.(migrationUid);
  expect(await names()).toEqual([base]);
});

it('makes the reservation the guest’s own at its new box, and removes the pod at the old one', async () => {
  await placementOn('a').reserve?.(instance('a'), vmId, migrationUid, ['b']);
  await bind(`${base}-7d3f0000`, 'b');
  await seen(2, 'a', 'b');
  const target = placementOn('b');
  const came = instance('b', 'completed');
  expect(target.placeOf(came)).toEqual({ state: 'here' });
  for (let round = 0; round < 2; round++) await target.settle?.(came);
  expect(await names()).toEqual([`${base}-7d3f0000`]);
  await eventually(() => pods.list().length === 1 && pods.list()[0]?.metadata.labels?.[reservationLabel] === undefined);
  expect(target.placeOf(came)).toEqual({ state: 'here' });
  await target.release(came);
  expect(await names()).toEqual([]);
});

it('gives up a pod at another box where the guest came without a reservation', async () => {
  await placementOn('b').settle?.(instance('b', 'completed'));
  expect(await names()).toEqual([]);
});

it('counts the reservation of a failed migration as stale, and another migration’s as none of its own', async () => {
  await placementOn('a').reserve?.(instance('a'), vmId, migrationUid, ['b']);
  await placementOn('a').reserve?.(instance('a'), vmId, 'another0-0000', ['b']);
  await bind(`${base}-7d3f0000`, 'b');
  await seen(3, 'a', 'b');
  const { own, stale } = podsOf(instance('a', 'failed'), pods.list());
  expect([own, ...stale].map((one) => one?.metadata.name)).toEqual([base, `${base}-7d3f0000`]);
  expect(podsOf(instance('a', 'ready'), pods.list()).stale).toEqual([]);
});
