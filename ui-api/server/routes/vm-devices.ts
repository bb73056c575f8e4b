/** Devices of a VM, changed live where it runs: a NIC's network, disks attached and detached. */
import { Type } from 'typebox';
import { dataVolume, persistentVolumeClaim } from '../../../appliance/resources/data-volume.ts';
import { virtualMachine } from '../../../appliance/resources/virtual-machine.ts';
import { editObject } from '../../../appliance/store/edit.ts';
import { ChangeQuery, NameParams, strict } from '../../schemas/common.ts';
import { DiskBody, DiskDeleteQuery, DiskParams, DiskWish, MediumBody, NicBody, NicParams, Vm } from '../../schemas/vm.ts';
import type { Server } from '../context.ts';
import { defaultProject, keyOf, mustFind, mustHaveImage, mustHaveNetwork } from '../lookup.ts';
import { checkIfMatch, tag } from '../preconditions.ts';
import { addDisk, changeMedium, moveNic, mustHaveDisk, removeDisk } from '../projections/vm-changes.ts';
import { printableStatusOf } from '../projections/vm.ts';
import { mustBeFree, viewVm } from '../views.ts';
import { goneMeanwhile } from './vms.ts';
import { growVolume } from './volumes.ts';

export function vmDeviceRoutes(app: Server): void {
  const querystring = Type.Object({ ...ChangeQuery }, strict);
  const config = { permission: 'operator' } as const;

  app.put('/v1/vms/:name/nics/:nic', {
    config,
    schema: {
      summary: 'Move a NIC to another network, live',
      params: NicParams,
      querystring,
      body: NicBody,
      response: { 200: Vm },
    },
    handler: async (request, reply) => {
      const { store, params, query, body } = request;
      const found = await mustFind(store, virtualMachine, params.name, query.project);
      await mustHaveNetwork(store, body.network, '/network');
      const vm = await editObject(store, virtualMachine, keyOf(found), (draft) => {
        checkIfMatch(request, draft, { optional: true });
        moveNic(draft, params.nic, body.network);
      });
      if (!vm) throw goneMeanwhile(found.metadata.name);
      tag(reply, vm);
      return await viewVm(store, vm);
    },
  });

  app.post('/v1/vms/:name/disks', {
    config,
    schema: {
      summary: 'Attach a new blank disk (size) or an existing volume',
      params: NameParams,
      querystring,
      body: DiskWish,
      response: { 201: Vm },
    },
    handler: async ({ store, params, query, body }, reply) => {
      const found = await mustFind(store, virtualMachine, params.name, query.project);
      const { name, namespace } = found.metadata;
      if (body.image !== undefined) await mustHaveImage(store, body.image, '/image');
      if (body.volume !== undefined) await mustBeFree(store, body.volume, namespace ?? defaultProject, '/volume');
      const vm = await editObject(store, virtualMachine, keyOf(found), (draft) => void addDisk(draft, body));
      if (!vm) throw goneMeanwhile(name);
      tag(reply, vm).code(201);
      return await viewVm(store, vm);
    },
  });

  app.put('/v1/vms/:name/cdroms/:disk', {
    config,
    schema: {
      summary: 'Put an image or a volume into a CD drive, live; an empty body ejects',
      params: DiskParams,
      querystring,
      body: MediumBody,
      response: { 200: Vm },
    },
    handler: async (request, reply) => {
      const { store, params, query, body } = request;
      const found = await mustFind(store, virtualMachine, params.name, query.project);
      const namespace = found.metadata.namespace ?? defaultProject;
      if (body.image !== undefined) await mustHaveImage(store, body.image, '/image');
      if (body.volume !== undefined) await mustBeFree(store, body.volume, namespace, '/volume');
      let own: string[] = [];
      const vm = await editObject(store, virtualMachine, keyOf(found), (draft) => {
        checkIfMatch(request, draft, { optional: true });
        own = changeMedium(draft, params.disk, body);
      });
      if (!vm) throw goneMeanwhile(found.metadata.name);
      // An empty layer over the image: it goes once the guest has let go of it.
      for (const name of own) await store.delete(dataVolume, name, namespace);
      tag(reply, vm);
      return await viewVm(store, vm);
    },
  });

  app.put('/v1/vms/:name/disks/:disk', {
    config,
    schema: { summary: 'Grow a disk, live', params: DiskParams, querystring, body: DiskBody, response: { 200: Vm } },
    handler: async ({ store, params, query, body }, reply) => {
      const vm = await mustFind(store, virtualMachine, params.name, query.project);
      const { volume } = mustHaveDisk(vm, params.disk);
      await growVolume(store, volume, vm.metadata.namespace ?? defaultProject, body.size);
      tag(reply, vm);
      return await viewVm(store, vm);
    },
  });

  app.delete('/v1/vms/:name/disks/:disk', {
    config,
    schema: {
      summary: 'Detach a disk; its volume stays unless deleteVolume=true',
      params: DiskParams,
      querystring: DiskDeleteQuery,
      response: { 200: Vm },
    },
    handler: async (request, reply) => {
      const { store, params, query } = request;
      const found = await mustFind(store, virtualMachine, params.name, query.project);
      let claim = '';
      const vm = await editObject(store, virtualMachine, keyOf(found), (draft) => {
        checkIfMatch(request, draft, { optional: true });
        claim = removeDisk(draft, params.disk, printableStatusOf(draft) !== 'Stopped');
      });
      if (!vm) throw goneMeanwhile(found.metadata.name);
      const key = { name: claim, namespace: found.metadata.namespace };
      if (claim !== '' && query.deleteVolume) {
        await store.delete(dataVolume, key.name, key.namespace);
        await store.delete(persistentVolumeClaim, key.name, key.namespace);
      } else if (claim !== '') {
        // It is no longer the VM's: deleting the VM leaves it.
        await editObject(store, dataVolume, key, (draft) => {
          draft.metadata.ownerReferences = draft.metadata.ownerReferences?.filter(({ uid }) => uid !== vm.metadata.uid);
        });
      }
      tag(reply, vm);
      return await viewVm(store, vm);
    },
  });
}
