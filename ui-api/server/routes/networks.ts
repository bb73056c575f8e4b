/** /v1/networks. */
import type { Static } from 'typebox';
import { CroftError } from '../../../appliance/errors.ts';
import { network, type Network as NetworkObject } from '../../../appliance/resources/croft-kinds.ts';
import { idLabel, newId } from '../../../appliance/resources/identity.ts';
import { virtualMachine } from '../../../appliance/resources/virtual-machine.ts';
import type { ResourceStore } from '../../../appliance/store/store.ts';
import { networkOf, wishedNics } from '../../../appliance/vm/guest-shape.ts';
import { Network, NetworkCreate, NetworkPatch } from '../../schemas/objects.ts';
import { allOf } from '../all-of.ts';
import type { Server } from '../context.ts';
import { tag } from '../preconditions.ts';
import { patchLabels } from '../projections/common.ts';
import { projectNetwork } from '../projections/objects.ts';
import { checkName, refuseField } from '../projections/vm-draft.ts';
import { changeQuery, collectionRoutes, patchObject } from './collection.ts';

/** What the fields mean together. @throws CroftError `invalid-input` */
export function checkNetworkSpec(spec: NetworkObject['spec']): void {
  if (spec.vlan !== undefined && spec.trunk !== undefined) {
    refuseField('/trunk', 'trunk: a network is either access to one VLAN (vlan) or a trunk; give one of the two.');
  }
  if (spec.isolated && spec.trunk !== undefined)
    refuseField('/isolated', 'isolated: a trunk network leaves the box; give one of the two.');
  if ((spec.dhcp || spec.nat) && spec.address === undefined) {
    const field = spec.dhcp ? 'dhcp' : 'nat';
    refuseField(`/${field}`, `${field}: needs the box's own address on this network; give address, e.g. 10.20.0.1/24.`);
  }
}

export async function createNetwork(store: ResourceStore, { name, labels, ...spec }: Static<typeof NetworkCreate>) {
  checkNetworkSpec(spec);
  return await store.create(network, { metadata: { name: checkName(name), labels: { ...labels, [idLabel]: newId() } }, spec });
}

/** Fields set to null go back to their default (RFC 7396). */
function mergeSpec(spec: NetworkObject['spec'], patch: Record<string, unknown>): NetworkObject['spec'] {
  const merged: Record<string, unknown> = { ...spec, ...patch };
  return Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== null));
}

/** @throws CroftError `in-use` */
export async function refuseUsedNetwork(store: ResourceStore, object: NetworkObject): Promise<void> {
  const { name } = object.metadata;
  const items = await allOf(store, virtualMachine);
  const users = items.filter(({ spec }) =>
    wishedNics(spec.template.spec).some((nic) => networkOf(spec.template.spec, nic.name) === name),
  );
  if (users.length === 0) return;
  const names = users
    .map(({ metadata }) => metadata.name)
    .slice(0, 5)
    .join(', ');
  throw new CroftError(
    'in-use',
    `Network ${name} is used by ${users.length} ${users.length === 1 ? 'VM' : 'VMs'}: ${names}. Move their NICs first.`,
  );
}

export function networkRoutes(app: Server): void {
  collectionRoutes(app, {
    path: '/v1/networks',
    kind: network,
    out: Network,
    project: projectNetwork,
    read: 'viewer',
    write: 'operator',
    mayDelete: refuseUsedNetwork,
  });

  app.post('/v1/networks', {
    config: { permission: 'operator' },
    schema: { summary: 'Create a network', querystring: changeQuery, body: NetworkCreate, response: { 201: Network } },
    handler: async ({ store, body }, reply) => {
      const created = await createNetwork(store, body);
      tag(reply, created).code(201).header('location', `/v1/networks/${body.name}`);
      return projectNetwork(created);
    },
  });

  app.patch('/v1/networks/:name', {
    config: { permission: 'operator' },
    schema: {
      summary: 'Change a network (merge patch)',
      querystring: changeQuery,
      body: NetworkPatch,
      response: { 200: Network },
    },
    handler: async (request, reply) => {
      const { labels, ...patch } = request.body as Static<typeof NetworkPatch> & Record<string, unknown>;
      const { name } = request.params as { name: string };
      const changed = await patchObject(request, network, name, (draft) => {
        draft.spec = mergeSpec(draft.spec, patch);
        checkNetworkSpec(draft.spec);
        draft.metadata.labels = patchLabels(draft.metadata.labels, labels);
      });
      tag(reply, changed);
      return projectNetwork(changed);
    },
  });
}
