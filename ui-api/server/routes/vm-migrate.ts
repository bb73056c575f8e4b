/** Migration of a running VM to another box: desired state in, a task out; the boxes' reconcilers do the work. */
import { Type } from 'typebox';
import { CroftError } from '../../../appliance/errors.ts';
import { node } from '../../../appliance/resources/croft-kinds.ts';
import { idLabel, newId, shortId } from '../../../appliance/resources/identity.ts';
import { virtualMachineInstanceMigration, type VirtualMachineInstanceMigration } from '../../../appliance/resources/migration.ts';
import { taskAnnotation } from '../../../appliance/resources/snapshot.ts';
import { virtualMachine, virtualMachineInstance, type VirtualMachine } from '../../../appliance/resources/virtual-machine.ts';
import type { ResourceStore } from '../../../appliance/store/store.ts';
import { hostnameLabel } from '../../../appliance/vm/migration/migration-reconciler.ts';
import { isMigrating } from '../../../appliance/vm/migration/record.ts';
import { isFinished } from '../../../appliance/vm/instance-phase.ts';
import { track } from '../../../appliance/vm/snapshots/track.ts';
import { ChangeQuery, NameParams, strict } from '../../schemas/common.ts';
import { MigrateBody } from '../../schemas/moves.ts';
import { Task } from '../../schemas/objects.ts';
import { allOf } from '../all-of.ts';
import type { AppContext, Server } from '../context.ts';
import { mustFind } from '../lookup.ts';

/** Whether the VM could go anywhere. @throws CroftError `invalid-state`, `busy`, `not-found` */
export async function mustBeMigratable(store: ResourceStore, vm: VirtualMachine, target: string | undefined): Promise<void> {
  const { name, namespace } = vm.metadata;
  const instance = await store.get(virtualMachineInstance, name, namespace);
  const here = instance?.status?.nodeName;
  if (!instance || here === undefined || isFinished(instance))
    throw new CroftError('invalid-state', `VM ${name} does not run: there is nothing to migrate.`);
  if (isMigrating(instance)) throw new CroftError('busy', `VM ${name} is being migrated already.`);
  const boxes = (await allOf(store, node)).map(({ metadata }) => metadata.name);
  if (target !== undefined && !boxes.includes(target)) throw new CroftError('not-found', `node: there is no box ${target}.`);
  if (target === here) throw new CroftError('invalid-state', `node: VM ${name} runs on ${here} already.`);
  if (boxes.every((box) => box === here))
    throw new CroftError('invalid-state', `${here} is the only box: a VM can migrate when another one has joined.`);
}

/** The wish. `taskId`: of the task that will tell of it. */
export function requestMigration(
  store: ResourceStore,
  vm: VirtualMachine,
  target: string | undefined,
  taskId = newId(),
): Promise<VirtualMachineInstanceMigration> {
  return store.create(virtualMachineInstanceMigration, {
    metadata: {
      name: `${vm.metadata.name}.migration-${shortId(taskId)}`,
      namespace: vm.metadata.namespace,
      labels: { [idLabel]: newId() },
      annotations: { [taskAnnotation]: taskId },
    },
    spec: {
      vmiName: vm.metadata.name,
      ...(target === undefined ? {} : { addedNodeSelector: { [hostnameLabel]: target } }),
    },
  });
}

export function vmMigrateRoutes(app: Server, context: AppContext): void {
  app.post('/v1/vms/:name/migrate', {
    config: { permission: 'operator' },
    schema: {
      summary: 'Move a running VM to another box',
      params: NameParams,
      querystring: Type.Object({ ...ChangeQuery }, strict),
      body: MigrateBody,
      response: { 202: Task },
    },
    handler: async ({ store, params, query, body, plan, principal }, reply) => {
      const vm = await mustFind(store, virtualMachine, params.name, query.project);
      await mustBeMigratable(store, vm, body.node);
      const taskId = newId();
      const created = await requestMigration(store, vm, body.node, taskId);
      const { name, namespace } = vm.metadata;
      const task = plan ? undefined : track(context, created, name, principal?.name);
      const target = { kind: 'VirtualMachine', name, ...(namespace === undefined ? {} : { project: namespace }) };
      const startedAt = new Date().toISOString();
      const pretended = { id: '', verb: 'vm.migrate', target, state: 'running', progress: 0, cancellable: true, startedAt };
      reply.code(202).header('location', `/v1/tasks/${taskId}`);
      return { kind: 'task' as const, ...(task ?? pretended) };
    },
  });
}
