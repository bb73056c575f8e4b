/** /v1/images: taken in from an address, a file of the box, or built here. */
import { image } from '../../../appliance/resources/croft-kinds.ts';
import { idLabel, newId } from '../../../appliance/resources/identity.ts';
import type { ResourceStore } from '../../../appliance/store/store.ts';
import type { Static } from 'typebox';
import { Image, ImageCreate } from '../../schemas/objects.ts';
import type { Server } from '../context.ts';
import { tag } from '../preconditions.ts';
import { projectImage } from '../projections/objects.ts';
import { checkName, refuseField } from '../projections/vm-draft.ts';
import { changeQuery, collectionRoutes } from './collection.ts';

/** @throws CroftError `invalid-input` unless exactly one source is given */
export async function createImage(store: ResourceStore, { name, labels, ...spec }: Static<typeof ImageCreate>) {
  const given = Object.keys(spec.source);
  if (given.length !== 1) {
    refuseField(
      '/source',
      `source: has ${given.length === 0 ? 'nothing' : given.join(' and ')}; give exactly one of build, url or file.`,
    );
  }
  if (spec.source.url !== undefined && !URL.canParse(spec.source.url)) {
    refuseField('/source/url', `source.url: ${JSON.stringify(spec.source.url)} is not an address.`);
  }
  return await store.create(image, { metadata: { name: checkName(name), labels: { ...labels, [idLabel]: newId() } }, spec });
}

export function imageRoutes(app: Server): void {
  collectionRoutes(app, {
    path: '/v1/images',
    kind: image,
    out: Image,
    project: projectImage,
    read: 'viewer',
    write: 'operator',
  });

  app.post('/v1/images', {
    config: { permission: 'operator' },
    schema: { summary: 'Add an image', querystring: changeQuery, body: ImageCreate, response: { 201: Image } },
    handler: async ({ store, body }, reply) => {
      const created = await createImage(store, body);
      tag(reply, created).code(201).header('location', `/v1/images/${body.name}`);
      return projectImage(created);
    },
  });
}
