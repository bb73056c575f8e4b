/** Heartbeats: each box renews a Lease of its name; all are read by quorum, the own one too (detector.ts says why). */
import { isCroftError } from '../../errors.ts';
import { systemNamespace } from '../../resources/core-kinds.ts';
import { lease } from '../../resources/peer-kinds.ts';
import type { ResourceStore } from '../../store/store.ts';
import type { Detector } from './detector.ts';
import { microTime } from './leadership.ts';

const label = 'croft.io/heartbeat';
const nameOf = (box: string): string => `box-${box}`;

/** @param bootId told along: the fence of a box is set against one boot of it */
export async function beat(store: ResourceStore, box: string, bootId: string): Promise<void> {
  const metadata = { name: nameOf(box), namespace: systemNamespace };
  const spec = { holderIdentity: bootId, renewTime: microTime() };
  const present = await store.get(lease, metadata.name, metadata.namespace);
  try {
    if (present) await store.update(lease, { ...present, spec: { ...present.spec, ...spec } });
    else await store.create(lease, { metadata: { ...metadata, labels: { [label]: box } }, spec });
  } catch (error) {
    // A second service of this box: the next beat is as good.
    if (!isCroftError(error, 'conflict') && !isCroftError(error, 'already-exists')) throw error;
  }
}

/** @returns the boot each box told of last */
export async function listen(store: ResourceStore, detector: Detector): Promise<Map<string, string>> {
  const { items } = await store.list(lease, { namespace: systemNamespace, labelSelector: label, consistent: true });
  const boots = new Map<string, string>();
  for (const { metadata, spec } of items) {
    const box = metadata.labels?.[label] as string;
    detector.seen(box, spec.renewTime ?? '');
    boots.set(box, spec.holderIdentity ?? '');
  }
  return boots;
}
