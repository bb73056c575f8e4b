/** A fenced box takes no pods: Kubernetes itself would send it some for 40 s more. */
import { Type } from 'typebox';
import { defineKind } from '../../resources/kind.ts';
import { editObject } from '../../store/edit.ts';
import type { ResourceStore } from '../../store/store.ts';

/** core/v1 Node; not of the registry: Croft's own Node says what the box is. */
const kubeNode = defineKind({
  apiVersion: 'v1',
  kind: 'Node',
  plural: 'nodes',
  namespaced: false,
  home: 'core',
  spec: Type.Object({ unschedulable: Type.Optional(Type.Boolean()) }),
  status: Type.Object({}),
});

const mark = 'croft.io/fenced';

export async function cordon(store: ResourceStore, name: string): Promise<void> {
  await editObject(store, kubeNode, { name }, (draft) => {
    // Somebody else's cordon stays when the fence goes.
    if (draft.spec.unschedulable) return false;
    draft.spec.unschedulable = true;
    draft.metadata.annotations = { ...draft.metadata.annotations, [mark]: 'true' };
    return undefined;
  });
}

export async function uncordon(store: ResourceStore, name: string): Promise<void> {
  await editObject(store, kubeNode, { name }, (draft) => {
    if (draft.metadata.annotations?.[mark] === undefined) return false;
    draft.spec.unschedulable = false;
    draft.metadata.annotations = { ...draft.metadata.annotations, [mark]: 'false' };
    return undefined;
  });
}
