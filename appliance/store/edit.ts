/** Read-change-write with repeat on conflict: how every reconciler writes. */
import { CroftError, isCroftError } from '../errors.ts';
import type { Kind, Of } from '../resources/kind.ts';
import type { ResourceStore } from './store.ts';

const attempts = 8;

type Edit<K extends Kind> = (object: Of<K>) => void | false;

/**
 * Reads the object, lets `edit` change the copy, writes it; on conflict reads again. `edit` returns false
 * to leave it as it is.
 * @returns the object as stored; undefined when it is gone.
 */
const editWith =
  (half: 'update' | 'updateStatus') =>
  async <K extends Kind>(
    store: ResourceStore,
    kind: K,
    key: { name: string; namespace?: string },
    edit: Edit<K>,
  ): Promise<Of<K> | undefined> => {
    for (let attempt = 1; ; attempt++) {
      const current = await store.get(kind, key.name, key.namespace);
      if (!current) return undefined;
      const draft = structuredClone(current);
      if (edit(draft) === false || JSON.stringify(draft) === JSON.stringify(current)) return current;
      try {
        return await store[half](kind, draft);
      } catch (error) {
        if (isCroftError(error, 'not-found')) return undefined;
        if (!isCroftError(error, 'conflict') || attempt === attempts) throw error;
      }
    }
  };

/** Changes metadata or spec. */
export const editObject = editWith('update');
/** Changes status. */
export const editStatus = editWith('updateStatus');

/** The object. @throws CroftError `not-found` naming kind and name. */
export async function mustGet<K extends Kind>(store: ResourceStore, kind: K, name: string, namespace?: string): Promise<Of<K>> {
  const found = await store.get(kind, name, namespace);
  if (found) return found;
  throw new CroftError('not-found', `There is no ${kind.kind} ${namespace ? `${namespace}/` : ''}${name}.`);
}
