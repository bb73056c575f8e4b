/** /v1/node: this box; /v1/nodes: all boxes of its cluster. */
import { Type } from 'typebox';
import { pathsOf } from '../../../appliance/config.ts';
import { CroftError } from '../../../appliance/errors.ts';
import { makeBackup } from '../../../appliance/node/backup.ts';
import { node } from '../../../appliance/resources/croft-kinds.ts';
import { fence } from '../../../appliance/resources/peer-kinds.ts';
import { ListQuery, Page, strict } from '../../schemas/common.ts';
import { BackupBody, BackupOut, Node } from '../../schemas/objects.ts';
import type { AppContext, Server } from '../context.ts';
import { pageOf } from '../pages.ts';
import { projectNode } from '../projections/objects.ts';

export function nodeRoutes(app: Server, { port, config, version }: AppContext): void {
  app.get('/v1/nodes', {
    config: { permission: 'viewer' },
    schema: { summary: 'List boxes', querystring: Type.Object({ ...ListQuery }, strict), response: { 200: Page(Node) } },
    handler: async ({ store, query }) => {
      const [nodes, fences] = await Promise.all([store.list(node), store.list(fence)]);
      const phases = new Map(fences.items.map(({ metadata, status }) => [metadata.name, status?.phase ?? 'pending']));
      return pageOf(
        nodes.items.map((one) => projectNode(one, undefined, phases.get(one.metadata.name))),
        query,
      );
    },
  });

  app.get('/v1/node', {
    config: { permission: 'viewer' },
    schema: { summary: 'The state of this box', response: { 200: Node } },
    handler: async ({ store }) => {
      const found = config.node === '' ? (await store.list(node, { limit: 1 })).items[0] : await store.get(node, config.node);
      if (!found) throw new CroftError('unavailable', 'The box has not reported its state yet; ask again in a moment.');
      const { memoryFree } = await port.capacity();
      return projectNode(found, memoryFree);
    },
  });

  app.post('/v1/node/backup', {
    config: { permission: 'admin', secret: true, transient: true },
    schema: {
      summary: 'A backup of the box, encrypted: objects, secrets, users, networks, certificates; no disks',
      body: BackupBody,
      response: { 200: BackupOut },
    },
    handler: async ({ store, body }) => {
      if (config.store !== 'sqlite') {
        throw new CroftError('invalid-state', 'The objects of a cluster are in its etcd; back that up (k3s etcd-snapshot).');
      }
      const { keys } = pathsOf(config);
      const { file, facts } = await makeBackup(store, { keys, version, passphrase: body.passphrase });
      return { kind: 'backup', ...facts, file: file.toString('base64') };
    },
  });
}
