/** /v1/vms/{name}/snapshots, restore and clone: desired state in, a task out; the box's reconcilers do the work. */
import { Type } from 'typebox';
import { CroftError } from '../../../appliance/errors.ts';
import {
  snapshotObjectName,
  snapshotShortName,
  startAnnotation,
  virtualMachineClone,
  virtualMachineRestore,
  virtualMachineSnapshot,
  type VirtualMachineSnapshot,
} from '../../../appliance/resources/snapshot.ts';
import { shortId } from '../../../appliance/resources/identity.ts';
import { virtualMachine, type VirtualMachine } from '../../../appliance/resources/virtual-machine.ts';
import type { Resource } from '../../../appliance/resources/meta.ts';
import type { ResourceStore } from '../../../appliance/store/store.ts';
import { snapshotDisks } from '../../../appliance/vm/snapshots/content.ts';
import { track, trackedMetadata } from '../../../appliance/vm/snapshots/track.ts';
import { ChangeQuery, ListQuery, NameParams, Page, ProjectQuery, strict } from '../../schemas/common.ts';
import { CloneBody, RestoreBody, Snapshot, SnapshotCreate, SnapshotParams } from '../../schemas/snapshots.ts';
import { Task } from '../../schemas/objects.ts';
import { allOf } from '../all-of.ts';
import type { AppContext, Server } from '../context.ts';
import { defaultProject, mustFind } from '../lookup.ts';
import { pageOf } from '../pages.ts';
import { checkIfMatch, tag } from '../preconditions.ts';
import { projectSnapshot } from '../projections/snapshots.ts';
import { checkName } from '../projections/vm-draft.ts';

const changeQuery = Type.Object({ ...ChangeQuery }, strict);

/** A VM's snapshot by the name people gave it, by its object's name or by its id. @throws CroftError `not-found` */
async function findSnapshot(store: ResourceStore, vm: VirtualMachine, nameOrId: string): Promise<VirtualMachineSnapshot> {
  const { name, namespace } = vm.metadata;
  const own = await store.get(virtualMachineSnapshot, snapshotObjectName(name, nameOrId), namespace).catch(asMissing);
  if (own?.spec.source.name === name) return own;
  const found = await mustFind(store, virtualMachineSnapshot, nameOrId, namespace).catch(asMissing);
  if (found?.spec.source.name === name) return found;
  throw new CroftError('not-found', `VM ${name} has no snapshot ${nameOrId}.`);
}

/** A name that cannot be one names nothing. */
function asMissing(error: unknown): undefined {
  if (error instanceof CroftError && (error.code === 'invalid-input' || error.code === 'not-found')) return undefined;
  throw error;
}

const referenceTo = (name: string) => ({ apiGroup: 'kubevirt.io', kind: 'VirtualMachine', name });

