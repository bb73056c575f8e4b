/** /v1/cluster: the box's Kubernetes, and the way onto it. */
import { CroftError } from '../../../appliance/errors.ts';
import { Cluster, ClusterInit } from '../../schemas/cluster.ts';
import { Task } from '../../schemas/objects.ts';
import type { AppContext, Server } from '../context.ts';

export function clusterRoutes(app: Server, { port, tasks }: AppContext): void {
  const clusterPort = () => {
    if (port.cluster) return port.cluster;
    throw new CroftError('unavailable', 'This box runs no Kubernetes of its own making: it is simulated, or joined another box.');
  };

  app.get('/v1/cluster', {
    config: { permission: 'admin' },
    schema: { summary: 'How the box’s Kubernetes is', response: { 200: Cluster } },
    handler: async () => ({ kind: 'cluster' as const, ...(await clusterPort().status()) }),
  });

  app.post('/v1/cluster/init', {
    config: { permission: 'admin', transient: true },
    schema: { summary: 'Bring the box onto Kubernetes of its own; VMs run on', body: ClusterInit, response: { 202: Task } },
    handler: async ({ body, principal }, reply) => {
      const { k3s, images, kubeletArgs } = body;
      // These name programs and settings that run as root: a role of the API is not root of the box.
      if (principal?.via !== 'socket' && (k3s !== undefined || images !== undefined || kubeletArgs !== undefined)) {
        throw new CroftError('forbidden', 'k3s, images and kubeletArgs are taken from root on the box itself only.');
      }
      const id = await clusterPort().init(body, principal?.name);
      const task = tasks.get(id);
      if (!task) throw new CroftError('internal', `The task ${id} is not there.`);
      reply.code(202).header('location', `/v1/tasks/${id}`);
      return { kind: 'task', ...task };
    },
  });
}
