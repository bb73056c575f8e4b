/** Moving volumes to another pool, also while their VM runs: desired state in, a task out; the box's reconciler does the work. */
import { Type, type Static } from 'typebox';
import { CroftError } from '../../../appliance/errors.ts';
import { storagePool } from '../../../appliance/resources/croft-kinds.ts';
import { moveAnnotation, persistentVolumeClaim, poolOfClaim } from '../../../appliance/resources/data-volume.ts';
import { shortId } from '../../../appliance/resources/identity.ts';
import { parseBytes } from '../../../appliance/resources/quantity.ts';
import { virtualMachine } from '../../../appliance/resources/virtual-machine.ts';
import { volumeMove } from '../../../appliance/resources/volume-move.ts';
import { track, trackedMetadata } from '../../../appliance/vm/snapshots/track.ts';
import { ChangeQuery, NameParams, strict } from '../../schemas/common.ts';
import { MoveBody } from '../../schemas/moves.ts';
import { Task } from '../../schemas/objects.ts';
import { DiskParams } from '../../schemas/vm.ts';
import type { AppContext, Server } from '../context.ts';
import { mustFind } from '../lookup.ts';
import { mustHaveDisk } from '../projections/vm-changes.ts';
import type { FastifyReply, FastifyRequest } from 'fastify';

type Wish = { claimName: string; project: string | undefined; body: Static<typeof MoveBody> };

export function volumeMoveRoutes(app: Server, context: AppContext): void {
  const querystring = Type.Object({ ...ChangeQuery }, strict);
  const config = { permission: 'operator' } as const;
  const schema = { querystring, body: MoveBody, response: { 202: Task } };

  const move = async ({ store, plan, principal }: FastifyRequest, reply: FastifyReply, { claimName, project, body }: Wish) => {
    const claim = await mustFind(store, persistentVolumeClaim, claimName, project);
    const { name, namespace } = claim.metadata;
    const pool = await mustFind(store, storagePool, body.pool);
    const from = poolOfClaim(claim);
    if (from === pool.metadata.name) throw new CroftError('invalid-state', `pool: volume ${name} is in pool ${from} already.`);
    if (claim.metadata.annotations?.[moveAnnotation] !== undefined)
      throw new CroftError('busy', `Volume ${name} is being moved already.`);
    const { taskId, metadata } = trackedMetadata();
    const created = await store.create(volumeMove, {
      metadata: { ...metadata, name: `${name}.move-${shortId(taskId)}`, namespace },
      spec: {
        claimName: name,
        pool: pool.metadata.name,
        ...(body.bandwidth === undefined ? {} : { bandwidth: parseBytes(body.bandwidth, 'bandwidth') }),
      },
    });
    const target = { kind: 'Volume', name, ...(namespace === undefined ? {} : { project: namespace }) };
    reply.code(202).header('location', `/v1/tasks/${taskId}`);
    const task = plan ? undefined : track(context, created, target, principal?.name);
    const startedAt = new Date().toISOString();
    const pretended = { id: '', verb: 'volume.move', target, state: 'running', progress: 0, cancellable: true, startedAt };
    return { kind: 'task' as const, ...(task ?? pretended) };
  };

  app.post('/v1/vms/:name/disks/:disk/move', {
    config,
    schema: { summary: 'Move a disk to another pool, also while the VM runs', params: DiskParams, ...schema },
    handler: async (request, reply) => {
      const { store, params, query, body } = request;
      const vm = await mustFind(store, virtualMachine, params.name, query.project);
      const { volume } = mustHaveDisk(vm, params.disk);
      return move(request, reply, { claimName: volume, project: vm.metadata.namespace, body });
    },
  });

  app.post('/v1/volumes/:name/move', {
    config,
    schema: { summary: 'Move a volume to another pool, also while its VM runs', params: NameParams, ...schema },
    handler: async (request, reply) => {
      const { params, query, body } = request;
      return move(request, reply, { claimName: params.name, project: query.project, body });
    },
  });
}
