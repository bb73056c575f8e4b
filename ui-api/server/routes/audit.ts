/** /v1/audit: who changed what, when, from where, with what result. */
import { Type } from 'typebox';
import { Page, strict } from '../../schemas/common.ts';
import { AuditOut } from '../../schemas/objects.ts';
import type { AppContext, Server } from '../context.ts';

export function auditRoutes(app: Server, { box }: AppContext): void {
  app.get('/v1/audit', {
    config: { permission: 'admin' },
    schema: {
      summary: 'The audit log, newest first',
      querystring: Type.Object(
        {
          limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
          who: Type.Optional(Type.String({ maxLength: 253 })),
          target: Type.Optional(Type.String({ maxLength: 512 })),
          pageToken: Type.Optional(
            Type.String({ maxLength: 15, pattern: '^[0-9]+$', description: 'the nextPageToken of the page before' }),
          ),
        },
        strict,
      ),
      response: { 200: Page(AuditOut) },
    },
    handler: async ({ query }) => {
      const limit = query.limit ?? 100;
      const before = query.pageToken === undefined ? undefined : Number(query.pageToken);
      const items = box.audit.list({ who: query.who, target: query.target, limit, before });
      return {
        items: items.map((entry) => ({ kind: 'audit', ...entry })),
        ...(items.length === limit ? { nextPageToken: String(items.at(-1)?.seq) } : {}),
      };
    },
  });
}
