/** List, read and delete of a kind that is one object in the store: the same for images, networks, pools, users and tokens. */
import { Type, type TSchema } from 'typebox';
import { CroftError } from '../../../appliance/errors.ts';
import type { Kind, Of } from '../../../appliance/resources/kind.ts';
import { editObject } from '../../../appliance/store/edit.ts';
import type { ResourceStore } from '../../../appliance/store/store.ts';
import { ChangeQuery, ListQuery, NameParams, Page, ProjectQuery, strict } from '../../schemas/common.ts';
import { allOf } from '../all-of.ts';
import type { Permission, Server } from '../context.ts';
import { keyOf, mustFind, wordFor } from '../lookup.ts';
import { pageOf, type Listed } from '../pages.ts';
import { checkIfMatch, tag } from '../preconditions.ts';

export const changeQuery = Type.Object({ ...ChangeQuery }, strict);

export type CollectionOf<K extends Kind> = {
  path: string;
  kind: K;
  out: TSchema;
  project: (object: Of<K>) => Listed;
  read: Permission;
  write: Permission;
  /** Throws when the object may not go. */
  mayDelete?: (store: ResourceStore, object: Of<K>) => Promise<void>;
  /** What goes with the object. */
  afterDelete?: (store: ResourceStore, object: Of<K>) => Promise<void>;
};

export function collectionRoutes<K extends Kind>(app: Server, of: CollectionOf<K>): void {
  const word = wordFor(of.kind);

  app.get(of.path, {
    config: { permission: of.read },
    schema: { summary: `List ${word}s`, querystring: Type.Object({ ...ListQuery }, strict), response: { 200: Page(of.out) } },
    handler: async ({ store, query }) => {
      const items = await allOf(store, of.kind, { labelSelector: query.labelSelector });
      return pageOf(items.map(of.project), query);
    },
  });

  app.get(`${of.path}/:name`, {
    config: { permission: of.read },
    schema: {
      summary: `Read a ${word}`,
      params: NameParams,
      querystring: Type.Object({ ...ProjectQuery }, strict),
      response: { 200: of.out },
    },
    handler: async ({ store, params }, reply) => {
      const found = await mustFind(store, of.kind, params.name);
      tag(reply, found);
      return of.project(found);
    },
  });

  app.delete(`${of.path}/:name`, {
    config: { permission: of.write },
    schema: { summary: `Delete a ${word}`, params: NameParams, querystring: changeQuery },
    handler: async (request, reply) => {
      const { store, params } = request;
      const found = await mustFind(store, of.kind, params.name);
      checkIfMatch(request, found);
      await of.mayDelete?.(store, found);
      await store.delete(of.kind, found.metadata.name, undefined, { uid: request.plan ? undefined : found.metadata.uid });
      await of.afterDelete?.(store, found);
      return await (request.plan ? { name: found.metadata.name } : reply.code(204).send());
    },
  });
}

/** PATCH of such an object: holds it to If-Match and lets `change` edit it. @throws CroftError `not-found` */
export async function patchObject<K extends Kind>(
  request: Parameters<typeof checkIfMatch>[0],
  kind: K,
  nameOrId: string,
  change: (draft: Of<K>) => void,
): Promise<Of<K>> {
  const found = await mustFind(request.store, kind, nameOrId);
  const after = await editObject(request.store, kind, keyOf(found), (draft) => {
    checkIfMatch(request, draft);
    change(draft);
  });
  if (!after) throw new CroftError('not-found', `The ${wordFor(kind)} ${found.metadata.name} was deleted meanwhile.`);
  return after;
}
