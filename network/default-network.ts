/** The Network that is there out of the box: NAT, DHCP and DNS on a segment of this box alone. */
import { isCroftError } from '../appliance/errors.ts';
import { network as networkKind } from '../appliance/resources/croft-kinds.ts';
import { idLabel, newId } from '../appliance/resources/identity.ts';
import type { ResourceStore } from '../appliance/store/store.ts';
import { overlap, parseCidr } from './ip.ts';

export const defaultNetworkName = 'default';

/** First of 10.43.0.0/24 … 10.43.255.0/24, then 172.30.x.0/24, that overlaps with none of `occupied` (`address/prefix`). Pure. */
export function chooseAddress(occupied: readonly string[]): string {
  // A prefix shorter or longer than parseCidr takes (a default route, a host) cannot clash in a way that matters.
  const taken = occupied.flatMap((text) => parseCidr(text) ?? []);
  const candidates = ['10.43', '172.30'].flatMap((start) => Array.from({ length: 256 }, (_, third) => `${start}.${third}.1/24`));
  const free = candidates.find((candidate) => {
    const cidr = parseCidr(candidate);
    return cidr !== undefined && !taken.some((each) => overlap(each, cidr));
  });
  return free ?? (candidates[0] as string);
}

/** Makes the network `default` where there is none. @param occupied addresses with prefix that the box has already */
export async function ensureDefaultNetwork(store: ResourceStore, occupied: readonly string[]): Promise<void> {
  if (await store.get(networkKind, defaultNetworkName)) return;
  const { items } = await store.list(networkKind);
  const others = items.flatMap((each) => each.spec.address ?? []);
  try {
    await store.create(networkKind, {
      metadata: { name: defaultNetworkName, labels: { [idLabel]: newId() } },
      spec: { isolated: true, address: chooseAddress([...occupied, ...others]), dhcp: true, nat: true },
    });
  } catch (error) {
    if (!isCroftError(error, 'already-exists')) throw error; // Somebody else made it meanwhile: as good.
  }
}
