/** Migrations by the real controllers on a box alone: they end with a sentence, and hold nothing. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { virtualMachineInstanceMigration } from '../../../../appliance/resources/migration.ts';
import { virtualMachine, virtualMachineInstance } from '../../../../appliance/resources/virtual-machine.ts';
import { editStatus } from '../../../../appliance/store/edit.ts';
import { eventually } from '../../../helpers/eventually.ts';
import { fencedBox, startSimBox, type SimBox } from '../../../helpers/sim-box.ts';

const key = { name: 'vm', namespace: 'default' };
let box: SimBox;

beforeEach(async () => {
  box = await startSimBox();
  const template = { spec: { domain: { devices: {} } } };
  await box.store.create(virtualMachine, { metadata: key, spec: { runStrategy: 'Always', template } });
  await eventually(async () => expect(await printable()).toBe('Running'));
});
afterEach(() => box.close());

const printable = async () => (await box.store.get(virtualMachine, key.name, key.namespace))?.status?.printableStatus;
const wish = () =>
  box.store.create(virtualMachineInstanceMigration, { metadata: { name: 'm', namespace: 'default' }, spec: { vmiName: 'vm' } });
const migration = () => box.store.get(virtualMachineInstanceMigration, 'm', 'default');

it('end at once where there is no other box', async () => {
  await wish();
  await eventually(async () => expect((await migration())?.status?.phase).toBe('Failed'));
  expect((await migration())?.status?.croft?.error).toBe('There is no other box that could take it.');
  expect(await printable()).toBe('Running');
  await box.store.delete(virtualMachineInstanceMigration, 'm', 'default');
  await eventually(async () => expect(await migration()).toBeUndefined());
});

it('are given up, and the VM let go, when their object was removed by force', async () => {
  await editStatus(box.store, virtualMachineInstance, key, (draft) => {
    const since = new Date().toISOString();
    const state = { migrationUid: 'gone', sourceNode: 'box-1', targetNode: 'box-2', croft: { state: 'ready' as const, since } };
    draft.status = { ...draft.status, migrationState: state };
  });
  await eventually(
    async () => {
      const instance = await box.store.get(virtualMachineInstance, key.name, key.namespace);
      expect(instance?.status?.migrationState).toMatchObject({ failed: true });
    },
    { timeout: 20_000 },
  );
  await eventually(async () => expect(await printable()).toBe('Running'), { timeout: 20_000 });
  const instance = await box.store.get(virtualMachineInstance, key.name, key.namespace);
  expect(instance?.status?.migrationState).toMatchObject({ failed: true, failureReason: 'It was cancelled.' });
  expect(instance?.status?.nodeName).toBe('box-1');
});

it('throw away what came and start the VM from its disks when the source died before it handed over', {
  timeout: 60_000,
}, async () => {
  const before = await box.store.get(virtualMachineInstance, key.name, key.namespace);
  await editStatus(box.store, virtualMachineInstance, key, (draft) => {
    const croft = { state: 'switched' as const, since: new Date().toISOString() };
    const state = { migrationUid: 'gone', sourceNode: fencedBox, targetNode: 'box-1', croft };
    draft.status = { ...draft.status, migrationState: state };
  });
  await eventually(
    async () => {
      const instance = await box.store.get(virtualMachineInstance, key.name, key.namespace);
      expect(instance?.metadata.uid).not.toBe(before?.metadata.uid);
      expect(instance?.status).toMatchObject({ phase: 'Running', nodeName: 'box-1' });
      expect(await printable()).toBe('Running');
    },
    // The VM controller waits before it starts a VM again whose guest was lost.
    { timeout: 40_000 },
  );
  expect([...box.world.guests.values()].map(({ state }) => state)).toEqual(['running']);
});
