/** /v1/users: local users, invited by a one-time link or given a password. */
import { CroftError } from '../../../appliance/errors.ts';
import { token, user, type User as UserObject } from '../../../appliance/resources/croft-kinds.ts';
import { idLabel, newId } from '../../../appliance/resources/identity.ts';
import type { ResourceStore } from '../../../appliance/store/store.ts';
import { forgetDevices } from '../../auth/devices.ts';
import { deletePassword, hasPassword, setPassword } from '../../auth/passwords.ts';
import { createSetupLink } from '../../auth/setup-links.ts';
import { revokeTokenSecret } from '../../auth/tokens.ts';
import { NameParams } from '../../schemas/common.ts';
import { User, UserCreate, UserPatch, UserWithLink } from '../../schemas/objects.ts';
import { EmptyBody } from '../../schemas/vm.ts';
import { allOf } from '../all-of.ts';
import type { AppContext, Server } from '../context.ts';
import { mustFind } from '../lookup.ts';
import { checkIfMatch, tag } from '../preconditions.ts';
import { patchLabels } from '../projections/common.ts';
import { projectUser } from '../projections/objects.ts';
import { checkName } from '../projections/vm-draft.ts';
import { changeQuery, collectionRoutes, patchObject } from './collection.ts';

/** The last one who can administer by signing in stays. The unix socket remains, but not everyone has it. */
async function refuseLastAdmin(store: ResourceStore, object: UserObject): Promise<void> {
  const items = await allOf(store, user);
  for (const { metadata, spec } of items) {
    if (metadata.name === object.metadata.name || spec.role !== 'admin' || spec.disabled) continue;
    if (await hasPassword(store, metadata.name)) return;
  }
  if (object.spec.role !== 'admin' || !(await hasPassword(store, object.metadata.name))) return;
  throw new CroftError(
    'invalid-state',
    `${object.metadata.name} is the last administrator who can sign in; make another one first.`,
  );
}

export function userRoutes(app: Server, { box }: AppContext): void {
  collectionRoutes(app, {
    path: '/v1/users',
    kind: user,
    out: User,
    project: projectUser,
    read: 'admin',
    write: 'admin',
    mayDelete: refuseLastAdmin,
    afterDelete: async (store, { metadata }) => {
      await deletePassword(store, metadata.name);
      const items = await allOf(store, token);
      for (const item of items.filter(({ spec }) => spec.user === metadata.name)) {
        await store.delete(token, item.metadata.name);
        await revokeTokenSecret(store, item.metadata.name);
      }
      forgetDevices(box, metadata.name);
      // Sessions find no user any more.
    },
  });

  app.post('/v1/users', {
    config: { permission: 'admin', secret: true },
    schema: {
      summary: 'Create a user; without a password the answer has a one-time link',
      querystring: changeQuery,
      body: UserCreate,
      response: { 201: UserWithLink },
    },
    handler: async ({ store, body, plan }, reply) => {
      const { name, password, labels, ...spec } = body;
      const created = await store.create(user, {
        metadata: { name: checkName(name), labels: { ...labels, [idLabel]: newId() } },
        spec,
      });
      if (password !== undefined) await setPassword(store, name, password);
      tag(reply, created).code(201).header('location', `/v1/users/${name}`);
      return { ...projectUser(created), ...(password === undefined && !plan ? linkFor(name) : {}) };
    },
  });

  app.patch('/v1/users/:name', {
    config: { permission: 'admin', secret: true },
    schema: {
      summary: 'Change a user (merge patch)',
      params: NameParams,
      querystring: changeQuery,
      body: UserPatch,
      response: { 200: User },
    },
    handler: async (request, reply) => {
      const { store, params } = request;
      const { password, labels, ...patch } = request.body;
      const found = await mustFind(store, user, params.name);
      if (patch.disabled || (patch.role !== undefined && patch.role !== 'admin')) await refuseLastAdmin(store, found);
      const changed = await patchObject(request, user, params.name, (draft) => {
        draft.spec = { ...draft.spec, ...patch };
        draft.metadata.labels = patchLabels(draft.metadata.labels, labels);
      });
      if (password !== undefined) await setPassword(store, changed.metadata.name, password);
      // A new password or a closed account ends what was open.
      if (!request.plan && (password !== undefined || patch.disabled)) {
        box.sessions.removeOf(changed.metadata.name);
        forgetDevices(box, changed.metadata.name);
      }
      tag(reply, changed);
      return projectUser(changed);
    },
  });

  app.post('/v1/users/:name/reset-password', {
    config: { permission: 'admin', secret: true, transient: true },
    schema: {
      summary: 'A one-time link to set a new password',
      params: NameParams,
      querystring: changeQuery,
      body: EmptyBody,
      response: { 200: UserWithLink },
    },
    handler: async (request) => {
      const found = await mustFind(request.store, user, request.params.name);
      checkIfMatch(request, found, { optional: true });
      return { ...projectUser(found), ...linkFor(found.metadata.name) };
    },
  });

  function linkFor(name: string): { setupUrl: string; setupExpiresAt: string } {
    const { path, expiresAt } = createSetupLink(box, name);
    return { setupUrl: path, setupExpiresAt: expiresAt };
  }
}
