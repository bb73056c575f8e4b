/** /v1/vms/{name}/history, /v1/node/history, /v1/node/sparklines: what VMs and the box have used, kept by the box itself. */
import { Type } from 'typebox';
import { nodeSubject } from '../../../appliance/metrics/series.ts';
import { idLabel } from '../../../appliance/resources/identity.ts';
import { virtualMachine } from '../../../appliance/resources/virtual-machine.ts';
import { NameParams, ProjectQuery, strict } from '../../schemas/common.ts';
import { History, HistoryQuery, Sparklines } from '../../schemas/history.ts';
import { allOf } from '../all-of.ts';
import type { AppContext, Server } from '../context.ts';
import { mustFind } from '../lookup.ts';
import { projectHistory, projectSparklines } from '../projections/history.ts';

export function historyRoutes(app: Server, { port }: AppContext): void {
  const config = { permission: 'viewer' } as const;

  app.get('/v1/vms/:name/history', {
    config,
    schema: {
      summary: 'What a VM has used',
      params: NameParams,
      querystring: Type.Object({ ...ProjectQuery, ...HistoryQuery }, strict),
      response: { 200: History },
    },
    handler: async ({ store, params, query }) => {
      const { metadata } = await mustFind(store, virtualMachine, params.name, query.project);
      return projectHistory(await port.history(metadata.labels?.[idLabel] ?? '', query.range ?? 'hour'));
    },
  });

  app.get('/v1/node/history', {
    config,
    schema: {
      summary: 'What this box has used',
      querystring: Type.Object({ ...HistoryQuery }, strict),
      response: { 200: History },
    },
    handler: async ({ query }) => projectHistory(await port.history(nodeSubject, query.range ?? 'hour')),
  });

  app.get('/v1/node/sparklines', {
    config,
    schema: { summary: 'The last hour of every running VM, in few values', response: { 200: Sparklines } },
    handler: async ({ store }) => {
      const items = await allOf(store, virtualMachine);
      const shown = new Set(items.flatMap(({ metadata }) => metadata.labels?.[idLabel] ?? []));
      const kept = Object.entries(await port.recentUse()).filter(([id]) => shown.has(id));
      return projectSparklines(new Map(kept), Date.now());
    },
  });
}
