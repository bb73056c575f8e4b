/**
 * No VM can be stuck: the real controllers on the real store (behind the injector of conflicts, lag and
 * expired watches) and a simulated machine are driven through random commands and faults; then the faults
 * stop, and from whatever state came out a forced stop, a start and a deletion must each arrive.
 */
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { isCroftError } from '../../../appliance/errors.ts';
import { virtualMachine, virtualMachineInstance, type RunStrategy } from '../../../appliance/resources/virtual-machine.ts';
import { editObject, editStatus } from '../../../appliance/store/edit.ts';
import { roughStore } from '../../../appliance/store/rough.ts';
import { requestRestart, requestStart, requestStop } from '../../../appliance/vm/lifecycle.ts';
import { endSimGuest } from '../../../appliance/vm/sim.ts';
import { eventually } from '../../helpers/eventually.ts';
import { startSimBox, type SimBox } from '../../helpers/sim-box.ts';

const key = { name: 'vm', namespace: 'default' };
const networks = [{ name: 'nic', multus: { networkName: 'vlan20' } }];
const template = { spec: { networks, domain: { devices: { interfaces: [{ name: 'nic', bridge: {} }] } } } };

/** A stuck VM stays so for ever; a busy machine is only slow. ms */
const patience = { timeout: 60_000 };

type Command =
  | 'start'
  | 'stop'
  | 'restart'
  | 'power-off'
  | 'panic'
  | 'crash'
  | 'pause'
  | 'service-restart'
  | 'deaf'
  | 'launch-fails';

const only = (box: SimBox) => [...box.world.guests.keys()][0];

async function request(box: SimBox, change: (vm: never, uid: string | undefined) => unknown): Promise<void> {
  const instance = await box.store.get(virtualMachineInstance, key.name, key.namespace);
  const apply = (vm: unknown) => void change(vm as never, instance?.metadata.uid);
  // The API writes the half that the request changed; writing both is the same for the controllers.
  await editObject(box.store, virtualMachine, key, apply);
  await editStatus(box.store, virtualMachine, key, apply);
}

const commands: Record<Command, (box: SimBox) => unknown> = {
  start: (box) => request(box, (vm) => requestStart(vm)),
  stop: (box) => request(box, (vm, uid) => requestStop(vm, uid)),
  restart: (box) => request(box, (vm, uid) => requestRestart(vm, uid)),
  'power-off': (box) => endSimGuest(box.world, only(box) ?? '', 'shutdown'),
  panic: (box) => endSimGuest(box.world, only(box) ?? '', 'panicked'),
  crash: (box) => endSimGuest(box.world, only(box) ?? '', 'crashed'),
  pause: (box) =>
    box
      .service()
      .port.act(key, 'pause')
      .catch((error: unknown) => {
        if (!isCroftError(error)) throw error;
      }),
  'service-restart': (box) => box.restart(),
  deaf: (box) => void box.world.deaf.add(only(box) ?? ''),
  'launch-fails': (box) => {
    let left = 1;
    box.world.fault = (operation) => {
      if (operation === 'launch' && left-- > 0) throw new Error('simulated: no QEMU');
    };
  },
};

async function forceStop(box: SimBox): Promise<void> {
  await editObject(box.store, virtualMachineInstance, key, (instance) => {
    instance.spec.terminationGracePeriodSeconds = 0;
  });
  await commands.stop(box);
}

const stateIs = (box: SimBox, wanted: string) =>
  eventually(async () => {
    const vm = await box.store.get(virtualMachine, key.name, key.namespace);
    if (vm?.status?.printableStatus !== wanted) throw new Error(`${vm?.status?.printableStatus} instead of ${wanted}`);
  }, patience);

describe('a VM', () => {
  let box: SimBox | undefined;
  afterEach(() => box?.close());

  it('gets out of every state', { timeout: 300_000 }, async () => {
    const strategies: RunStrategy[] = ['Always', 'RerunOnFailure', 'Once', 'Manual', 'Halted'];
    const scenario = fc.record({
      seed: fc.integer({ min: 1, max: 2 ** 30 }),
      strategy: fc.constantFrom(...strategies),
      steps: fc.array(fc.constantFrom(...(Object.keys(commands) as Command[])), { minLength: 1, maxLength: 8 }),
    });
    await fc.assert(
      fc.asyncProperty(scenario, async ({ seed, strategy, steps }) => {
        box = await startSimBox((store) => roughStore(store, { seed }));
        await box.store.create(virtualMachine, { metadata: key, spec: { runStrategy: strategy, template } });
        for (const step of steps) {
          await commands[step](box);
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
        box.world.fault = () => undefined;
        // Whatever it is doing: stop must arrive, then start, then deletion, with nothing left and no double start.
        await eventually(async () => {
          await forceStop(box as SimBox);
          return (await box?.store.get(virtualMachine, key.name, key.namespace))?.status?.printableStatus === 'Stopped';
        }, patience);
        await commands.start(box);
        await stateIs(box, 'Running');
        await box.store.delete(virtualMachine, key.name, key.namespace);
        box.world.deaf.clear();
        await eventually(async () => (await box?.store.get(virtualMachine, key.name, key.namespace)) === undefined, patience);
        expect([...box.world.guests.keys()]).toEqual([]);
        expect([...box.plugger.plugged.keys()]).toEqual([]);
        expect(box.world.doubleStarts).toEqual([]);
        await box.close();
        box = undefined;
      }),
      { numRuns: 15 },
    );
  });
});
