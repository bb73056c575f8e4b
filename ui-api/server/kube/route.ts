/** One route of the Kubernetes face: like any other of the API, with what its failures and the audit log call it. */
import type { FastifyReply, FastifyRequest, RouteOptions } from 'fastify';
import type { Permission, Server } from '../context.ts';
import type { About } from './status.ts';

export type Handler = (request: FastifyRequest, reply: FastifyReply) => unknown;
export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

const auditVerbs: Record<Method, string> = { GET: 'read', POST: 'create', PUT: 'update', PATCH: 'update', DELETE: 'delete' };

/** @param about of which kind the route is @param verb of the audit log, where the method doesn't say it */
export function route(
  scope: Server,
  method: Method,
  url: string,
  permission: Permission,
  handler: Handler,
  about?: About,
  verb = `${(about?.kind ?? 'kubernetes').toLowerCase()}.${auditVerbs[method]}`,
): void {
  const config = { permission, kubernetes: about ?? true, verb } as const;
  // A HEAD beside each GET would double the table for nothing: no client of Kubernetes sends one.
  scope.route({ method, url, config, handler, exposeHeadRoute: false } as unknown as RouteOptions as never);
}
