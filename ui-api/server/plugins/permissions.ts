/** Who asks, and may they: every route declares the least role it wants, and one that forgot keeps the API from starting. */
import { CroftError } from '../../../appliance/errors.ts';
import { includesRole } from '../../auth/roles.ts';
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

  app.addHook('onRequest', async (request) => {
    const needed = request.routeOptions.config.permission;
    request.principal = await authenticator({ raw: request.raw, cookies: request.cookies });
    // Undefined only for paths that do not exist: who isn't signed in learns nothing about them.
    if (needed === 'open') return;
    if (!request.principal) {
      throw new CroftError('unauthenticated', 'Sign in first: this needs a session, an API token, or the local socket.');
    }
    if (needed === undefined || includesRole(request.principal.role, needed)) return;
    throw new CroftError('forbidden', `This needs the role ${needed}; ${request.principal.name} has ${request.principal.role}.`);
  });
}
