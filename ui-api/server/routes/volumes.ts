/** /v1/volumes: claims and the DataVolumes that make them, as one object. */
import { Type, type Static } from 'typebox';
import { CroftError } from '../../../appliance/errors.ts';
import {
  dataVolume,
  persistentVolumeClaim,
  type DataVolume,
  type PersistentVolumeClaim,
} from '../../../appliance/resources/data-volume.ts';
import { idLabel, newId } from '../../../appliance/resources/identity.ts';
import { formatBytes, humanBytes, parseBytes } from '../../../appliance/resources/quantity.ts';
import { editObject } from '../../../appliance/store/edit.ts';
import type { ResourceStore } from '../../../appliance/store/store.ts';
import { ListQuery, NameParams, Page, ProjectQuery, strict } from '../../schemas/common.ts';
import { Volume, VolumeCreate, VolumePatch } from '../../schemas/objects.ts';
import type { Server } from '../context.ts';
import { defaultProject, findOne, keyOf, mustHaveImage } from '../lookup.ts';
import { pageOf } from '../pages.ts';
import { checkIfMatch, tag } from '../preconditions.ts';
import { patchLabels } from '../projections/common.ts';
import { projectVolume } from '../projections/objects.ts';
import { checkName, refuseField, volumeSpec } from '../projections/vm-draft.ts';
import { userOfClaim, viewVolumes } from '../views.ts';
import { changeQuery } from './collection.ts';

type Parts = { claim?: PersistentVolumeClaim; dataVolume?: DataVolume; main: PersistentVolumeClaim | DataVolume };

/** A volume's objects; `main` is the claim once there is one. @throws CroftError `not-found` */
async function findVolume(store: ResourceStore, nameOrId: string, project: string | undefined): Promise<Parts> {
  const claim = await findOne(store, persistentVolumeClaim, nameOrId, project);
  const maker = claim
    ? await store.get(dataVolume, claim.metadata.name, claim.metadata.namespace)
    : await findOne(store, dataVolume, nameOrId, project);
  const main = claim ?? maker;
  if (!main) throw new CroftError('not-found', `There is no volume ${nameOrId} in project ${project ?? defaultProject}.`);
  return { claim, dataVolume: maker, main };
}

async function view(store: ResourceStore, { claim, dataVolume: maker, main }: Parts) {
  const vm = await userOfClaim(store, main.metadata.name, main.metadata.namespace ?? defaultProject);
  return projectVolume({ claim, dataVolume: maker, vm });
}

export async function createVolume(
  store: ResourceStore,
  body: Static<typeof VolumeCreate>,
  project: string,
): Promise<DataVolume> {
  if (body.image !== undefined) await mustHaveImage(store, body.image, '/image');
  return await store.create(dataVolume, {
    metadata: { name: checkName(body.name), namespace: project, labels: { ...body.labels, [idLabel]: newId() } },
    spec: volumeSpec(body, 'size'),
  });
}

/** Grows one volume by its name. @throws CroftError `not-found`, `invalid-input` */
export async function growVolume(store: ResourceStore, name: string, project: string, size: number | string): Promise<void> {
  await grow(store, await findVolume(store, name, project), size);
}

/** Raises the wished size on claim and DataVolume; never lowers it. */
async function grow(store: ResourceStore, parts: Parts, size: number | string): Promise<void> {
  const bytes = parseBytes(size, 'size');
  const { size: present } = await view(store, parts);
  if (present !== undefined && bytes < present) {
    refuseField(
      '/size',
      `size: ${JSON.stringify(size)} is less than the present ${humanBytes(present)}; a volume can only grow.`,
    );
  }
  const key = keyOf(parts.main);
  const storage = formatBytes(bytes);
  await editObject(store, persistentVolumeClaim, key, (draft) => {
    draft.spec.resources = { requests: { ...draft.spec.resources?.requests, storage } };
  });
  await editObject(store, dataVolume, key, (draft) => {
    const part = draft.spec.pvc ? 'pvc' : 'storage';
    draft.spec[part] = { ...draft.spec[part], resources: { requests: { storage } } };
  });
}

export function volumeRoutes(app: Server): void {
  const projectQuery = Type.Object({ ...ProjectQuery }, strict);

  app.get('/v1/volumes', {
    config: { permission: 'viewer' },
    schema: { summary: 'List volumes', querystring: Type.Object({ ...ListQuery }, strict), response: { 200: Page(Volume) } },
    handler: async ({ store, query }) =>
      pageOf(await viewVolumes(store, { namespace: query.project, labelSelector: query.labelSelector }), query),
  });

  app.post('/v1/volumes', {
    config: { permission: 'operator' },
    schema: { summary: 'Create a volume', querystring: changeQuery, body: VolumeCreate, response: { 201: Volume } },
    handler: async ({ store, body, query }, reply) => {
      const created = await createVolume(store, body, body.project ?? query.project ?? defaultProject);
      tag(reply, created).code(201).header('location', `/v1/volumes/${body.name}?project=${created.metadata.namespace}`);
      return projectVolume({ dataVolume: created });
    },
  });

  app.get('/v1/volumes/:name', {
    config: { permission: 'viewer' },
    schema: { summary: 'Read a volume', params: NameParams, querystring: projectQuery, response: { 200: Volume } },
    handler: async ({ store, params, query }, reply) => {
      const parts = await findVolume(store, params.name, query.project);
      tag(reply, parts.main);
      return await view(store, parts);
    },
  });

  app.patch('/v1/volumes/:name', {
    config: { permission: 'operator' },
    schema: {
      summary: 'Grow a volume, change its labels',
      params: NameParams,
      querystring: changeQuery,
      body: VolumePatch,
      response: { 200: Volume },
    },
    handler: async (request, reply) => {
      const { store, params, query, body } = request;
      const parts = await findVolume(store, params.name, query.project);
      checkIfMatch(request, parts.main);
      if (body.size !== undefined) await grow(store, parts, body.size);
      if (body.labels !== undefined) {
        await editObject(store, parts.claim ? persistentVolumeClaim : dataVolume, keyOf(parts.main), (draft) => {
          draft.metadata.labels = patchLabels(draft.metadata.labels, body.labels);
        });
      }
      const after = await findVolume(store, parts.main.metadata.name, parts.main.metadata.namespace);
      tag(reply, after.main);
      return await view(store, after);
    },
  });

  app.delete('/v1/volumes/:name', {
    config: { permission: 'operator' },
    schema: { summary: 'Delete a volume', params: NameParams, querystring: changeQuery },
    handler: async (request, reply) => {
      const { store, params, query } = request;
      const parts = await findVolume(store, params.name, query.project);
      checkIfMatch(request, parts.main);
      const { name, namespace } = parts.main.metadata;
      const user = await userOfClaim(store, name, namespace ?? defaultProject);
      if (user !== undefined) throw new CroftError('in-use', `Volume ${name} is attached to VM ${user}; detach it first.`);
      // The DataVolume first: it would make the claim again.
      await store.delete(dataVolume, name, namespace);
      await store.delete(persistentVolumeClaim, name, namespace);
      return await (request.plan ? { name } : reply.code(204).send());
    },
  });
}
