/**
 * The store of a dry run: reads see what was planned so far, writes are validated and remembered but
 * never made. So every handler that only projects onto the store has a dry run for nothing.
 */
import { randomUUID } from 'node:crypto';
import { CroftError } from '../../appliance/errors.ts';
import type { Kind, Of } from '../../appliance/resources/kind.ts';
import type { Resource } from '../../appliance/resources/meta.ts';
import { validateObject } from '../../appliance/store/validate.ts';
import type { ResourceStore } from '../../appliance/store/store.ts';
import { difference, type FieldChange } from './difference.ts';

/** One change a dry run would have made. `changes` compares before and after, field by field. */
export type PlannedChange = { verb: string; kind: string; name: string; project?: string; changes: FieldChange[] };

const keyOf = (kind: Kind, name: string, namespace: string | undefined): string => `${kind.kind}/${namespace ?? ''}/${name}`;

/** Fields the store fills; they say nothing in a plan. */
function wishOf(object: Resource): Record<string, unknown> {
  return {
    spec: object.spec,
    labels: object.metadata.labels,
    annotations: object.metadata.annotations,
    status: object.status,
  };
}

const secretKind = 'Secret';

export function createPlanningStore(store: ResourceStore, plan: PlannedChange[]): ResourceStore {
  const overlay = new Map<string, Resource | undefined>();

  const note = (verb: string, object: Resource, before: Resource | undefined, after: Resource | undefined): void => {
    // A plan is shown to people: what a Secret holds is not.
    const hidden = object.kind === secretKind;
    plan.push({
      verb,
      kind: object.kind,
      name: object.metadata.name,
      project: object.metadata.namespace,
      changes: hidden ? [] : difference(before && wishOf(before), after && wishOf(after)),
    });
  };

  async function get<K extends Kind>(kind: K, name: string, namespace?: string): Promise<Of<K> | undefined> {
    const key = keyOf(kind, name, namespace);
    if (overlay.has(key)) return structuredClone(overlay.get(key)) as Of<K> | undefined;
    return store.get(kind, name, namespace);
  }

  async function write<K extends Kind>(kind: K, object: Of<K>, half: 'spec' | 'status'): Promise<Of<K>> {
    const { name, namespace, resourceVersion } = object.metadata;
    const before = await get(kind, name, namespace);
    if (!before) throw new CroftError('not-found', `There is no ${kind.kind} ${name}.`);
    if (resourceVersion !== undefined && resourceVersion !== before.metadata.resourceVersion) {
      throw new CroftError('conflict', `${kind.kind} ${name} changed meanwhile.`);
    }
    const after = (half === 'spec' ? { ...object, status: before.status } : { ...before, status: object.status }) as Of<K>;
    if (half === 'spec') validateObject(kind, after);
    overlay.set(keyOf(kind, name, namespace), structuredClone(after));
    note('update', after, before, after);
    return after;
  }

  return {
    get,
    list: async (kind, query) => {
      const listed = await store.list(kind, query);
      const items = listed.items.flatMap((item) => {
        const key = keyOf(kind, item.metadata.name, item.metadata.namespace);
        if (!overlay.has(key)) return [item];
        const planned = overlay.get(key);
        return planned ? [planned as typeof item] : [];
      });
      return { ...listed, items };
    },
    watch: (kind, query) => store.watch(kind, query),
    create: async <K extends Kind>(kind: K, draft: Parameters<ResourceStore['create']>[1]) => {
      const { name, namespace } = draft.metadata;
      if (await get(kind, name, namespace)) {
        throw new CroftError('already-exists', `There is a ${kind.kind} ${name} already.`);
      }
      const object = {
        apiVersion: kind.apiVersion,
        kind: kind.kind,
        ...draft,
        metadata: { ...draft.metadata, uid: randomUUID(), generation: 1, creationTimestamp: new Date().toISOString() },
      } as Of<K>;
      validateObject(kind, object);
      overlay.set(keyOf(kind, name, namespace), structuredClone(object));
      note('create', object, undefined, object);
      return object;
    },
    update: (kind, object) => write(kind, object, 'spec'),
    updateStatus: (kind, object) => write(kind, object, 'status'),
    delete: async <K extends Kind>(kind: K, name: string, namespace?: string) => {
      const before = await get(kind, name, namespace);
      if (!before) return undefined;
      overlay.set(keyOf(kind, name, namespace), undefined);
      plan.push({ verb: 'delete', kind: kind.kind, name, project: namespace, changes: [] });
      return before;
    },
    close: async () => undefined,
  };
}
