/** Whole kinds for answers: out of the store's memory where it shares its reads, else as the store lists them. */
import type { Kind, Of } from '../../appliance/resources/kind.ts';
import { matchesLabels, parseLabelSelector } from '../../appliance/store/selectors.ts';
import type { ResourceStore } from '../../appliance/store/store.ts';

/**
 * All objects of a kind, of one namespace if given. They may be everybody's: frozen, to be read only.
 * @throws CroftError `invalid-input` for a selector that is none
 */
export async function allOf<K extends Kind>(
  store: ResourceStore,
  kind: K,
  { namespace, labelSelector }: { namespace?: string; labelSelector?: string } = {},
): Promise<readonly Of<K>[]> {
  if (!store.shared) return (await store.list(kind, { namespace, labelSelector })).items;
  const labels = parseLabelSelector(labelSelector);
  const items = store.shared.list(kind, namespace);
  return labels.length === 0 ? items : items.filter(({ metadata }) => matchesLabels(labels, metadata.labels));
}
