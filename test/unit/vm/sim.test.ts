/** The simulated hypervisor keeps to the contract real QEMU keeps to: what property tests prove on it holds there too. */
import { createSimHypervisor, createSimWorld, endSimGuest } from '../../../appliance/vm/sim.ts';
import { describeHypervisorContract } from '../../contract/hypervisor.ts';

describeHypervisorContract('sim', async () => {
  const world = createSimWorld();
  return {
    hypervisor: () => createSimHypervisor(world),
    disk: async (name, index, bus = 'virtio') => ({ name, index, kind: 'disk', bus, graph: { nodes: [], top: '' } }),
    untilReady: async () => undefined,
    powerOffFromInside: async (guest) => endSimGuest(world, guest.id, 'shutdown'),
    panicFromInside: async (guest) => endSimGuest(world, guest.id, 'panicked'),
    crash: async (guest) => endSimGuest(world, guest.id, 'crashed'),
    tearDown: async () => undefined,
  };
});
