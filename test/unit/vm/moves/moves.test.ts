/** Moves by the real controllers on a simulated machine: closed and open volumes, a service that is killed, a cancel. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { persistentVolumeClaim, poolOfClaim, moveAnnotation } from '../../../../appliance/resources/data-volume.ts';
import { idLabel, newId } from '../../../../appliance/resources/identity.ts';
import { virtualMachine } from '../../../../appliance/resources/virtual-machine.ts';
import { volumeMove } from '../../../../appliance/resources/volume-move.ts';
import { createSimDriver } from '../../../../storage/sim.ts';
import { nestedOptions } from '../../../../appliance/vm/moves/copy-closed.ts';
import { eventually } from '../../../helpers/eventually.ts';
import { startSimBox, type SimBox } from '../../../helpers/sim-box.ts';

const namespace = 'default';
const mib = 2 ** 20;
let box: SimBox;
let pools: { local: ReturnType<typeof createSimDriver>; fast: ReturnType<typeof createSimDriver> };
let id: string;

beforeEach(async () => {
  pools = { local: createSimDriver(), fast: createSimDriver() };
  box = await startSimBox(undefined, undefined, pools.local, { fast: pools.fast });
  id = newId();
  await pools.local.create({ id, size: mib, source: { blank: true } });
  await box.store.create(persistentVolumeClaim, { metadata: { name: 'data', namespace, labels: { [idLabel]: id } }, spec: {} });
  const claim = await box.store.get(persistentVolumeClaim, 'data', namespace);
  if (claim)
    await box.store.updateStatus(persistentVolumeClaim, { ...claim, status: { phase: 'Bound', capacity: { storage: mib } } });
});
afterEach(() => box.close());

const runVm = async (): Promise<void> => {
  const volumes = [{ name: 'data', persistentVolumeClaim: { claimName: 'data' } }];
  const template = { spec: { volumes, domain: { devices: {} } } };
  await box.store.create(virtualMachine, { metadata: { name: 'vm', namespace }, spec: { runStrategy: 'Always', template } });
  await eventually(() => expect(box.world.guests.size).toBe(1));
};
const wish = (pool: string) =>
  box.store.create(volumeMove, { metadata: { name: 'm', namespace }, spec: { claimName: 'data', pool } });
const claim = async () =>
  (await box.store.get(persistentVolumeClaim, 'data', namespace)) as never as Parameters<typeof poolOfClaim>[0];
const phase = async () => (await box.store.get(volumeMove, 'm', namespace))?.status?.phase;
const holders = async () => [...((await pools.local.get(id)) ? ['local'] : []), ...((await pools.fast.get(id)) ? ['fast'] : [])];

describe('a volume', () => {
  for (const live of [true, false]) {
    it(`moves ${live ? 'while its VM runs' : 'closed'}`, async () => {
      if (live) await runVm();
      await wish('fast');
      await eventually(async () => expect(await phase()).toBe('Succeeded'), { timeout: 20_000 });
      await eventually(async () => expect((await claim()).metadata.annotations?.[moveAnnotation]).toBeUndefined());
      expect(poolOfClaim(await claim())).toBe('fast');
      expect(await holders()).toEqual(['fast']);
      expect(box.events.records.map(({ reason }) => reason)).toContain('VolumeMoved');
    });
  }

  it('arrives though the service is started again and again', async () => {
    await runVm();
    await wish('fast');
    for (let round = 0; round < 5; round++) await box.restart();
    await eventually(async () => expect(await phase()).toBe('Succeeded'), { timeout: 20_000 });
    expect(await holders()).toEqual(['fast']);
    expect(box.world.doubleStarts).toEqual([]);
  });

  it('stays, and says why, when it has a snapshot or there is no such pool', async () => {
    await wish('nope');
    await eventually(async () => expect(await phase()).toBe('Failed'));
    expect((await box.store.get(volumeMove, 'm', namespace))?.status?.croft?.error).toBe('There is no storage pool nope.');
    await box.store.delete(volumeMove, 'm', namespace);
    await eventually(async () => expect(await phase()).toBeUndefined());
    for (const step of await pools.local.snapshot(id, 's', undefined)) if ('host' in step) await step.run();
    await wish('fast');
    await eventually(async () => expect(await phase()).toBe('Failed'));
    expect(await holders()).toEqual(['local']);
  });

  it('is let go of by a move that is no more', async () => {
    const present = await claim();
    await box.store.update(persistentVolumeClaim, {
      ...present,
      metadata: { ...present.metadata, annotations: { [moveAnnotation]: 'gone' } },
    });
    await eventually(async () => expect((await claim()).metadata.annotations?.[moveAnnotation]).toBeUndefined());
  });
});

it('names every file of a chain to qemu-img', () => {
  const nodes = [
    { driver: 'file', 'node-name': 'bf', filename: '/b' },
    { driver: 'qcow2', 'node-name': 'b', file: 'bf', backing: null },
    { driver: 'file', 'node-name': 'tf', filename: '/t' },
    { driver: 'qcow2', 'node-name': 't', file: 'tf', backing: 'b' },
  ];
  expect(nestedOptions({ nodes, top: 't' })).toEqual({
    driver: 'qcow2',
    file: { driver: 'file', filename: '/t' },
    backing: { driver: 'qcow2', file: { driver: 'file', filename: '/b' }, backing: null },
  });
});
