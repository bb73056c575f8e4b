/** Who asks, and may they: every route declares the least role it wants, and one that forgot keeps the API from starting. */
import { CroftError } from '../../../appliance/errors.ts';
import type { FastifyRequest } from 'fastify';
import { includesRole, type Principal } from '../../auth/roles.ts';
import type { AppContext, Server } from '../context.ts';

export function usePermissions(app: Server, { authenticator }: AppContext): void {
  app.decorateRequest('principal');

  app.addHook('onRoute', (route) => {
    if (route.config?.permission === undefined) {
      throw new Error(
        `${String(route.method)} ${route.url} declares no permission: give it config.permission (viewer, operator, admin or open)`,
      );
    }
  });

  // With a callback, not async: who was verified before is known at once, and a promise for each request costs more than
  // the check itself.
  app.addHook('onRequest', (request, _reply, done) => {
    const given = authenticator(request.raw);
    if (given instanceof Promise) void answer(request, given, done);
    else done(refusal(request, given));
  });
}

async function answer(request: FastifyRequest, given: Promise<Principal | undefined>, done: (error?: Error) => void) {
  let refused: Error | undefined;
  try {
    refused = refusal(request, await given);
  } catch (error) {
    refused = error as Error;
  }
  done(refused);
}

/** Notes who asks. @returns why they may not */
function refusal(request: FastifyRequest, principal: Principal | undefined): CroftError | undefined {
  request.principal = principal;
  const needed = request.routeOptions.config.permission;
  // Undefined only for paths that do not exist: who isn't signed in learns nothing about them.
  if (needed === 'open') return undefined;
  if (!principal) {
    return new CroftError('unauthenticated', 'Sign in first: this needs a session, an API token, or the local socket.');
  }
  if (needed === undefined || includesRole(principal.role, needed)) return undefined;
  return new CroftError('forbidden', `This needs the role ${needed}; ${principal.name} has ${principal.role}.`);
}
