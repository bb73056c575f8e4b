/** /v1/node: this box. */
import { pathsOf } from '../../../appliance/config.ts';
import { CroftError } from '../../../appliance/errors.ts';
import { makeBackup } from '../../../appliance/node/backup.ts';
import { node } from '../../../appliance/resources/croft-kinds.ts';
import { BackupBody, BackupOut, Node } from '../../schemas/objects.ts';
import type { AppContext, Server } from '../context.ts';
import { projectNode } from '../projections/objects.ts';

export function nodeRoutes(app: Server, { port, config, version }: AppContext): void {
  app.get('/v1/node', {
    config: { permission: 'viewer' },
    schema: { summary: 'The state of this box', response: { 200: Node } },
    handler: async ({ store }) => {
      const found = (await store.list(node, { limit: 1 })).items[0];
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
