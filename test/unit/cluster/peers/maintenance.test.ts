/** A box is emptied: the plan by memory and disks, and the box's own turns on a real store. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { planDepartures } from '../../../../appliance/cluster/peers/evacuation.ts';
import { advanceMaintenance, departuresOf, evacuationLabel } from '../../../../appliance/cluster/peers/maintenance.ts';
import { silentLogger } from '../../../../appliance/host/logger.ts';
import { node, storagePool } from '../../../../appliance/resources/croft-kinds.ts';
import { persistentVolumeClaim } from '../../../../appliance/resources/data-volume.ts';
import { idLabel, newId } from '../../../../appliance/resources/identity.ts';
import { virtualMachineInstanceMigration } from '../../../../appliance/resources/migration.ts';
import { fence } from '../../../../appliance/resources/peer-kinds.ts';
import { virtualMachineInstance } from '../../../../appliance/resources/virtual-machine.ts';
import { editObject, editStatus } from '../../../../appliance/store/edit.ts';
import { openSqliteStore } from '../../../../appliance/store/sqlite.ts';
import type { ResourceStore } from '../../../../appliance/store/store.ts';

const gib = 2 ** 30;
const namespace = 'default';
let directory: string;
let store: ResourceStore;

const box = (name: string, witness = false) =>
  store.create(node, { metadata: { name }, spec: {} }).then(() =>
    editStatus(store, node, { name }, (draft) => {
      const conditions = [{ type: 'Ready', status: 'True' as const, lastTransitionTime: '2026-01-01T00:00:00Z' }];
      draft.status = { memory: 8 * gib, memoryReserved: gib, peer: { address: '10.0.0.1', role: 'voter', witness }, conditions };
    }),
  );

async function vm(name: string, at: string, memory: string, pool = 'replicated'): Promise<void> {
  const claim = `${name}-root`;
  const spec = { storageClassName: `croft-${pool}` };
  await store.create(persistentVolumeClaim, { metadata: { name: claim, namespace, labels: { [idLabel]: newId() } }, spec });
  const volumes = [{ name: 'root', persistentVolumeClaim: { claimName: claim } }];
  await store.create(virtualMachineInstance, {
    metadata: { name, namespace, labels: { [idLabel]: newId() } },
    spec: { domain: { memory: { guest: memory }, devices: {} }, volumes },
  });
  await editStatus(store, virtualMachineInstance, { name, namespace }, (draft) => {
    draft.status = { ...draft.status, nodeName: at, phase: 'Running' };
  });
}
const wish = (on: boolean) =>
  editObject(store, node, { name: 'box-1' }, (draft) => {
    draft.spec.maintenance = on;
  });
const turn = () => advanceMaintenance({ store, box: 'box-1', logger: silentLogger() });
const said = async () => (await store.get(node, 'box-1'))?.status?.conditions?.find(({ type }) => type === 'Maintenance');
const migrations = async () => (await store.list(virtualMachineInstanceMigration)).items;
const leaves = (name: string) =>
  editStatus(store, virtualMachineInstance, { name, namespace }, (draft) => {
    draft.status = { ...draft.status, nodeName: 'box-2' };
  });
const endOf = (name: string, error?: string) =>
  editStatus(store, virtualMachineInstanceMigration, { name, namespace }, (draft) => {
    draft.status = { ...draft.status, croft: { endedAt: new Date().toISOString(), ...(error === undefined ? {} : { error }) } };
  });

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'croft-mt-'));
  store = openSqliteStore({ path: join(directory, 'store.db') });
  for (const driver of ['rbd', 'local'] as const) {
    const name = driver === 'rbd' ? 'replicated' : 'local';
    await store.create(storagePool, { metadata: { name }, spec: { driver } });
  }
  await box('box-1');
  await box('box-2');
  await box('box-3', true);
});
afterEach(async () => {
  await store.close();
  rmSync(directory, { recursive: true, force: true });
});

describe('the plan', () => {
  const leaving = (vmName: string, memory: number) => ({ vm: vmName, project: 'p', memory: memory * gib });
  it('takes the largest first, each to where most is free, and says what fits nowhere', () => {
    const rooms = [
      { box: 'b', free: 4 * gib },
      { box: 'c', free: 6 * gib },
    ];
    expect(planDepartures([leaving('s', 1), leaving('l', 5), leaving('m', 4), leaving('x', 3)], rooms)).toEqual([
      { vm: 'l', project: 'p', to: 'c' },
      { vm: 'm', project: 'p', to: 'b' },
      { vm: 'x', project: 'p', stays: 'It needs 3 GiB of memory; the most that is free is 1 GiB, on c.' },
      { vm: 's', project: 'p', to: 'c' },
    ]);
    expect(planDepartures([leaving('s', 1)], [])).toMatchObject([{ stays: expect.stringContaining('no other box') }]);
  });

  it('counts what runs there, and leaves out witnesses, boxes in maintenance and fenced ones', async () => {
    await vm('big', 'box-2', '6Gi');
    await vm('web', 'box-1', '2Gi');
    expect(await departuresOf(store, 'box-1')).toMatchObject([{ vm: 'web', stays: expect.stringContaining('on box-2') }]);
    await store.delete(virtualMachineInstance, 'big', namespace);
    expect(await departuresOf(store, 'box-1')).toMatchObject([{ vm: 'web', to: 'box-2' }]);
    await store.create(fence, { metadata: { name: 'box-2' }, spec: { box: 'box-2', addresses: ['10.0.0.2'] } });
    expect(await departuresOf(store, 'box-1')).toMatchObject([{ stays: expect.stringContaining('no other box') }]);
  });

  it('names the VM that its disk keeps, with the command that moves it', async () => {
    await vm('bound', 'box-1', '1Gi', 'local');
    expect(await departuresOf(store, 'box-1')).toMatchObject([
      { stays: expect.stringContaining('croft vm move-disk bound root') },
    ]);
  });
});

describe('the box in maintenance', () => {
  it('sends its VMs away, two at a time, and says when it can be switched off', async () => {
    for (const name of ['a', 'b', 'c']) await vm(name, 'box-1', '1Gi');
    await turn();
    expect(await migrations()).toEqual([]);
    await wish(true);
    for (let count = 0; count < 3; count++) await turn();
    expect((await migrations()).map(({ spec }) => spec)).toMatchObject([
      { vmiName: 'a', addedNodeSelector: { 'kubernetes.io/hostname': 'box-2' } },
      { vmiName: 'b' },
    ]);
    expect(await said()).toMatchObject({ status: 'True', reason: 'Evacuating', message: '3 VMs are left.' });
    for (const one of await migrations()) await endOf(one.metadata.name);
    for (const name of ['a', 'b']) await leaves(name);
    await turn();
    expect((await migrations()).map(({ spec }) => spec.vmiName).toSorted()).toEqual(['a', 'b', 'c']);
    await leaves('c');
    await turn();
    expect(await said()).toMatchObject({ reason: 'SafeToPowerOff' });
    await wish(false);
    await turn();
    expect(await said()).toMatchObject({ status: 'False' });
  });

  it('is blocked by what stays, does not try at once what failed just now, and cancels what is under way in the end', async () => {
    await vm('bound', 'box-1', '1Gi', 'local');
    await wish(true);
    await turn();
    expect(await said()).toMatchObject({
      reason: 'Blocked',
      message: expect.stringContaining('bound: Disk root is in pool local'),
    });
    await vm('web', 'box-1', '1Gi');
    await turn();
    const [first] = await migrations();
    await endOf(first?.metadata.name as string, 'No place.');
    await turn();
    expect(await migrations()).toHaveLength(1);
    expect(await said()).toMatchObject({ reason: 'Blocked', message: expect.stringContaining('web: No place.') });
    await editStatus(store, virtualMachineInstanceMigration, { name: first?.metadata.name as string, namespace }, (draft) => {
      draft.status = { ...draft.status, croft: { endedAt: '2026-01-01T00:00:00Z', error: 'No place.' } };
    });
    await turn();
    expect((await migrations()).map(({ metadata }) => metadata.labels?.[evacuationLabel])).toEqual(['box-1', 'box-1']);
    await wish(false);
    await turn();
    expect((await migrations()).filter(({ status }) => status?.croft?.endedAt === undefined)).toEqual([]);
  });
});
