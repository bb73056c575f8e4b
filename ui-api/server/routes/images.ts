/** /v1/images: taken in from an address, a file of the box, or built here. */
import { CroftError } from '../../../appliance/errors.ts';
import { image, type Image as ImageObject } from '../../../appliance/resources/croft-kinds.ts';
import { addressesOf, catalogueImageNamed, imageCatalogue } from '../../../appliance/resources/image-catalogue.ts';
import { idLabel, newId } from '../../../appliance/resources/identity.ts';
import { virtualMachine } from '../../../appliance/resources/virtual-machine.ts';
import type { ResourceStore } from '../../../appliance/store/store.ts';
import { Type, type Static } from 'typebox';
import { ListQuery, Page, strict } from '../../schemas/common.ts';
import { CatalogueImage, Image, ImageCreate } from '../../schemas/objects.ts';
import type { Principal } from '../../auth/roles.ts';
import { allOf } from '../all-of.ts';
import type { Server } from '../context.ts';
import { pageOf } from '../pages.ts';
import { tag } from '../preconditions.ts';
import { projectImage } from '../projections/objects.ts';
import { checkName, refuseField } from '../projections/vm-draft.ts';
import { changeQuery, collectionRoutes } from './collection.ts';

/**
 * The box reads a file as root, and a disk made of it shows what is in it: keys, passwords. So naming one is an
 * administrator's. @throws CroftError `forbidden`
 */
export function refuseFileOfBox(principal: Principal | undefined, source: unknown): void {
  const names = typeof source === 'object' && source !== null && (source as { file?: unknown }).file !== undefined;
  if (names && principal?.role !== 'admin')
    throw new CroftError(
      'forbidden',
      'source.file: a file of the box needs the role admin; upload it instead (croft image add FILE --upload).',
    );
}

/** @throws CroftError `invalid-input` unless exactly one source is given */
export async function createImage(store: ResourceStore, { name, labels, ...spec }: Static<typeof ImageCreate>) {
  const given = Object.keys(spec.source);
  if (given.length !== 1) {
    refuseField(
      '/source',
      `source: has ${given.length === 0 ? 'nothing' : given.join(' and ')}; give exactly one of build, catalogue, url, file or upload.`,
    );
  }
  if (spec.source.url !== undefined && !URL.canParse(spec.source.url)) {
    refuseField('/source/url', `source.url: ${JSON.stringify(spec.source.url)} is not an address.`);
  }
  const { catalogue } = spec.source;
  if (catalogue !== undefined && !catalogueImageNamed(catalogue)) {
    const known = imageCatalogue.map((each) => each.name).join(', ');
    refuseField('/source/catalogue', `source.catalogue: ${JSON.stringify(catalogue)} is not known; there are ${known}.`);
  }
  return await store.create(image, { metadata: { name: checkName(name), labels: { ...labels, [idLabel]: newId() } }, spec });
}

/** A disk has its own bytes; a kernel is read from its image at each start. @throws CroftError `in-use` */
export async function refuseKernels(store: ResourceStore, { metadata }: ImageObject): Promise<void> {
  const users = (await allOf(store, virtualMachine)).filter(
    ({ spec }) => spec.template.spec.domain.firmware?.kernelBoot?.container.image === metadata.name,
  );
  if (users.length === 0) return;
  const names = users.slice(0, 5).map((vm) => vm.metadata.name);
  throw new CroftError(
    'in-use',
    `Image ${metadata.name} has the kernel of ${users.length} ${users.length === 1 ? 'VM' : 'VMs'}: ${names.join(', ')}.`,
  );
}

export function imageRoutes(app: Server): void {
  collectionRoutes(app, {
    path: '/v1/images',
    kind: image,
    out: Image,
    project: projectImage,
    read: 'viewer',
    write: 'operator',
    mayDelete: refuseKernels,
  });

  app.get('/v1/image-catalogue', {
    config: { permission: 'viewer' },
    schema: {
      summary: 'List the well-known images that can be added by name',
      querystring: Type.Object({ ...ListQuery }, strict),
      response: { 200: Page(CatalogueImage) },
    },
    handler: async ({ query }) =>
      pageOf(
        imageCatalogue.map((each) => ({
          kind: 'catalogue-image' as const,
          name: each.name,
          title: each.title,
          aliases: [...(each.aliases ?? [])],
          url: addressesOf(each).url,
          user: each.user,
          ...(each.firmware === undefined ? {} : { firmware: each.firmware }),
        })),
        query,
      ),
  });

  app.post('/v1/images', {
    config: { permission: 'operator' },
    schema: { summary: 'Add an image', querystring: changeQuery, body: ImageCreate, response: { 201: Image } },
    handler: async ({ store, body, principal }, reply) => {
      refuseFileOfBox(principal, body.source);
      const created = await createImage(store, body);
      tag(reply, created).code(201).header('location', `/v1/images/${body.name}`);
      return projectImage(created);
    },
  });
}
