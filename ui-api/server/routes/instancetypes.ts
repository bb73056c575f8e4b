/** /v1/instancetypes and /v1/preferences: sizes and defaults of VMs, of all projects and of one. */
import { CroftError } from '../../../appliance/errors.ts';
import { idLabel, newId } from '../../../appliance/resources/identity.ts';
import { clusterInstancetype, clusterPreference, instancetype, preference } from '../../../appliance/resources/instancetype.ts';
import { formatBytes } from '../../../appliance/resources/quantity.ts';
import type { Kind } from '../../../appliance/resources/kind.ts';
import type { ResourceStore } from '../../../appliance/store/store.ts';
import { ListQuery, NameParams, Page, strict } from '../../schemas/common.ts';
import { InstanceType, InstanceTypeCreate, OneQuery, Preference } from '../../schemas/instancetypes.ts';
import type { Server } from '../context.ts';
import { defaultProject, findOne } from '../lookup.ts';
import { pageOf } from '../pages.ts';
import { checkIfMatch, tag } from '../preconditions.ts';
import { listBoth, projectInstancetype, projectPreference } from '../projections/instancetypes.ts';
import { checkName, memoryBytes } from '../projections/vm-draft.ts';
import { changeQuery } from './collection.ts';
import { Type } from 'typebox';

const listQuery = Type.Object({ ...ListQuery }, strict);

/** The project's own of this name, else everybody's. @throws CroftError `not-found` */
async function mustFindBoth<Own extends Kind, Shared extends Kind>(
  store: ResourceStore,
  own: Own,
  shared: Shared,
  word: string,
  name: string,
  project: string | undefined,
) {
  const mine = await findOne(store, own, name, project ?? defaultProject);
  const found = mine ? { kind: own, object: mine } : { kind: shared, object: await findOne(store, shared, name) };
  if (found.object) return { kind: found.kind, object: found.object };
  throw new CroftError('not-found', `There is no ${word} ${name}.`);
}

export function instancetypeRoutes(app: Server): void {
  const find = (store: ResourceStore, name: string, project: string | undefined) =>
    mustFindBoth(store, instancetype, clusterInstancetype, 'instance type', name, project);

  app.get('/v1/instancetypes', {
    config: { permission: 'viewer' },
    schema: { summary: 'List instance types', querystring: listQuery, response: { 200: Page(InstanceType) } },
    handler: async ({ store, query }) =>
      pageOf((await listBoth(store, instancetype, clusterInstancetype, query.project)).map(projectInstancetype), query),
  });

  app.get('/v1/instancetypes/:name', {
    config: { permission: 'viewer' },
    schema: { summary: 'Read an instance type', params: NameParams, querystring: OneQuery, response: { 200: InstanceType } },
    handler: async ({ store, params, query }, reply) => {
      const { object } = await find(store, params.name, query.project);
      tag(reply, object);
      return projectInstancetype(object);
    },
  });

  app.post('/v1/instancetypes', {
    config: { permission: 'operator' },
    schema: {
      summary: 'Create an instance type; without a project for all of them',
      querystring: changeQuery,
      body: InstanceTypeCreate,
      response: { 201: InstanceType },
    },
    handler: async ({ store, body, query }, reply) => {
      const project = body.project ?? query.project;
      const spec = {
        cpu: { guest: body.cpus, ...(body.cpuModel === undefined ? {} : { model: body.cpuModel }) },
        memory: { guest: formatBytes(memoryBytes(body.memory)) },
      };
      const metadata = { name: checkName(body.name), labels: { [idLabel]: newId() } };
      const created =
        project === undefined
          ? await store.create(clusterInstancetype, { metadata, spec })
          : await store.create(instancetype, { metadata: { ...metadata, namespace: project }, spec });
      tag(reply, created).code(201).header('location', `/v1/instancetypes/${body.name}`);
      return projectInstancetype(created);
    },
  });

  app.delete('/v1/instancetypes/:name', {
    config: { permission: 'operator' },
    schema: { summary: 'Delete an instance type; VMs made of it stay as they are', params: NameParams, querystring: changeQuery },
    handler: async (request, reply) => {
      const { store, params, query } = request;
      const { kind, object } = await find(store, params.name, query.project);
      checkIfMatch(request, object);
      const uid = request.plan ? undefined : object.metadata.uid;
      await store.delete(kind, object.metadata.name, object.metadata.namespace, { uid });
      return await (request.plan ? { name: object.metadata.name } : reply.code(204).send());
    },
  });

  app.get('/v1/preferences', {
    config: { permission: 'viewer' },
    schema: { summary: 'List preferences', querystring: listQuery, response: { 200: Page(Preference) } },
    handler: async ({ store, query }) =>
      pageOf((await listBoth(store, preference, clusterPreference, query.project)).map(projectPreference), query),
  });

  app.get('/v1/preferences/:name', {
    config: { permission: 'viewer' },
    schema: { summary: 'Read a preference', params: NameParams, querystring: OneQuery, response: { 200: Preference } },
    handler: async ({ store, params, query }, reply) => {
      const { object } = await mustFindBoth(store, preference, clusterPreference, 'preference', params.name, query.project);
      tag(reply, object);
      return projectPreference(object);
    },
  });
}
