/**
 * An agent gets its vote: the leader wishes it in the box's Node (`spec.role`), the box makes its k3s a server and starts
 * its service anew on its own API server. Repeats without harm: k3s joins etcd as a learner first, and a box that is cut
 * off in between is an agent still.
 */
import type { Logger } from '../../host/logger.ts';
import { node } from '../../resources/croft-kinds.ts';
import { editObject } from '../../store/edit.ts';
import type { ResourceStore } from '../../store/store.ts';
import { readIdentity, writeIdentity } from '../peers/identity.ts';
import { kubeconfigOf, openBoxK3s, readBoxK3s, writeBoxK3s } from './box-k3s.ts';
import { promotion } from './preflight.ts';

const startTimeout = 240_000;

/** The leader's part. */
export async function wishVotes(store: ResourceStore): Promise<void> {
  const name = promotion((await store.list(node)).items);
  if (name === undefined) return;
  await editObject(store, node, { name }, (draft) => {
    if (draft.spec.role === 'voter') return false;
    draft.spec.role = 'voter';
    return undefined;
  });
}

/** The box's own part. @returns true when it has become a voter: its service must start anew */
export async function followWish(store: ResourceStore, data: string, logger: Logger): Promise<boolean> {
  const identity = await readIdentity(data);
  if (!identity || identity.role === 'voter') return false;
  const wish = await store.get(node, identity.name);
  const made = await readBoxK3s(data);
  if (wish?.spec.role !== 'voter' || !made) return false;
  logger.info({ box: identity.name }, 'this box becomes a voter');
  const server = { ...made, role: 'server' as const };
  const k3s = await openBoxK3s(data, server, logger);
  await k3s.configure();
  await k3s.start(startTimeout);
  k3s.release();
  await writeBoxK3s(data, server);
  await writeIdentity(data, { ...identity, role: 'voter', kubeconfig: kubeconfigOf(data) });
  return true;
}
