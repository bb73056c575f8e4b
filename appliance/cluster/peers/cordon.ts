/** A box that is fenced or in maintenance takes no pods: of a death Kubernetes itself learns only after 40 s more. */
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

/** Why a box takes no pods. Each reason is marked on its own: the node takes pods again when the last of ours is gone. */
export type CordonReason = 'fenced' | 'maintenance';

const reasons: readonly CordonReason[] = ['fenced', 'maintenance'];
const markOf = (reason: CordonReason): string => `croft.io/${reason}`;

export async function cordon(store: ResourceStore, name: string, reason: CordonReason = 'fenced'): Promise<void> {
  await editObject(store, kubeNode, { name }, (draft) => {
    const { annotations = {} } = draft.metadata;
    const ours = reasons.some((one) => annotations[markOf(one)] === 'true');
    // Somebody else's cordon stays when our reasons go.
    if (draft.spec.unschedulable && !ours) return false;
    draft.spec.unschedulable = true;
    draft.metadata.annotations = { ...annotations, [markOf(reason)]: 'true' };
    return undefined;
  });
}

export async function uncordon(store: ResourceStore, name: string, reason: CordonReason = 'fenced'): Promise<void> {
  await editObject(store, kubeNode, { name }, (draft) => {
    const { annotations = {} } = draft.metadata;
    if (annotations[markOf(reason)] !== 'true') return false;
    draft.metadata.annotations = { ...annotations, [markOf(reason)]: 'false' };
    draft.spec.unschedulable = reasons.some((one) => one !== reason && annotations[markOf(one)] === 'true');
    return undefined;
  });
}
