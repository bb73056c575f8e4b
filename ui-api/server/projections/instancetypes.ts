/** Instance types and preferences → `/v1`, and the names in a request → matchers. */
import { CroftError } from '../../../appliance/errors.ts';
import {
  clusterInstancetype,
  clusterPreference,
  instancetype,
  preference,
  type ClusterInstancetype,
  type ClusterPreference,
  type InstancetypeMatcher,
  type PreferenceMatcher,
} from '../../../appliance/resources/instancetype.ts';
import type { Kind } from '../../../appliance/resources/kind.ts';
import type { ResourceStore } from '../../../appliance/store/store.ts';
import type { InstanceType, Preference } from '../../schemas/instancetypes.ts';
import { allOf } from '../all-of.ts';
import { compact, identityOf } from './common.ts';
import { bytesOf } from './vm.ts';

export const projectInstancetype = (type: ClusterInstancetype): InstanceType =>
  compact({
    kind: 'instancetype' as const,
    ...identityOf(type),
    project: type.metadata.namespace,
    cpus: type.spec.cpu.guest,
    memory: bytesOf(type.spec.memory.guest) ?? 0,
    cpuModel: type.spec.cpu.model,
  });

export const projectPreference = (wish: ClusterPreference): Preference =>
  compact({
    kind: 'preference' as const,
    ...identityOf(wish),
    project: wish.metadata.namespace,
    os: wish.spec.annotations?.['vm.kubevirt.io/os'],
  });

/** A project's own and everybody's; its own first. */
export async function listBoth<K extends Kind>(store: ResourceStore, own: K, shared: Kind, project: string | undefined) {
  const [mine, all] = await Promise.all([allOf(store, own, { namespace: project }), allOf(store, shared)]);
  return [...mine, ...all];
}

async function whichKind(
  store: ResourceStore,
  own: Kind,
  shared: Kind,
  name: string,
  project: string,
): Promise<Kind | undefined> {
  if (await store.get(own, name, project)) return own;
  return (await store.get(shared, name)) ? shared : undefined;
}

async function refuse(
  store: ResourceStore,
  own: Kind,
  shared: Kind,
  field: string,
  name: string,
  project: string,
): Promise<never> {
  const known = (await listBoth(store, own, shared, project)).map(({ metadata }) => metadata.name).slice(0, 20);
  const word = field === 'size' ? 'instance type' : 'preference';
  const detail = `${JSON.stringify(name)} is no ${word}; there ${known.length > 0 ? `are ${known.join(', ')}` : 'is none yet'}`;
  throw new CroftError('invalid-input', `${field}: ${detail}.`, { errors: [{ pointer: `/${field}`, detail }] });
}

export type TypeMatchers = { instancetype?: InstancetypeMatcher; preference?: PreferenceMatcher };

/** What `size` and `preference` of a request name: the project's own, else everybody's. @throws CroftError `invalid-input` */
export async function matchersOf(
  store: ResourceStore,
  wish: { size?: string; preference?: string },
  project: string,
): Promise<TypeMatchers> {
  const matchers: TypeMatchers = {};
  if (wish.size !== undefined) {
    const kind = await whichKind(store, instancetype, clusterInstancetype, wish.size, project);
    if (!kind) return refuse(store, instancetype, clusterInstancetype, 'size', wish.size, project);
    matchers.instancetype = { name: wish.size, kind: kind.kind as NonNullable<InstancetypeMatcher['kind']> };
  }
  if (wish.preference !== undefined) {
    const kind = await whichKind(store, preference, clusterPreference, wish.preference, project);
    if (!kind) return refuse(store, preference, clusterPreference, 'preference', wish.preference, project);
    matchers.preference = { name: wish.preference, kind: kind.kind as NonNullable<PreferenceMatcher['kind']> };
  }
  return matchers;
}
