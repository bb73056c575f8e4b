/** /v1/vms/import: a VM from elsewhere. Its descriptor comes here; its disks are sent as images, of which it is made. */
import { createHash } from 'node:crypto';
import { CroftError, isCroftError } from '../../../appliance/errors.ts';
import { planImport } from '../../../appliance/ovf/plan.ts';
import { readOvf } from '../../../appliance/ovf/read.ts';
import { image, network } from '../../../appliance/resources/croft-kinds.ts';
import { virtualMachine } from '../../../appliance/resources/virtual-machine.ts';
import { editObject } from '../../../appliance/store/edit.ts';
import { NameParams } from '../../schemas/common.ts';
import { ImportBody, SwitchBody, VmImport } from '../../schemas/transfer.ts';
import { Vm } from '../../schemas/vm.ts';
import { allOf } from '../all-of.ts';
import type { Server } from '../context.ts';
import { defaultProject, keyOf, mustFind, mustHaveNetwork } from '../lookup.ts';
import { tag } from '../preconditions.ts';
import { switchDevices } from '../projections/vm-changes.ts';
import { importAnnotation, importedImages, importedVm } from '../projections/vm-import.ts';
import { printableStatusOf } from '../projections/vm.ts';
import { viewVm } from '../views.ts';
import { changeQuery } from './collection.ts';
import { goneMeanwhile } from './vms.ts';

export function vmImportRoutes(app: Server): void {
  app.post('/v1/vms/import', {
    config: { permission: 'operator' },
    schema: {
      summary: 'Make a VM from an OVF descriptor; its disks are sent afterwards',
      querystring: changeQuery,
      body: ImportBody,
      response: { 201: VmImport },
    },
    handler: async ({ store, body, query }, reply) => {
      const project = body.project ?? query.project ?? defaultProject;
      const known = (await allOf(store, network)).map(({ metadata }) => metadata.name);
      const plan = planImport(readOvf(body.ovf, body.machine), body, known);
      for (const nic of plan.nics) await mustHaveNetwork(store, nic.network, '/networks');
      const digest = createHash('sha256')
        .update(body.ovf)
        .update(body.machine ?? '')
        .digest('hex');
      const draft = importedVm(plan, body, project, digest);
      let vm = await store.get(virtualMachine, plan.name, project);
      if (vm && vm.metadata.annotations?.[importAnnotation] !== digest) {
        throw new CroftError('already-exists', `There is a VM ${plan.name} in project ${project} already.`, {
          fix: ['Import it under another name: name, or croft vm import --name.'],
        });
      }
      for (const each of importedImages(plan, body, project)) {
        // Said again after an interruption, only what is not there yet is made; a disk that is done needs no image.
        if (vm) continue;
        try {
          await store.create(image, each);
        } catch (error) {
          if (!isCroftError(error, 'already-exists')) throw error;
          const name = each.metadata.name;
          throw new CroftError('already-exists', `There is an image ${name} already, left over from an import.`, {
            fix: [`Delete it first: croft image delete ${name}`],
          });
        }
      }
      vm ??= await store.create(virtualMachine, draft);
      const uploads = await Promise.all(
        plan.disks.flatMap(({ file, image: name }) =>
          file === undefined || name === undefined
            ? []
            : [store.get(image, name).then((found) => (found && found.status?.phase !== 'Ready' ? [{ file, image: name }] : []))],
        ),
      );
      const disks = plan.disks.map((disk) => ({ ...disk, image: undefined }));
      reply.code(201).header('location', `/v1/vms/${plan.name}?project=${project}`);
      return { kind: 'vm-import' as const, vm: await viewVm(store, vm), report: { ...plan, disks }, uploads: uploads.flat() };
    },
  });

  app.post('/v1/vms/:name/switch-virtio', {
    config: { permission: 'operator' },
    schema: {
      summary: 'Give a stopped VM virtio disks and NICs, or take them back',
      params: NameParams,
      querystring: changeQuery,
      body: SwitchBody,
      response: { 200: Vm },
    },
    handler: async ({ store, params, query, body }, reply) => {
      const found = await mustFind(store, virtualMachine, params.name, query.project);
      const vm = await editObject(store, virtualMachine, keyOf(found), (draft) => {
        const status = printableStatusOf(draft);
        if (status !== 'Stopped') {
          throw new CroftError(
            'invalid-state',
            `${draft.metadata.name} is ${status.toLowerCase()}; its devices are changed while it is stopped.`,
            {
              fix: [`croft vm stop ${draft.metadata.name}`],
            },
          );
        }
        switchDevices(draft, body.back ? 'compatible' : 'virtio');
      });
      if (!vm) throw goneMeanwhile(found.metadata.name);
      tag(reply, vm);
      return await viewVm(store, vm);
    },
  });
}
