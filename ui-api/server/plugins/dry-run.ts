/** `?dryRun=true` on every change: the handler runs on a store that only plans, and the answer is the plan. */
import { CroftError } from '../../../appliance/errors.ts';
import type { FastifyRequest } from 'fastify';
import type { AppContext, Server } from '../context.ts';
import { onChanges } from './changes.ts';
import { createPlanningStore } from '../planning-store.ts';

export function useDryRun(app: Server, { store }: AppContext): void {
  app.decorateRequest('plan');
  app.decorateRequest('store');

  app.addHook('onRequest', (request, _reply, done) => {
    request.store = store;
    done();
  });

  onChanges(app, 'preHandler', async (request) => {
    if (request.routeOptions.config.kubernetes) {
      if (!wantsKubernetesDryRun(request)) return;
      request.plan = [];
      request.store = createPlanningStore(store, request.plan);
      return;
    }
    const { dryRun } = (request.query ?? {}) as { dryRun?: unknown };
    if (dryRun === undefined || dryRun === false) return;
    if (dryRun !== true && dryRun !== 'true') {
      if (dryRun === 'false') return;
      throw new CroftError('invalid-input', `dryRun: ${JSON.stringify(dryRun)} must be true or false.`);
    }
    if (request.routeOptions.config.transient) {
      throw new CroftError(
        'invalid-input',
        `dryRun: ${request.method} ${request.routeOptions.url} keeps nothing that could be planned.`,
      );
    }
    request.plan = [];
    request.store = createPlanningStore(store, request.plan);
  });

  onChanges(app, 'preSerialization', async (request, reply, payload) => {
    if (request.plan === undefined || reply.statusCode >= 400 || request.routeOptions.config.kubernetes) return payload;
    reply.code(200).removeHeader('location');
    return { dryRun: true, plan: request.plan, result: payload };
  });
}

/** Kubernetes has `dryRun=All`, in the query or in the options that are a DELETE's or a subresource's body. */
function wantsKubernetesDryRun({ query, body }: FastifyRequest): boolean {
  const asked = [(query as { dryRun?: unknown } | undefined)?.dryRun, (body as { dryRun?: unknown } | undefined)?.dryRun].flat(2);
  const given = asked.filter((one) => one !== undefined && one !== '');
  const wrong = given.find((one) => one !== 'All');
  if (wrong !== undefined) throw new CroftError('invalid-input', `dryRun: ${JSON.stringify(wrong)} must be All.`);
  return given.length > 0;
}
