/** The box's report of itself: its Node object, written at start and whenever a component's state changes. */
import { availableParallelism, hostname, totalmem } from 'node:os';
import { isCroftError } from '../errors.ts';
import { node, type Node } from '../resources/croft-kinds.ts';
import { setCondition } from '../resources/meta.ts';
import { editStatus } from '../store/edit.ts';
import type { ResourceStore } from '../store/store.ts';
import { version } from '../version.ts';

/** A part of the box: what it is, which version, `ready`, `missing` or `simulated`, and why if not ready. */
export type Component = NonNullable<NonNullable<Node['status']>['components']>[number];

export type NodeFacts = {
  peer?: NonNullable<Node['status']>['peer'];
  bootId: string;
  accelerator: string;
  memoryReserved: number;
  components: Component[];
};

/** Makes or updates this box's Node. `Ready` is False, with the reason, while a component is missing. */
export async function reportNode(store: ResourceStore, name: string, facts: NodeFacts): Promise<void> {
  try {
    await store.create(node, { metadata: { name }, spec: { hostname: hostname() } });
  } catch (error) {
    if (!isCroftError(error, 'already-exists')) throw error;
  }
  const missing = facts.components.filter((component) => component.state === 'missing');
  await editStatus(store, node, { name }, (draft) => {
    draft.status = {
      ...draft.status,
      version,
      cpus: availableParallelism(),
      memory: totalmem(),
      ...facts,
      conditions: setCondition(draft.status?.conditions, {
        type: 'Ready',
        status: missing.length === 0 ? 'True' : 'False',
        reason: missing.length === 0 ? 'AllComponentsReady' : 'ComponentsMissing',
        message: missing.map((component) => `${component.name}: ${component.message ?? 'missing'}`).join(' '),
      }),
    };
  });
}
