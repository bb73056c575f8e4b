/** What a new box has from its first start: the network `default` and the pool `local`. */
import { isCroftError } from './errors.ts';
import type { Kind } from './resources/kind.ts';
import { image, network, storagePool } from './resources/croft-kinds.ts';
import { idLabel, newId } from './resources/identity.ts';
import type { Draft, ResourceStore } from './store/store.ts';

/** NAT, DHCP and DNS on a range that home and office routers rarely use. */
const defaultAddress = '10.144.0.1/24';

/** Makes what is missing; never changes what is there. @returns true on the very first start */
export async function ensureDefaults(store: ResourceStore, poolDriver: 'local' | 'sim'): Promise<boolean> {
  const first = await createUnlessThere(store, storagePool, { metadata: { name: 'local' }, spec: { driver: poolDriver } });
  if (first) {
    await createUnlessThere(store, network, { metadata: { name: 'default' }, spec: { address: defaultAddress, dhcp: true, nat: true } });
  }
  return first;
}

/** On a first start without images, `tiny` is built in the background. */
export const requestTinyImage = (store: ResourceStore): Promise<boolean> =>
  createUnlessThere(store, image, { metadata: { name: 'tiny' }, spec: { source: { build: 'tiny' } } });

async function createUnlessThere<K extends Kind>(store: ResourceStore, kind: K, draft: Draft<K>): Promise<boolean> {
  try {
    await store.create(kind, { ...draft, metadata: { ...draft.metadata, labels: { [idLabel]: newId(), ...draft.metadata.labels } } } as Draft<K>);
    return true;
  } catch (error) {
    if (!isCroftError(error, 'already-exists')) throw error;
    return false;
  }
}

