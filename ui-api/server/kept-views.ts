/**
 * Flat VMs and their JSON, kept while what they were made of stays the same. A store that shares its reads hands out one
 * object until it changes, so comparing identities tells whether a view is current: nothing has to be told to forget.
 */
import { persistentVolumeClaim, type PersistentVolumeClaim } from '../../appliance/resources/data-volume.ts';
import { isUuid } from '../../appliance/resources/identity.ts';
import { virtualMachine, virtualMachineInstance, type VirtualMachine } from '../../appliance/resources/virtual-machine.ts';
import { matchesLabels, parseLabelSelector } from '../../appliance/store/selectors.ts';
import type { SharedReads } from '../../appliance/store/store.ts';
import { wishedDisks } from '../../appliance/vm/guest-shape.ts';
import type { Vm } from '../schemas/vm.ts';
import { defaultProject } from './lookup.ts';
import { pageOf, type PageQuery } from './pages.ts';
import { projectVm } from './projections/vm.ts';
import { isUncaptured } from './views.ts';

export type KeptView = { vm: VirtualMachine; view: Vm; json: string };

type Kept = KeptView & {
  instance: object | undefined;
  claims: { name: string; object: PersistentVolumeClaim | undefined }[];
};

const byVm = new WeakMap<VirtualMachine, Kept>();
const jsonOf = new WeakMap<Vm, string>();

function isCurrent(shared: SharedReads, { vm: { metadata }, instance, claims }: Kept): boolean {
  if (shared.get(virtualMachineInstance, metadata.name, metadata.namespace) !== instance) return false;
  for (const { name, object } of claims) {
    if (shared.get(persistentVolumeClaim, name, metadata.namespace) !== object) return false;
  }
  return true;
}

function make(shared: SharedReads, vm: VirtualMachine): Kept {
  const { name, namespace } = vm.metadata;
  const instance = shared.get(virtualMachineInstance, name, namespace);
  const claims = wishedDisks(vm.spec.template.spec).map(({ claim }) => ({
    name: claim,
    object: shared.get(persistentVolumeClaim, claim, namespace),
  }));
  const present = claims.flatMap(({ name: claim, object }) => (object ? [[claim, object] as const] : []));
  const view = projectVm({ vm, instance, claims: new Map(present) });
  const json = JSON.stringify(view);
  const kept = { vm, view, json, instance, claims };
  byVm.set(vm, kept);
  jsonOf.set(view, json);
  return kept;
}

const viewOf = (shared: SharedReads, vm: VirtualMachine): Kept => {
  const kept = byVm.get(vm);
  return kept && isCurrent(shared, kept) ? kept : make(shared, vm);
};

/** One VM by name or id; undefined when there is none, or when its view needs more than is kept (its instance type). */
export function keptVm(shared: SharedReads, nameOrId: string, project: string | undefined): KeptView | undefined {
  const vm = isUuid(nameOrId)
    ? shared.withId(virtualMachine, nameOrId, project)
    : shared.get(virtualMachine, nameOrId, project ?? defaultProject);
  return vm && !isUncaptured(vm) ? viewOf(shared, vm) : undefined;
}

/** The JSON of a page of VMs; undefined when a view needs more than is kept. @throws CroftError `invalid-input` for a selector or page token that is none */
export function keptPage(
  shared: SharedReads,
  query: PageQuery & { project?: string; labelSelector?: string },
): string | undefined {
  const labels = parseLabelSelector(query.labelSelector);
  const views: Vm[] = [];
  for (const vm of shared.list(virtualMachine, query.project)) {
    if (!matchesLabels(labels, vm.metadata.labels)) continue;
    if (isUncaptured(vm)) return undefined;
    views.push(viewOf(shared, vm).view);
  }
  const { items, nextPageToken } = pageOf(views, query);
  const next = nextPageToken === undefined ? '' : `,"nextPageToken":${JSON.stringify(nextPageToken)}`;
  return `{"items":[${items.map((item) => jsonOf.get(item)).join(',')}]${next}}`;
}
