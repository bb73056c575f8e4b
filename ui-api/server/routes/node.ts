/** /v1/node: this box. */
import { CroftError } from '../../../appliance/errors.ts';
import { node } from '../../../appliance/resources/croft-kinds.ts';
import { Node } from '../../schemas/objects.ts';
import type { AppContext, Server } from '../context.ts';
import { projectNode } from '../projections/objects.ts';

export function nodeRoutes(app: Server, { port }: AppContext): void {
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
}
