/**
 * /v1/images/{name}/upload: the bytes of an image, in pieces that can be sent again (after tus: offset and conflict).
 * POST says the size, GET how far it is, PATCH sends a piece from that offset on, DELETE drops what came.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import { Type } from 'typebox';
import type { FastifyReply } from 'fastify';
import { CroftError } from '../../../appliance/errors.ts';
import type { UploadState } from '../../../appliance/ports.ts';
import { image } from '../../../appliance/resources/croft-kinds.ts';
import { idLabel } from '../../../appliance/resources/identity.ts';
import type { ResourceStore } from '../../../appliance/store/store.ts';
import { NameParams, ProjectQuery, strict } from '../../schemas/common.ts';
import { Upload, UploadCreate } from '../../schemas/objects.ts';
import type { AppContext, Server } from '../context.ts';
import { mustFind } from '../lookup.ts';
import { pieceType } from '../plugins/bodies.ts';

/** The image's id. @throws CroftError `not-found`, `invalid-state` when it does not wait for bytes */
async function waitingImage(store: ResourceStore, nameOrId: string): Promise<string> {
  const found = await mustFind(store, image, nameOrId);
  const { name, labels, deletionTimestamp } = found.metadata;
  const phase = found.status?.phase ?? 'Pending';
  const id = labels?.[idLabel];
  if (!found.spec.source.upload) {
    throw new CroftError('invalid-state', `Image ${name} takes no upload: its source is not upload.`);
  }
  if (id === undefined || deletionTimestamp || !['Pending', 'Fetching'].includes(phase)) {
    const state = deletionTimestamp ? 'being deleted' : phase.toLowerCase();
    throw new CroftError('invalid-state', `Image ${name} is ${state}; bytes are taken while it is pending or fetching.`, {
      fix: ['To send other bytes, delete the image and add it again.'],
    });
  }
  return id;
}

export const tell = (reply: FastifyReply, state: UploadState): UploadState => {
  reply
    .header('upload-offset', String(state.offset))
    .header('upload-length', String(state.size))
    .header('cache-control', 'no-store');
  return state;
};

/** Where a piece begins. @throws CroftError `invalid-input`, `unsupported-media-type` */
export function offsetOf(headers: IncomingHttpHeaders): number {
  const given = headers['upload-offset'];
  if (typeof given !== 'string' || !/^\d{1,15}$/.test(given)) {
    throw new CroftError(
      'invalid-input',
      `Upload-Offset: ${JSON.stringify(given ?? null)} must be the byte the piece begins at.`,
    );
  }
  if (headers['content-type'] !== pieceType) {
    throw new CroftError('unsupported-media-type', `A piece of an upload is sent as ${pieceType}.`, {
      fix: [`Send Content-Type: ${pieceType}.`],
    });
  }
  return Number(given);
}

export function imageUploadRoutes(app: Server, { uploads }: AppContext): void {
  const path = '/v1/images/:name/upload';
  const querystring = Type.Object({ ...ProjectQuery }, strict);

  app.post(path, {
    config: { permission: 'operator', transient: true },
    schema: {
      summary: 'Begin an upload, or see how far it is',
      params: NameParams,
      querystring,
      body: UploadCreate,
      response: { 201: Upload },
    },
    handler: async ({ store, params, body }, reply) => {
      const id = await waitingImage(store, params.name);
      return tell(reply.code(201), await uploads.begin(id, body.size));
    },
  });

  app.get(path, {
    config: { permission: 'operator' },
    schema: { summary: 'How far an upload is', params: NameParams, querystring, response: { 200: Upload } },
    handler: async ({ store, params }, reply) => {
      const state = await uploads.state(await waitingImage(store, params.name));
      if (!state) throw new CroftError('not-found', `No upload of image ${params.name} was begun.`);
      return tell(reply, state);
    },
  });

  app.patch(path, {
    config: { permission: 'operator', transient: true, piece: true },
    schema: {
      summary: `Send a piece: ${pieceType}, with Upload-Offset`,
      params: NameParams,
      querystring,
      response: { 200: Upload },
    },
    handler: async ({ store, params, headers, body }, reply) => {
      const id = await waitingImage(store, params.name);
      return tell(reply, await uploads.append(id, offsetOf(headers), body as Readable));
    },
  });

  app.delete(path, {
    config: { permission: 'operator', transient: true },
    schema: { summary: 'Drop what was uploaded so far', params: NameParams, querystring },
    handler: async ({ store, params }, reply) => {
      await uploads.drop(await waitingImage(store, params.name));
      return reply.code(204).send();
    },
  });
}
