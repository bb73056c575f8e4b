/** The machine's network devices as an administrator chooses uplinks from them. Pure. */
import type { NicFact } from '../../appliance/ports.ts';
import { isInner, type Nic, type UplinkWish, unusable } from './admit.ts';

/** What of the machine's own NICs is no uplink's is told with the reason; what never leads out isn't told at all. */
export function offeredNics(nics: readonly Nic[], uplinks: readonly UplinkWish[]): NicFact[] {
  return nics
    .filter((nic) => !isInner(nic))
    .map(({ name, mtu, addresses, mac, link, speed }) => {
      const uplink = uplinks.find(({ interfaces }) => interfaces.includes(name))?.name;
      // The sentence names the field of an Uplink first; here the device is what it is about.
      const refusal = uplink === undefined ? unusable(name, nics)?.replace(/^interfaces: /, '') : undefined;
      return {
        name,
        mtu,
        addresses,
        ...(mac === undefined ? {} : { mac }),
        ...(link === undefined ? {} : { link }),
        ...(speed === undefined ? {} : { speed }),
        ...(uplink === undefined ? {} : { uplink }),
        ...(refusal === undefined ? {} : { refusal }),
      };
    })
    .toSorted((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }));
}
