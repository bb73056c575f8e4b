/** NicPlugger: what appliance/vm uses. With a switch its NICs are taps on it; without one, QEMU's user-mode networking. */
import { tapName } from '../appliance/resources/identity.ts';
import { tapCounters } from './counters.ts';
import type { NicPlugger } from './driver.ts';
import type { NetworkEngine } from './engine.ts';
import { defaultMtu } from './wish.ts';

export const tapPlugger = (engine: NetworkEngine): NicPlugger => ({
  mode: 'tap',
  plug: (wish) => engine.plug(wish),
  unplug: (vmId, index) => engine.unplug(vmId, index),
  unplugAll: (vmId) => engine.unplugAll(vmId),
  counters: (vmId, index) => tapCounters(tapName(vmId, index)),
  addressesOf: (mac) => engine.addressesOf(mac),
});

/** Nothing to plug: each guest gets QEMU's own NAT, and guests don't reach each other. `ifname` is empty. */
export const userPlugger = (): NicPlugger => ({
  mode: 'user',
  plug: async () => ({ ifname: '', offloads: false, mtu: defaultMtu }),
  unplug: async () => {},
  unplugAll: async () => {},
  addressesOf: () => [],
});
