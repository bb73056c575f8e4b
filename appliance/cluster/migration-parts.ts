/** What migration needs of the cluster: who may take a guest, which pools all boxes reach, who is fenced, a key for the way. */
import { selfSigned } from '../host/self-signed.ts';
import { node } from '../resources/croft-kinds.ts';
import type { ResourceStore } from '../store/store.ts';
import { isShutOut } from './peers/fence.ts';
import { takesVms } from './peers/rooms.ts';
import { sharedByDriver } from '../vm/migration/refusal.ts';
import type { MigrationParts } from '../vm/migration/parts.ts';

/** A migration takes minutes; clocks of boxes differ by less. */
const dayMs = 24 * 3_600_000;

/** `address`: this box's in the cluster; empty on a box alone. */
export const migrationParts = (store: ResourceStore, nodeName: string, address: string): Omit<MigrationParts, 'context'> => ({
  address: address === '' ? '127.0.0.1' : address,
  certify: (name) => {
    const now = Date.now();
    const [notBefore, notAfter] = [new Date(now - dayMs), new Date(now + dayMs)];
    return selfSigned({ commonName: name, names: [{ type: 'dns', value: name }], notBefore, notAfter });
  },
  targets: () => otherBoxes(store, nodeName),
  isShared: sharedByDriver(store),
  isFenced: async (name) => address !== '' && (await isShutOut(store, name)),
});

/** Boxes beside this one that take VMs. */
async function otherBoxes(store: ResourceStore, self: string): Promise<string[]> {
  const { items } = await store.list(node);
  return items.filter((one) => one.metadata.name !== self && takesVms(one)).map(({ metadata }) => metadata.name);
}
