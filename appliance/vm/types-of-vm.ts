/** Which instance type and preference a VM is made of: looked up once, captured in its status. */
import { CroftError } from '../errors.ts';
import {
  clusterInstancetype,
  clusterPreference,
  instancetype,
  preference,
  type CapturedTypes,
  type InstancetypeMatcher,
  type PreferenceMatcher,
} from '../resources/instancetype.ts';
import type { VirtualMachine } from '../resources/virtual-machine.ts';
import type { ResourceStore } from '../store/store.ts';
import { misfitOf } from './instance-spec.ts';

export const instancetypeKind = ({ kind }: InstancetypeMatcher): string => kind ?? clusterInstancetype.kind;
export const preferenceKind = ({ kind }: PreferenceMatcher): string => kind ?? clusterPreference.kind;

type Lookup = { types: CapturedTypes } | { failure: string };

/** What is captured already stays, as long as the VM names the same. */
export async function typesOf(store: ResourceStore, vm: VirtualMachine): Promise<Lookup> {
  const { instancetype: type, preference: wish } = vm.spec;
  const before = vm.status?.croft?.types;
  const types: CapturedTypes = {};
  if (type) {
    const kind = instancetypeKind(type);
    const kept = before?.instancetype;
    const spec = kept?.name === type.name && kept.kind === kind ? kept.spec : (await findType(store, vm, type))?.spec;
    if (!spec) return { failure: `There is no ${kind} ${type.name}.` };
    types.instancetype = { name: type.name, kind, spec };
  }
  if (wish) {
    const kind = preferenceKind(wish);
    const kept = before?.preference;
    const spec = kept?.name === wish.name && kept.kind === kind ? kept.spec : (await findPreference(store, vm, wish))?.spec;
    if (!spec) return { failure: `There is no ${kind} ${wish.name}.` };
    types.preference = { name: wish.name, kind, spec };
  }
  const failure = misfitOf(types, vm.spec.template.spec);
  return failure === undefined ? { types } : { failure };
}

const findType = (store: ResourceStore, { metadata }: VirtualMachine, matcher: InstancetypeMatcher) =>
  matcher.kind === instancetype.kind
    ? store.get(instancetype, matcher.name, metadata.namespace)
    : store.get(clusterInstancetype, matcher.name);

const findPreference = (store: ResourceStore, { metadata }: VirtualMachine, matcher: PreferenceMatcher) =>
  matcher.kind === preference.kind
    ? store.get(preference, matcher.name, metadata.namespace)
    : store.get(clusterPreference, matcher.name);

/** At admission. @throws CroftError `invalid-input` where a VM doesn't fit what it names, or that isn't there */
export async function admitTypes(store: ResourceStore, vm: VirtualMachine): Promise<void> {
  if (!vm.spec.instancetype && !vm.spec.preference) return;
  const found = await typesOf(store, vm);
  if ('failure' in found) throw new CroftError('invalid-input', `VirtualMachine ${vm.metadata.name}: ${found.failure}`);
}
