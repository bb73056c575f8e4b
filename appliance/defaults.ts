/** What a new box has from its first start beside the network `default` (network/default-network.ts): a pool, an image, sizes. */
import { isCroftError } from './errors.ts';
import type { Kind } from './resources/kind.ts';
import { image, storagePool } from './resources/croft-kinds.ts';
import { idLabel, newId } from './resources/identity.ts';
import { firstInstancetypes, firstPreferences } from './resources/instance-types.ts';
import { clusterInstancetype, clusterPreference } from './resources/instancetype.ts';
import type { Draft, ResourceStore } from './store/store.ts';

/** Makes what is missing; never changes what is there. @returns true on the very first start */
export const ensureLocalPool = (store: ResourceStore, driver: 'local' | 'sim'): Promise<boolean> =>
  createUnlessThere(store, storagePool, { metadata: { name: 'local' }, spec: { driver } });

/** On a first start without images, `tiny` is built in the background. */
export const requestTinyImage = (store: ResourceStore): Promise<boolean> =>
  createUnlessThere(store, image, { metadata: { name: 'tiny' }, spec: { source: { build: 'tiny' } } });

/** The first instance types and preferences. Called once in a box's life: deleted, they stay deleted. */
export async function ensureInstancetypes(store: ResourceStore): Promise<void> {
  for (const { name, spec } of firstInstancetypes)
    await createUnlessThere(store, clusterInstancetype, { metadata: { name }, spec });
  for (const { name, spec } of firstPreferences) await createUnlessThere(store, clusterPreference, { metadata: { name }, spec });
}

async function createUnlessThere<K extends Kind>(store: ResourceStore, kind: K, draft: Draft<K>): Promise<boolean> {
  try {
    await store.create(kind, {
      ...draft,
      metadata: { ...draft.metadata, labels: { [idLabel]: newId(), ...draft.metadata.labels } },
    } as Draft<K>);
    return true;
  } catch (error) {
    if (!isCroftError(error, 'already-exists')) throw error;
    return false;
  }
}
