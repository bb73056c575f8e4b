/**
 * What every Hypervisor keeps to. Passed by real QEMU (test/system/qemu.test.ts) and by the simulator
 * (test/unit/vm/sim.test.ts).
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { isCroftError } from '../../appliance/errors.ts';
import { newId } from '../../appliance/resources/identity.ts';
import type { Guest, GuestDisk, GuestEvent, GuestNic, GuestSpec, Hypervisor } from '../../appliance/vm/hypervisor.ts';
import { eventually } from '../helpers/eventually.ts';

/** A box's machine: hypervisors come and go on it, guests stay. */
export type HypervisorWorld = {
  /** A new hypervisor on the same machine, as after a restart of the service. */
  hypervisor(): Hypervisor;
  /** A disk whose guest takes the power button and lets go of devices. */
  disk(name: string, index: number, bus?: GuestDisk['bus']): Promise<GuestDisk>;
  /** Until the guest has started so far that it takes the power button. */
  untilReady(guest: Guest): Promise<void>;
  /** Makes the guest power off by itself, or panic. */
  powerOffFromInside(guest: Guest): Promise<void>;
  panicFromInside(guest: Guest): Promise<void>;
  /** Ends the guest's process behind everyone's back. */
  crash(guest: Guest): Promise<void>;
  /** Ends all that is left. */
  tearDown(): Promise<void>;
};

const nic = (index: number): GuestNic => ({ name: `nic-${index}`, index, mac: `52:54:00:12:34:0${index}`, model: 'virtio' });

