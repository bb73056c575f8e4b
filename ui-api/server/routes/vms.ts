/** /v1/vms: create, read, wait, change, delete. Handlers project and store, nothing more; the reconciler does the work. */
import type { FastifyReply } from 'fastify';
import { Type, type Static } from 'typebox';
import { CroftError } from '../../../appliance/errors.ts';
import { image } from '../../../appliance/resources/croft-kinds.ts';
import { dataVolume } from '../../../appliance/resources/data-volume.ts';
import { virtualMachine, type VirtualMachine } from '../../../appliance/resources/virtual-machine.ts';
import { editObject } from '../../../appliance/store/edit.ts';
import type { ResourceStore } from '../../../appliance/store/store.ts';
import { admitTypes } from '../../../appliance/vm/types-of-vm.ts';
import { ChangeQuery, NameParams, Page, ProjectQuery, strict } from '../../schemas/common.ts';
import { GuestLists } from '../../schemas/guest.ts';
import { ExplanationOut, Vm, VmCreate, VmDeleteQuery, VmGetQuery, VmListQuery, VmPatch } from '../../schemas/vm.ts';
import { allOf } from '../all-of.ts';
import type { AppContext, Server } from '../context.ts';
import { keptPage, keptVm } from '../kept-views.ts';
import { defaultProject, keyOf, mustFind, mustHaveImage, mustHaveNetwork } from '../lookup.ts';
import { pageOf } from '../pages.ts';
import { checkIfMatch, tag } from '../preconditions.ts';
import { matchersOf } from '../projections/instancetypes.ts';
import { draftVm, wishedNicsOf } from '../projections/vm-draft.ts';
import { projectGuestLists } from '../projections/guest.ts';
import { patchVm } from '../projections/vm-changes.ts';
import { mustBeFree, uncaptured, viewVm, viewVms } from '../views.ts';
import { waitForVm } from '../waiting.ts';

const changeQuery = Type.Object({ ...ChangeQuery }, strict);
const projectQuery = Type.Object({ ...ProjectQuery }, strict);
const json = 'application/json; charset=utf-8';
const defaultWaitSeconds = 60;

/** The image that goes into the second drive of a Windows VM: Fedora's name for the CD of virtio drivers. */
const driversImage = 'virtio-win';

/** Creates the one object of a VM. @throws CroftError `invalid-input` for images, networks and volumes that are not there */
export async function createVm(store: ResourceStore, body: VmCreate, project: string): Promise<VirtualMachine> {
  const draft = draftVm(body, project, {
    ...(await matchersOf(store, body, project)),
    ...((await store.get(image, driversImage)) ? { drivers: driversImage } : {}),
    timezone: Intl.DateTimeFormat().resolvedOptions().timeZone,
  });
  if (body.iso !== undefined) await mustHaveImage(store, body.iso, '/iso');
  if (body.image !== undefined) await mustHaveImage(store, body.image, '/image');
  if (body.kernelBoot) await mustHaveImage(store, body.kernelBoot.image, '/kernelBoot/image');
  for (const [index, { network }] of wishedNicsOf(body).entries()) {
    await mustHaveNetwork(store, network, body.nics ? `/nics/${index}/network` : '/network');
  }
  for (const [index, { image: from, volume }] of (body.disks ?? []).entries()) {
    if (from !== undefined) await mustHaveImage(store, from, `/disks/${index}/image`);
    if (volume !== undefined) await mustBeFree(store, volume, project, `/disks/${index}/volume`);
  }
  await admitTypes(store, { apiVersion: virtualMachine.apiVersion, kind: virtualMachine.kind, ...draft });
  return await store.create(virtualMachine, draft);
}

/** A VM that was deleted and read again meanwhile. */
export const goneMeanwhile = (name: string): CroftError => new CroftError('not-found', `VM ${name} was deleted meanwhile.`);