export function snapshotRoutes(app: Server, context: AppContext): void {
  const viewer = { permission: 'viewer' } as const;
  const operator = { permission: 'operator' } as const;
  const projectQuery = Type.Object({ ...ProjectQuery }, strict);

  /** The task that tells of an object's work; a pretended one in a dry run, where nothing is begun. */
  const taskOf = (object: Resource, verb: string, vm: VirtualMachine, planned: boolean, by: string | undefined) => {
    const task = planned ? undefined : track(context, object, vm.metadata.name, by);
    const target = { kind: 'VirtualMachine', name: vm.metadata.name, project: vm.metadata.namespace };
    const pretended = {
      id: '',
      verb,
      target,
      state: 'running',
      progress: 0,
      cancellable: false,
      startedAt: new Date().toISOString(),
    };
    return { kind: 'task' as const, ...(task ?? pretended) };
  };

  app.get('/v1/vms/:name/snapshots', {
    config: viewer,
    schema: {
      summary: "List a VM's snapshots",
      params: NameParams,
      querystring: Type.Object({ ...ListQuery }, strict),
      response: { 200: Page(Snapshot) },
    },
    handler: async ({ store, params, query }) => {
      const vm = await mustFind(store, virtualMachine, params.name, query.project);
      const items = await allOf(store, virtualMachineSnapshot, {
        namespace: vm.metadata.namespace,
        labelSelector: query.labelSelector,
      });
      return pageOf(items.filter(({ spec }) => spec.source.name === vm.metadata.name).map(projectSnapshot), query);
    },
  });

  app.post('/v1/vms/:name/snapshots', {
    config: operator,
    schema: {
      summary: 'Take a snapshot of all disks of a VM at one instant',
      params: NameParams,
      querystring: changeQuery,
      body: SnapshotCreate,
      response: { 201: Snapshot },
    },
    handler: async ({ store, params, query, body, plan, principal }, reply) => {
      const vm = await mustFind(store, virtualMachine, params.name, query.project);
      const { name, namespace } = vm.metadata;
      if (snapshotDisks(vm.spec.template.spec).length === 0) throw new CroftError('invalid-state', `VM ${name} has no disks.`);
      const { metadata } = trackedMetadata();
      const created = await store.create(virtualMachineSnapshot, {
        metadata: {
          ...metadata,
          name: snapshotObjectName(name, checkName(body.name)),
          namespace,
          labels: { ...body.labels, ...metadata.labels },
        },
        spec: { source: referenceTo(name) },
      });
      if (!plan) track(context, created, name, principal?.name);
      tag(reply, created).code(201).header('location', `/v1/vms/${name}/snapshots/${body.name}?project=${namespace}`);
      return projectSnapshot(created);
    },
  });

  app.get('/v1/vms/:name/snapshots/:snapshot', {
    config: viewer,
    schema: { summary: 'Read a snapshot', params: SnapshotParams, querystring: projectQuery, response: { 200: Snapshot } },
    handler: async ({ store, params, query }, reply) => {
      const vm = await mustFind(store, virtualMachine, params.name, query.project);
      const found = await findSnapshot(store, vm, params.snapshot);
      tag(reply, found);
      return projectSnapshot(found);
    },
  });

  app.delete('/v1/vms/:name/snapshots/:snapshot', {
    config: operator,
    schema: { summary: 'Delete a snapshot', params: SnapshotParams, querystring: changeQuery },
    handler: async (request, reply) => {
      const { store, params, query, plan } = request;
      const vm = await mustFind(store, virtualMachine, params.name, query.project);
      const found = await findSnapshot(store, vm, params.snapshot);
      checkIfMatch(request, found);
      await store.delete(virtualMachineSnapshot, found.metadata.name, found.metadata.namespace, {
        uid: plan ? undefined : found.metadata.uid,
      });
      return await (plan ? { name: snapshotShortName(found) } : reply.code(204).send());
    },
  });

  app.post('/v1/vms/:name/snapshots/:snapshot/restore', {
    config: operator,
    schema: {
      summary: 'Put a VM back to a snapshot, also while it runs; it is saved first',
      params: SnapshotParams,
      querystring: changeQuery,
      body: RestoreBody,
      response: { 202: Task },
    },
    handler: async ({ store, params, query, body, plan, principal }, reply) => {
      const vm = await mustFind(store, virtualMachine, params.name, query.project);
      const found = await findSnapshot(store, vm, params.snapshot);
      if (found.status?.readyToUse !== true || found.metadata.deletionTimestamp !== undefined) {
        const { state, reason } = projectSnapshot(found);
        throw new CroftError(
          'invalid-state',
          `Snapshot ${snapshotShortName(found)} is ${state}${reason ? ` (${reason})` : ''}; it can be restored when it is ready.`,
        );
      }
      const other = vm.status?.restoreInProgress;
      if (other !== undefined) throw new CroftError('busy', `VM ${vm.metadata.name} is being put back to a snapshot already.`);
      const { taskId, metadata } = trackedMetadata();
      const annotations = {
        ...metadata.annotations,
        ...(body.start === undefined ? {} : { [startAnnotation]: String(body.start) }),
      };
      const created = await store.create(virtualMachineRestore, {
        metadata: {
          ...metadata,
          annotations,
          name: `${vm.metadata.name}.restore-${shortId(taskId)}`,
          namespace: vm.metadata.namespace,
        },
        spec: { target: referenceTo(vm.metadata.name), virtualMachineSnapshotName: found.metadata.name },
      });
      reply.code(202).header('location', `/v1/tasks/${taskId}`);
      return taskOf(created, 'vm.restore', vm, plan !== undefined, principal?.name);
    },
  });

  app.post('/v1/vms/:name/clone', {
    config: operator,
    schema: {
      summary: 'Make a new VM with copies of the disks, as they are now or in a snapshot',
      params: NameParams,
      querystring: changeQuery,
      body: CloneBody,
      response: { 202: Task },
    },
    handler: async ({ store, params, query, body, plan, principal }, reply) => {
      const vm = await mustFind(store, virtualMachine, params.name, query.project);
      const { namespace = defaultProject } = vm.metadata;
      if (await store.get(virtualMachine, checkName(body.name), namespace)) {
        throw new CroftError('already-exists', `There is a VM ${body.name} in project ${namespace} already.`);
      }
      if (snapshotDisks(vm.spec.template.spec).length === 0)
        throw new CroftError('invalid-state', `VM ${vm.metadata.name} has no disks.`);
      const snapshot = body.snapshot === undefined ? undefined : await findSnapshot(store, vm, body.snapshot);
      const { taskId, metadata } = trackedMetadata();
      const annotations = { ...metadata.annotations, [startAnnotation]: String(body.start ?? false) };
      const created = await store.create(virtualMachineClone, {
        metadata: { ...metadata, annotations, name: `${body.name}.clone-${shortId(taskId)}`, namespace },
        spec: {
          source: snapshot
            ? { apiGroup: 'snapshot.kubevirt.io', kind: 'VirtualMachineSnapshot', name: snapshot.metadata.name }
            : referenceTo(vm.metadata.name),
          target: referenceTo(body.name),
        },
      });
      reply.code(202).header('location', `/v1/tasks/${taskId}`);
      return taskOf(created, 'vm.clone', vm, plan !== undefined, principal?.name);
    },
  });
}