export function describeHypervisorContract(name: string, setUp: () => Promise<HypervisorWorld>): void {
  describe(`hypervisor contract: ${name}`, () => {
    let world: HypervisorWorld;
    let hypervisor: Hypervisor;

    beforeEach(async () => {
      world = await setUp();
      hypervisor = world.hypervisor();
    });
    afterEach(async () => {
      await hypervisor.close();
      await world.tearDown();
    });

    const specOf = async (more: Partial<GuestSpec> = {}): Promise<GuestSpec> => ({
      id: newId(),
      title: 'default/contract',
      epoch: 1,
      cpus: { sockets: 1, cores: 1, threads: 1 },
      memory: 64 * 2 ** 20,
      firmware: 'bios',
      disks: [{ ...(await world.disk('root', 0)), bootOrder: 1 }],
      nics: [nic(0)],
      graphics: false,
      ...more,
    });

    const listen = (guest: Guest): GuestEvent[] => {
      const events: GuestEvent[] = [];
      guest.subscribe((event) => events.push(event));
      return events;
    };
    const exitsOf = (events: GuestEvent[]) => events.flatMap((event) => (event.type === 'exit' ? [event.exit] : []));
    const untilState = (guest: Guest, state: string) => eventually(async () => (await guest.state()) === state);
    const codeOf = (promise: Promise<unknown>) =>
      promise.then(
        () => 'no error',
        (error: unknown) => (isCroftError(error) ? error.code : String(error)),
      );

    test('says what it is', async () => {
      expect(['kvm', 'tcg']).toContain((await hypervisor.accelerator()).name);
      expect((await hypervisor.versions()).qemu).toBeTruthy();
    });

    test('launches a guest that runs, pauses, goes on and has its devices', async () => {
      const spec = await specOf();
      const guest = await hypervisor.launch(spec);
      expect(guest).toMatchObject({ id: spec.id, epoch: 1 });
      expect(await guest.state()).toBe('running');
      expect(await guest.disks()).toEqual(['root']);
      expect(await guest.nics()).toEqual(['nic-0']);
      const events = listen(guest);
      await guest.pause();
      expect(await guest.state()).toBe('paused');
      await guest.resume();
      expect(await guest.state()).toBe('running');
      await guest.reset();
      await eventually(() => events.some(({ type }) => type === 'reset'));
      expect(events).toContainEqual({ type: 'state', state: 'paused' });
    });

    test('says what a guest has used, and it only grows', async () => {
      const guest = await hypervisor.launch(await specOf());
      const before = await guest.stats();
      expect(Object.keys(before.disks)).toEqual(['root']);
      expect(before.residentBytes).toBeGreaterThan(0);
      expect(before.vcpuSeconds).toHaveLength(1);
      await eventually(async () => (await guest.stats()).cpuSeconds > before.cpuSeconds);
      const after = await guest.stats();
      expect(after.disks.root?.reads).toBeGreaterThanOrEqual(before.disks.root?.reads ?? Number.NaN);
      await guest.kill();
      expect(await codeOf(guest.stats())).not.toBe('no error');
    });

    test('launches paused', async () => {
      const guest = await hypervisor.launch(await specOf({ paused: true }));
      expect(await guest.state()).toBe('paused');
      await guest.resume();
      expect(await guest.state()).toBe('running');
    });

    test('refuses a second guest of the same id, also from another hypervisor', async () => {
      const spec = await specOf();
      await hypervisor.launch(spec);
      expect(await codeOf(hypervisor.launch(spec))).toBe('already-exists');
      expect(await codeOf(world.hypervisor().launch({ ...spec, epoch: 2 }))).toBe('already-exists');
    });

    test('takes the power button, and tells a shutdown', async () => {
      const guest = await hypervisor.launch(await specOf());
      const events = listen(guest);
      await world.untilReady(guest);
      await guest.powerdown();
      await untilState(guest, 'shutdown');
      expect(events).toContainEqual({ type: 'state', state: 'shutdown' });
      expect(exitsOf(events)).toEqual([]);
      await guest.kill();
      await eventually(() => exitsOf(events).length > 0);
      expect(exitsOf(events)).toEqual(['shutdown']);
    });

    test('tells shutdown from inside, panic, crash and kill apart', async () => {
      const exits: Record<string, string[]> = {};
      for (const [how, end] of [
        ['shutdown', world.powerOffFromInside],
        ['panicked', world.panicFromInside],
        ['crashed', world.crash],
        ['killed', undefined],
      ] as const) {
        const guest = await hypervisor.launch(await specOf());
        const events = listen(guest);
        await world.untilReady(guest);
        await end?.(guest);
        if (how === 'shutdown' || how === 'panicked') await untilState(guest, how);
        if (how !== 'crashed') await guest.kill();
        exits[how] = (await eventually(() => (exitsOf(events).length > 0 ? exitsOf(events) : false))) as string[];
      }
      expect(exits).toEqual({ shutdown: ['shutdown'], panicked: ['panicked'], crashed: ['crashed'], killed: ['killed'] });
    });

    test('plugs and unplugs a disk and a NIC while the guest runs', async () => {
      const guest = await hypervisor.launch(await specOf());
      await world.untilReady(guest);
      for (const bus of ['virtio', 'scsi'] as const) {
        await guest.attachDisk(await world.disk('data', 1, bus));
        expect((await guest.disks()).toSorted()).toEqual(['data', 'root']);
        await guest.detachDisk('data');
        expect(await guest.disks()).toEqual(['root']);
      }
      await guest.attachNic(nic(1));
      expect((await guest.nics()).toSorted()).toEqual(['nic-0', 'nic-1']);
      await guest.setLink('nic-1', false);
      await guest.detachNic('nic-1');
      expect(await guest.nics()).toEqual(['nic-0']);
      // What the guest started with goes as well.
      await guest.detachNic('nic-0');
      expect(await guest.nics()).toEqual([]);
    });

    test('gives a console to many readers', async () => {
      const guest = await hypervisor.launch(await specOf());
      await world.untilReady(guest);
      const consoles = await Promise.all([guest.openConsole('serial'), guest.openConsole('serial')]);
      const read = consoles.map(() => '');
      for (const [index, stream] of consoles.entries()) stream.on('data', (chunk: Buffer) => (read[index] += String(chunk)));
      consoles[0]?.write('hello');
      await eventually(() => read[0]?.includes('hello') ?? false);
      for (const stream of consoles) stream.destroy();
    });

    test('adopts guests after the service was killed', async () => {
      const guest = await hypervisor.launch(await specOf());
      await world.untilReady(guest);
      await hypervisor.close();
      hypervisor = world.hypervisor();
      const adoption = await hypervisor.adopt();
      expect(adoption.guests.map(({ id, epoch, pid }) => ({ id, epoch, pid }))).toEqual([
        { id: guest.id, epoch: 1, pid: guest.pid },
      ]);
      expect(adoption.unknown).toEqual([]);
      const adopted = adoption.guests[0] as Guest;
      expect(await adopted.state()).toBe('running');
      expect(await adopted.disks()).toEqual(['root']);
      const events = listen(adopted);
      await adopted.pause();
      expect(events).toContainEqual({ type: 'state', state: 'paused' });
      await adopted.kill();
      await eventually(() => exitsOf(events).length > 0);
      expect(exitsOf(events)).toEqual(['killed']);
      // Once ended, the id is free again.
      await hypervisor.forget(guest.id);
      expect((await hypervisor.adopt()).guests).toEqual([]);
    });

    test('kill is idempotent, forget too', async () => {
      const guest = await hypervisor.launch(await specOf());
      await guest.kill();
      await guest.kill();
      await hypervisor.forget(guest.id);
      await hypervisor.forget(guest.id);
    });
  });
}
