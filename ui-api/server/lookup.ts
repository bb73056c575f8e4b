/** Finding one object by name or id. */
import { CroftError } from '../../appliance/errors.ts';
import { image, network } from '../../appliance/resources/croft-kinds.ts';
import { idLabel, isUuid } from '../../appliance/resources/identity.ts';
import type { Kind, Of } from '../../appliance/resources/kind.ts';
import type { ResourceStore } from '../../appliance/store/store.ts';
import { allOf } from './all-of.ts';

export const defaultProject = 'default';

/** What people call a kind. */
const words: Record<string, string> = {
  VirtualMachine: 'VM',
  VirtualMachineSnapshot: 'snapshot',
  Image: 'image',
  Network: 'network',
  Uplink: 'uplink',
  StoragePool: 'pool',
  PersistentVolumeClaim: 'volume',
  User: 'user',
  Token: 'token',
  Node: 'node',
};
export const wordFor = (kind: Kind): string => words[kind.kind] ?? kind.kind;

/** The object, or undefined. An id is looked for in all projects unless one is given. */
export async function findOne<K extends Kind>(
  store: ResourceStore,
  kind: K,
  nameOrId: string,
  project?: string,
): Promise<Of<K> | undefined> {
  if (isUuid(nameOrId)) {
    const namespace = kind.namespaced ? project : undefined;
    return (await store.list(kind, { namespace, labelSelector: `${idLabel}=${nameOrId}` })).items[0];
  }
  return await store.get(kind, nameOrId, kind.namespaced ? (project ?? defaultProject) : undefined);
}

/** @throws CroftError `not-found` naming kind, name and project */
export async function mustFind<K extends Kind>(
  store: ResourceStore,
  kind: K,
  nameOrId: string,
  project?: string,
): Promise<Of<K>> {
  const found = await findOne(store, kind, nameOrId, project);
  if (found) return found;
  const where = kind.namespaced && !isUuid(nameOrId) ? ` in project ${project ?? defaultProject}` : '';
  throw new CroftError('not-found', `There is no ${wordFor(kind)} ${nameOrId}${where}.`);
}

export const keyOf = (object: { metadata: { name: string; namespace?: string } }) => ({
  name: object.metadata.name,
  namespace: object.metadata.namespace,
});

async function mustExist(store: ResourceStore, kind: Kind, name: string, pointer: string): Promise<void> {
  if (await store.get(kind, name)) return;
  const known = (await allOf(store, kind))
    .map(({ metadata }) => metadata.name)
    .slice(0, 20)
    .join(', ');
  const field = pointer
    .slice(1)
    .replace(/\/(\d+)/g, '[$1]')
    .replaceAll('/', '.');
  const detail = `there is no ${wordFor(kind)} ${JSON.stringify(name)}; there ${known === '' ? 'is none yet' : `are ${known}`}`;
  throw new CroftError('invalid-input', `${field}: ${detail}.`, { errors: [{ pointer, detail }] });
}

/** Networks named in a request must be there; `default` is given by the box itself. @throws CroftError `invalid-input` */
export async function mustHaveNetwork(store: ResourceStore, name: string, pointer: string): Promise<void> {
  if (name !== 'default') await mustExist(store, network, name, pointer);
}

/** An image named in a request must be there, ready or still on its way. @throws CroftError `invalid-input` */
export const mustHaveImage = (store: ResourceStore, name: string, pointer: string): Promise<void> =>
  mustExist(store, image, name, pointer);