export function vmRoutes(app: Server, { port }: AppContext): void {
  const viewer = { permission: 'viewer' } as const;
  const operator = { permission: 'operator' } as const;

  app.get('/v1/vms', {
    config: viewer,
    schema: { summary: 'List VMs', querystring: VmListQuery, response: { 200: Page(Vm) } },
    handler: async ({ store, query }, reply) => {
      const kept = store.shared && keptPage(store.shared, query);
      if (kept !== undefined) return reply.type(json).send(kept);
      return pageOf(await viewVms(store, { namespace: query.project, labelSelector: query.labelSelector }), query);
    },
  });

  app.post('/v1/vms', {
    config: operator,
    schema: { summary: 'Create a VM', querystring: changeQuery, body: VmCreate, response: { 201: Vm } },
    handler: async ({ store, body, query }, reply) => {
      const project = body.project ?? query.project ?? defaultProject;
      const vm = await createVm(store, body, project);
      tag(reply, vm).code(201).header('location', `/v1/vms/${vm.metadata.name}?project=${project}`);
      return await viewVm(store, vm);
    },
  });

  app.get('/v1/vms/:name', {
    config: viewer,
    schema: {
      summary: 'Read a VM, or wait until it is so far',
      params: NameParams,
      querystring: VmGetQuery,
      response: { 200: Vm },
    },
    // Not async where memory has the answer: this is what is asked most.
    handler: (request, reply) => {
      const { store, params, query } = request;
      const kept = query.waitFor === undefined && store.shared && keptVm(store.shared, params.name, query.project);
      return kept ? tag(reply, kept.vm).type(json).send(kept.json) : readVm(store, params.name, query, reply);
    },
  });

  app.get('/v1/vms/:name/explain', {
    config: viewer,
    schema: {
      summary: 'Why a VM is not as wished',
      params: NameParams,
      querystring: projectQuery,
      response: { 200: ExplanationOut },
    },
    handler: async ({ store, params, query }) => {
      const vm = await mustFind(store, virtualMachine, params.name, query.project);
      return await port.explain({ name: vm.metadata.name, namespace: vm.metadata.namespace ?? defaultProject });
    },
  });

  app.get('/v1/vms/:name/guest', {
    config: viewer,
    schema: {
      summary: 'Signed-in users and file systems, as the guest agent says',
      params: NameParams,
      querystring: projectQuery,
      response: { 200: GuestLists },
    },
    handler: async ({ store, params, query }) => {
      const vm = await mustFind(store, virtualMachine, params.name, query.project);
      return projectGuestLists(
        await port.guestLists({ name: vm.metadata.name, namespace: vm.metadata.namespace ?? defaultProject }),
      );
    },
  });

  app.get('/v1/vms/:name/screenshot', {
    config: viewer,
    schema: { summary: "PNG of the guest's screen", params: NameParams, querystring: projectQuery },
    handler: async ({ store, params, query }, reply) => {
      const vm = await mustFind(store, virtualMachine, params.name, query.project);
      const png = await port.screenshot({ name: vm.metadata.name, namespace: vm.metadata.namespace ?? defaultProject });
      return await reply.type('image/png').send(png);
    },
  });

  app.patch('/v1/vms/:name', {
    config: operator,
    schema: {
      summary: 'Change a VM (merge patch)',
      params: NameParams,
      querystring: changeQuery,
      body: VmPatch,
      response: { 200: Vm },
    },
    handler: async (request, reply) => {
      const { store, params, query, body } = request;
      const found = await mustFind(store, virtualMachine, params.name, query.project);
      if (body.kernelBoot) await mustHaveImage(store, body.kernelBoot.image, '/kernelBoot/image');
      for (const [index, { network }] of (body.nics ?? []).entries())
        await mustHaveNetwork(store, network, `/nics/${index}/network`);
      const { instancetype: type } = await matchersOf(store, { size: body.size }, found.metadata.namespace ?? defaultProject);
      const types = await uncaptured(store, found);
      const vm = await editObject(store, virtualMachine, keyOf(found), (draft) => {
        checkIfMatch(request, draft);
        patchVm(draft, body, { type, types });
      });
      if (!vm) throw goneMeanwhile(found.metadata.name);
      tag(reply, vm);
      return await viewVm(store, vm);
    },
  });

  app.delete('/v1/vms/:name', {
    config: operator,
    schema: { summary: 'Delete a VM; its disks too unless deleteDisks=false', params: NameParams, querystring: VmDeleteQuery },
    handler: async (request, reply) => {
      const { store, params, query } = request;
      const vm = await mustFind(store, virtualMachine, params.name, query.project);
      checkIfMatch(request, vm);
      if (query.deleteDisks === false) await keepDisks(store, vm);
      await store.delete(virtualMachine, vm.metadata.name, vm.metadata.namespace, {
        uid: request.plan ? undefined : vm.metadata.uid,
      });
      return await (request.plan ? { name: vm.metadata.name } : reply.code(204).send());
    },
  });
}

/** Reads from the store, and waits where that is asked for. */
async function readVm(store: ResourceStore, nameOrId: string, query: Static<typeof VmGetQuery>, reply: FastifyReply) {
  const vm = await mustFind(store, virtualMachine, nameOrId, query.project);
  if (query.waitFor === undefined) {
    tag(reply, vm);
    return await viewVm(store, vm);
  }
  const key = { name: vm.metadata.name, namespace: vm.metadata.namespace ?? defaultProject };
  const gone = new AbortController();
  reply.raw.once('close', () => gone.abort());
  const waited = await waitForVm(store, key, query.waitFor, (query.timeoutSeconds ?? defaultWaitSeconds) * 1000, gone.signal);
  // A client tells the two apart without knowing what each wish means.
  tag(reply, waited.vm).header('croft-wait', waited.reached ? 'reached' : 'expired');
  return waited.view;
}

/** Lets the VM's DataVolumes outlive it: they are no longer its own. */
async function keepDisks(store: ResourceStore, vm: VirtualMachine): Promise<void> {
  const items = await allOf(store, dataVolume, { namespace: vm.metadata.namespace });
  const uid = vm.metadata.uid;
  for (const item of items.filter(({ metadata }) => metadata.ownerReferences?.some((owner) => owner.uid === uid))) {
    await editObject(store, dataVolume, keyOf(item), (draft) => {
      draft.metadata.ownerReferences = draft.metadata.ownerReferences?.filter((owner) => owner.uid !== uid);
    });
  }
}
