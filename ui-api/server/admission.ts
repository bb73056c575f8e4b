/**
 * What a manifest must pass beyond its schema, through `/v1/apply` and the Kubernetes face: the same that `/v1` asks. A write that leaves
 * the spec as it is (status, labels, finalizers) is never stopped.
 */
import { isDeepStrictEqual } from 'node:util';
import type { FastifyRequest } from 'fastify';
import { CroftError } from '../../appliance/errors.ts';
import { systemNamespace } from '../../appliance/resources/core-kinds.ts';
import {
  image,
  network,
  storagePool,
  type Image,
  type Network,
  type StoragePool,
} from '../../appliance/resources/croft-kinds.ts';
import type { Kind } from '../../appliance/resources/kind.ts';
import { ownerReferenceTo, type Resource } from '../../appliance/resources/meta.ts';
import { kinds } from '../../appliance/resources/registry.ts';
import { uplink, type Uplink } from '../../appliance/resources/uplink.ts';
import { virtualMachine, virtualMachineInstance, type VirtualMachine } from '../../appliance/resources/virtual-machine.ts';
import { editObject } from '../../appliance/store/edit.ts';
import type { ResourceStore } from '../../appliance/store/store.ts';
import { validateObject } from '../../appliance/store/validate.ts';
import { admitTypes } from '../../appliance/vm/types-of-vm.ts';
import { refuseFileOfBox, refuseKernels } from './routes/images.ts';
import { checkNetworkSpec, refuseUsedNetwork } from './routes/networks.ts';
import { refuseUsedPool } from './routes/pools.ts';
import { checkUplinkSpec } from './routes/uplinks.ts';

/** Passwords' and tokens' hashes, the box's own keys: not served, whatever the role. */
export const isHidden = ({ metadata }: Pick<Resource, 'metadata'>): boolean => metadata.namespace === systemNamespace;

/** @throws CroftError `forbidden` */
export function refuseHidden(namespace: string | undefined): void {
  if (namespace === systemNamespace)
    throw new CroftError('forbidden', `The namespace ${systemNamespace} is Croft's own; what is in it is not served.`);
}

/** @throws CroftError `invalid-input`, `unsupported-field`, `forbidden` */
export async function admit(
  { store, principal }: Pick<FastifyRequest, 'store' | 'principal'>,
  kind: Kind,
  object: Resource,
  before?: Resource,
): Promise<void> {
  if (before && isDeepStrictEqual(before.spec, object.spec)) return;
  // First: what follows reads fields that must be of the right type.
  validateObject(kind, object);
  if (kind === (virtualMachine as Kind)) await admitTypes(store, { ...object, status: before?.status } as VirtualMachine);
  if (kind === (image as Kind)) refuseFileOfBox(principal, (object as Image).spec.source);
  if (kind === (network as Kind)) checkNetworkSpec((object as Network).spec);
  if (kind === (uplink as Kind)) checkUplinkSpec((object as Uplink).spec);
}

/** @throws CroftError `in-use` */
export async function admitDeletion(store: ResourceStore, kind: Kind, object: Resource): Promise<void> {
  if (kind === (image as Kind)) await refuseKernels(store, object as Image);
  if (kind === (network as Kind)) await refuseUsedNetwork(store, object as Network);
  if (kind === (storagePool as Kind)) await refuseUsedPool(store, object as StoragePool);
}

/** `propagationPolicy: Orphan`: what the object owns is its own no more, and stays. */
export async function orphanDependents(store: ResourceStore, owner: Resource): Promise<void> {
  const { uid } = ownerReferenceTo(owner);
  const { namespace } = owner.metadata;
  for (const kind of (kinds as readonly Kind[]).filter(({ namespaced }) => namespaced || namespace === undefined)) {
    const { items } = await store.list(kind, kind.namespaced && namespace !== undefined ? { namespace } : {});
    for (const { metadata } of items.filter((item) => item.metadata.ownerReferences?.some((one) => one.uid === uid))) {
      await editObject(store, kind, metadata, (draft) => {
        draft.metadata.ownerReferences = draft.metadata.ownerReferences?.filter((one) => one.uid !== uid);
      });
    }
  }
}

/** `gracePeriodSeconds` of a deletion: how long the guest gets, in place of what its spec says. */
export async function shortenGrace(store: ResourceStore, kind: Kind, object: Resource, seconds: number): Promise<void> {
  if (kind !== (virtualMachine as Kind) && kind !== (virtualMachineInstance as Kind)) return;
  await editObject(store, virtualMachineInstance, object.metadata, (draft) => {
    draft.spec.terminationGracePeriodSeconds = seconds;
  });
}
