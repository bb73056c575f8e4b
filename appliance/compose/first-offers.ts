/** What a box is given once in its life; deleted, it stays deleted. */
import { ensureInstancetypes, requestTinyImage } from '../defaults.ts';
import { image } from '../resources/croft-kinds.ts';
import type { BoxStore } from '../store/box/box-store.ts';
import type { ResourceStore } from '../store/store.ts';

const firstImageOffered = 'first-image-offered';
const firstTypesMade = 'first-types-made';

/** Once in a box's life: instance types and preferences. */
export async function offerFirstTypes(store: ResourceStore, box: BoxStore): Promise<void> {
  if (box.journal.get(firstTypesMade) !== undefined) return;
  await ensureInstancetypes(store);
  box.journal.put(firstTypesMade, 'yes');
}

/** Once in a box's life: the image `tiny`, so that there is something to run. Deleted, it stays deleted. */
export async function offerFirstImage(store: ResourceStore, box: BoxStore): Promise<void> {
  if (box.journal.get(firstImageOffered) !== undefined) return;
  if ((await store.list(image, { limit: 1 })).items.length === 0) await requestTinyImage(store);
  box.journal.put(firstImageOffered, 'yes');
}
