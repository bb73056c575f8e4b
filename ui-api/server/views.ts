/** Reads what a projection needs: a VM with its instance and claims, a volume with its DataVolume and user. */
import { CroftError } from '../../appliance/errors.ts';
import {
  dataVolume,
  persistentVolumeClaim,
  type DataVolume,
  type PersistentVolumeClaim,
} from '../../appliance/resources/data-volume.ts';
import type { CapturedTypes } from '../../appliance/resources/instancetype.ts';
import { virtualMachine, virtualMachineInstance, type VirtualMachine } from '../../appliance/resources/virtual-machine.ts';
import type { ListQuery, ResourceStore } from '../../appliance/store/store.ts';
import { typesOf } from '../../appliance/vm/types-of-vm.ts';
import { wishedDisks } from '../../appliance/vm/guest-shape.ts';
import { allOf } from './all-of.ts';
import type { Vm } from '../schemas/vm.ts';
import { projectVolume, usersOfClaims } from './projections/objects.ts';
import { projectVm } from './projections/vm.ts';

/** The flat form of one VM. */
export async function viewVm(store: ResourceStore, vm: VirtualMachine): Promise<Vm> {
  const { name, namespace } = vm.metadata;
  const names = wishedDisks(vm.spec.template.spec).map(({ claim }) => claim);
  const [instance, ...claims] = await Promise.all([
    store.get(virtualMachineInstance, name, namespace),
    ...names.map((claim) => store.get(persistentVolumeClaim, claim, namespace)),
  ]);
  const present = claims.filter((claim) => claim !== undefined);
  const types = await uncaptured(store, vm);
  return projectVm({ vm, instance, types, claims: new Map(present.map((claim) => [claim.metadata.name, claim])) });
}

/** Whether a VM names an instance type or preference that no controller has captured in its status yet. */
export const isUncaptured = ({ spec, status }: VirtualMachine): boolean =>
  !status?.croft?.types && (spec.instancetype !== undefined || spec.preference !== undefined);

/** What a VM is made of that no controller has seen yet; undefined otherwise. */
export async function uncaptured(store: ResourceStore, vm: VirtualMachine): Promise<CapturedTypes | undefined> {
  if (!isUncaptured(vm)) return undefined;
  const found = await typesOf(store, vm);
  return 'types' in found ? found.types : undefined;
}

/** All VMs of a project, or of all. */
export async function viewVms(store: ResourceStore, query: Pick<ListQuery, 'namespace' | 'labelSelector'>): Promise<Vm[]> {
  const { namespace } = query;
  const [vms, instances, claims] = await Promise.all([
    allOf(store, virtualMachine, query),
    allOf(store, virtualMachineInstance, { namespace }),
    allOf(store, persistentVolumeClaim, { namespace }),
  ]);
  const byProject = Map.groupBy(claims, ({ metadata }) => metadata.namespace);
  const claimsOf = new Map(
    [...byProject].map(([project, items]) => [project, new Map(items.map((claim) => [claim.metadata.name, claim]))]),
  );
  const instanceOf = new Map(instances.map((item) => [`${item.metadata.namespace}/${item.metadata.name}`, item]));
  const none: ReadonlyMap<string, PersistentVolumeClaim> = new Map();
  const types = await Promise.all(vms.map((vm) => uncaptured(store, vm)));
  return vms.map((vm, index) =>
    projectVm({
      vm,
      types: types[index],
      instance: instanceOf.get(`${vm.metadata.namespace}/${vm.metadata.name}`),
      claims: claimsOf.get(vm.metadata.namespace) ?? none,
    }),
  );
}

/** All volumes: claims, and DataVolumes whose claim isn't made yet. */
export async function viewVolumes(store: ResourceStore, query: Pick<ListQuery, 'namespace' | 'labelSelector'>) {
  const { namespace } = query;
  const [claims, dataVolumes, vms] = await Promise.all([
    allOf(store, persistentVolumeClaim, query),
    allOf(store, dataVolume, query),
    allOf(store, virtualMachine, { namespace }),
  ]);
  const users = usersOfClaims(vms);
  const keyOf = (item: PersistentVolumeClaim | DataVolume): string => `${item.metadata.namespace}/${item.metadata.name}`;
  const claimAt = new Map(claims.map((claim) => [keyOf(claim), claim]));
  const dataVolumeAt = new Map(dataVolumes.map((item) => [keyOf(item), item]));
  const keys = new Set([...claimAt.keys(), ...dataVolumeAt.keys()]);
  return [...keys].map((key) =>
    projectVolume({ claim: claimAt.get(key), dataVolume: dataVolumeAt.get(key), vm: users.get(key) }),
  );
}

/** The name of the VM that uses a claim. */
export async function userOfClaim(store: ResourceStore, claim: string, namespace: string): Promise<string | undefined> {
  return usersOfClaims(await allOf(store, virtualMachine, { namespace })).get(`${namespace}/${claim}`);
}

/** A volume to be attached must be there and attached nowhere. @throws CroftError `invalid-input`, `in-use` */
export async function mustBeFree(store: ResourceStore, volume: string, namespace: string, pointer: string): Promise<void> {
  const there = (await store.get(persistentVolumeClaim, volume, namespace)) ?? (await store.get(dataVolume, volume, namespace));
  if (!there) {
    const detail = `there is no volume ${JSON.stringify(volume)} in project ${namespace}`;
    throw new CroftError('invalid-input', `volume: ${detail}.`, { errors: [{ pointer, detail }] });
  }
  const user = await userOfClaim(store, volume, namespace);
  if (user !== undefined) throw new CroftError('in-use', `Volume ${volume} is attached to VM ${user}; detach it there first.`);
}
