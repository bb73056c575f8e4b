/** /v1/tokens: for programs. The secret is shown once, in the answer to POST. */
import { CroftError } from '../../../appliance/errors.ts';
import { token } from '../../../appliance/resources/croft-kinds.ts';
import { idLabel, newId } from '../../../appliance/resources/identity.ts';
import { includesRole } from '../../auth/roles.ts';
import { issueTokenSecret, revokeTokenSecret } from '../../auth/tokens.ts';
import { Token, TokenCreate, TokenWithSecret } from '../../schemas/objects.ts';
import type { Server } from '../context.ts';
import { tag } from '../preconditions.ts';
import { projectToken } from '../projections/objects.ts';
import { checkName, refuseField } from '../projections/vm-draft.ts';
import { changeQuery, collectionRoutes } from './collection.ts';

/** RFC 3339 end of a token's life; undefined: none. @throws CroftError `invalid-input` */
function endOf({ ttlSeconds, expiresAt }: { ttlSeconds?: number; expiresAt?: string }, now = Date.now()): string | undefined {
  if (ttlSeconds !== undefined && expiresAt !== undefined)
    return refuseField('/expiresAt', 'expiresAt: give either ttlSeconds or expiresAt.');
  if (ttlSeconds !== undefined) return new Date(now + ttlSeconds * 1000).toISOString();
  if (expiresAt === undefined) return undefined;
  const time = Date.parse(expiresAt);
  if (Number.isNaN(time))
    return refuseField('/expiresAt', `expiresAt: ${JSON.stringify(expiresAt)} is not a time; write e.g. 2030-01-31T00:00:00Z.`);
  if (time <= now) return refuseField('/expiresAt', `expiresAt: ${JSON.stringify(expiresAt)} is in the past.`);
  return new Date(time).toISOString();
}

export function tokenRoutes(app: Server): void {
  collectionRoutes(app, {
    path: '/v1/tokens',
    kind: token,
    out: Token,
    project: projectToken,
    read: 'admin',
    write: 'admin',
    afterDelete: (store, { metadata }) => revokeTokenSecret(store, metadata.name),
  });

  app.post('/v1/tokens', {
    config: { permission: 'admin', secret: true },
    schema: {
      summary: 'Create an API token; its secret is shown this once',
      querystring: changeQuery,
      body: TokenCreate,
      response: { 201: TokenWithSecret },
    },
    handler: async ({ store, body, principal, plan }, reply) => {
      const { name, labels, description } = body;
      const role = body.role ?? 'viewer';
      if (!principal || !includesRole(principal.role, role)) {
        throw new CroftError(
          'forbidden',
          `role: a token cannot have more rights than its maker; ${role} is more than ${principal?.role ?? 'none'}.`,
        );
      }
      const expiresAt = endOf(body);
      const created = await store.create(token, {
        metadata: { name: checkName(name), labels: { ...labels, [idLabel]: newId() } },
        spec: {
          role,
          ...(principal.via === 'session' ? { user: principal.name } : {}),
          ...(expiresAt === undefined ? {} : { expiresAt }),
          ...(description === undefined ? {} : { description }),
        },
      });
      const secret = await issueTokenSecret(store, name);
      tag(reply, created).code(201).header('location', `/v1/tokens/${name}`);
      return { ...projectToken(created), secret: plan ? '(shown when it is made)' : secret };
    },
  });
}
