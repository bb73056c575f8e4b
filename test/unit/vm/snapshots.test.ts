/** Snapshots and restores by the real controllers on a simulated machine, the service killed at every point. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { persistentVolumeClaim } from '../../../appliance/resources/data-volume.ts';
import { idLabel, newId } from '../../../appliance/resources/identity.ts';
import { virtualMachineClone, virtualMachineRestore, virtualMachineSnapshot } from '../../../appliance/resources/snapshot.ts';
import { virtualMachine, virtualMachineInstance } from '../../../appliance/resources/virtual-machine.ts';
import { createSimDriver, type SimDriver } from '../../../storage/sim.ts';
import { eventually } from '../../helpers/eventually.ts';
import { startSimBox, type SimBox } from '../../helpers/sim-box.ts';

const mib = 2 ** 20;
const project = 'default';
const source = { apiGroup: 'kubevirt.io', kind: 'VirtualMachine', name: 'a' };

describe('on a simulated box', () => {
  let box: SimBox;
  let pool: SimDriver;
  const disks = { root: newId(), data: newId() };

  beforeEach(async () => {
    pool = createSimDriver();
    box = await startSimBox(undefined, undefined, pool);
    for (const [name, id] of Object.entries(disks)) {
      await pool.create({ id, size: mib, source: { blank: true } });
      await box.store.create(persistentVolumeClaim, {
        metadata: { name, namespace: project, labels: { [idLabel]: id } },
        spec: {},
      });
    }
    const volumes = Object.keys(disks).map((name) => ({ name, persistentVolumeClaim: { claimName: name } }));
    const template = { spec: { volumes, domain: { devices: {} } } };
    await box.store.create(virtualMachine, {
      metadata: { name: 'a', namespace: project },
      spec: { runStrategy: 'Always', template },
    });
    await runs();
  });
  afterEach(() => box.close());

  const runs = () =>
    eventually(async () => expect((await box.store.get(virtualMachine, 'a', project))?.status?.printableStatus).toBe('Running'));
  const fill = (byte: number) => {
    for (const id of Object.values(disks)) pool.write(id, 0, 4096, byte);
  };
  const holds = (byte: number) => {
    for (const id of Object.values(disks)) expect(pool.reads(id, 0, 4096, byte)).toBe(true);
  };
  const take = async (name: string) => {
    await box.store.create(virtualMachineSnapshot, { metadata: { name, namespace: project }, spec: { source } });
    return eventually(async () => {
      const found = await box.store.get(virtualMachineSnapshot, name, project);
      expect(found?.status?.phase).toBe('Succeeded');
      return found;
    });
  };
  const restore = (name = 'r') =>
    box.store.create(virtualMachineRestore, {
      metadata: { name, namespace: project },
      spec: { target: source, virtualMachineSnapshotName: 's1' },
    });
  const ends = (name = 'r') =>
    eventually(async () => {
      const found = await box.store.get(virtualMachineRestore, name, project);
      expect(found?.status?.croft?.endedAt).toBeDefined();
      return found;
    });

  it('freezes all disks of a running VM and forgets them again', async () => {
    const taken = await take('s1');
    expect(taken?.status).toMatchObject({ readyToUse: true, indications: ['Online', 'NoGuestAgent'] });
    expect(taken?.metadata.ownerReferences).toMatchObject([{ kind: 'VirtualMachine', name: 'a' }]);
    for (const id of Object.values(disks)) expect((await pool.get(id))?.snapshots).toHaveLength(1);
    await box.store.delete(virtualMachineSnapshot, 's1', project);
    await eventually(async () => expect(await box.store.get(virtualMachineSnapshot, 's1', project)).toBeUndefined());
    for (const id of Object.values(disks)) expect((await pool.get(id))?.snapshots).toEqual([]);
  });

  it('puts a running VM back in one operation, and lets it run again', async () => {
    fill(1);
    await take('s1');
    fill(2);
    const before = (await box.store.get(virtualMachineInstance, 'a', project))?.metadata.uid;
    await restore();
    expect((await ends())?.status).toMatchObject({ complete: true });
    holds(1);
    await runs();
    expect((await box.store.get(virtualMachineInstance, 'a', project))?.metadata.uid).not.toBe(before);
    const safety = (await box.store.list(virtualMachineSnapshot)).items.find(({ metadata }) =>
      metadata.name.includes('before-restore'),
    );
    expect(safety?.status?.readyToUse).toBe(true);
    expect(box.world.doubleStarts).toEqual([]);
  });

  it.each([0, 2, 5, 10, 20, 40, 80])('completes a restore when the service is killed after %i ms', async (ms) => {
    fill(1);
    await take('s1');
    fill(2);
    await restore();
    await new Promise((resolve) => setTimeout(resolve, ms));
    await box.restart();
    expect((await ends())?.status).toMatchObject({ complete: true });
    holds(1);
    await runs();
    expect(box.world.doubleStarts).toEqual([]);
  });

  it('changes nothing when a disk of the snapshot is gone', async () => {
    await take('s1');
    await pool.deleteSnapshot(disks.data, (await pool.get(disks.data))?.snapshots[0]?.id ?? '');
    await restore();
    expect((await ends())?.status?.croft?.error).toContain('Disk data (volume data) of the snapshot was deleted');
    await runs();
  });

  it('makes half a clone undone: its name was taken', async () => {
    await box.store.create(virtualMachineClone, {
      metadata: { name: 'c', namespace: project },
      spec: { source, target: source },
    });
    const ended = await eventually(async () => {
      const found = await box.store.get(virtualMachineClone, 'c', project);
      expect(found?.status?.phase).toBe('Failed');
      return found;
    });
    expect(ended?.status?.croft?.error).toBe('There is a VM a already.');
    await runs();
  });
});
