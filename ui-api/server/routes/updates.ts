/** /v1/node/update: a new release for this box, and the way back to the one before. */
import type { Readable } from 'node:stream';
import { Type } from 'typebox';
import { CroftError } from '../../../appliance/errors.ts';
import { type UpdatePort, updateUpload } from '../../../appliance/ports.ts';
import { strict } from '../../schemas/common.ts';
import { Task, Upload, UploadCreate } from '../../schemas/objects.ts';
import { Releases, RollbackBody, UpdateBody } from '../../schemas/updates.ts';
import type { AppContext, Server } from '../context.ts';
import { pieceType } from '../plugins/bodies.ts';
import { offsetOf, tell } from './image-uploads.ts';

const refusal = 'This box was not installed from a medium: it has no releases to change.';

export function updateRoutes(app: Server, { port, uploads, tasks }: AppContext): void {
  const updates = (): UpdatePort => {
    if (port.updates) return port.updates;
    throw new CroftError('invalid-state', refusal);
  };
  const view = async () => ({ kind: 'releases' as const, ...(await updates().status()) });

  app.get('/v1/node/update', {
    config: { permission: 'viewer' },
    schema: { summary: 'The box’s two releases, and an update under way', response: { 200: Releases } },
    handler: async () => (port.updates ? await view() : { kind: 'releases' as const, confirmed: true, slots: [], refusal }),
  });

  app.post('/v1/node/update', {
    config: { permission: 'admin', transient: true },
    schema: {
      summary: 'Put a signed release into the slot that does not run; the next start tries it',
      body: UpdateBody,
      response: { 202: Task },
    },
    handler: async ({ body, principal }, reply) => {
      if ((body.url === undefined) === (body.upload === undefined)) {
        throw new CroftError('invalid-input', 'url, upload: one of the two says where the bundle comes from.');
      }
      const id = await updates().begin(body, principal?.name);
      const task = tasks.get(id);
      reply.code(202).header('location', `/v1/tasks/${id}`);
      // Where box and API are two processes, the task may be heard of a moment later.
      const begun = { id, verb: 'node.update', target: { kind: 'Node', name: 'this' }, state: 'running' as const };
      return { kind: 'task', ...(task ?? { ...begun, progress: 0, cancellable: true, startedAt: new Date().toISOString() }) };
    },
  });

  app.delete('/v1/node/update', {
    config: { permission: 'admin', transient: true },
    schema: { summary: 'Abort an update, or take back one that waits for the next start' },
    handler: async (_request, reply) => {
      await updates().abort();
      return reply.code(204).send();
    },
  });

  app.post('/v1/node/rollback', {
    config: { permission: 'admin', transient: true },
    schema: { summary: 'Try the other slot’s release at the next start', body: RollbackBody, response: { 200: Releases } },
    handler: async ({ body }) => {
      await updates().rollBack();
      const now = await view();
      if (body.restart) await updates().restart();
      return now;
    },
  });

  app.post('/v1/node/restart', {
    config: { permission: 'admin', transient: true },
    schema: { summary: 'Restart the machine' },
    handler: async (_request, reply) => {
      await updates().restart();
      return reply.code(204).send();
    },
  });

  bundleRoutes(app, uploads, updates);
}

/** The bytes of a bundle, in pieces, as those of an image. */
function bundleRoutes(app: Server, uploads: AppContext['uploads'], updates: () => UpdatePort): void {
  const path = '/v1/node/update/upload';
  app.post(path, {
    config: { permission: 'admin', transient: true },
    schema: { summary: 'Begin to send a bundle, or see how far it is', body: UploadCreate, response: { 201: Upload } },
    handler: async ({ body }, reply) => {
      updates();
      return tell(reply.code(201), await uploads.begin(updateUpload, body.size));
    },
  });
  app.get(path, {
    config: { permission: 'admin' },
    schema: { summary: 'How far the bundle is', response: { 200: Upload } },
    handler: async (_request, reply) => {
      const state = await uploads.state(updateUpload);
      if (!state) throw new CroftError('not-found', 'No bundle is being sent.');
      return tell(reply, state);
    },
  });
  app.patch(path, {
    config: { permission: 'admin', transient: true, piece: true },
    schema: {
      summary: `Send a piece: ${pieceType}, with Upload-Offset`,
      querystring: Type.Object({}, strict),
      response: { 200: Upload },
    },
    handler: async ({ headers, body }, reply) => {
      const offset = offsetOf(headers);
      return tell(reply, await uploads.append(updateUpload, offset, body as Readable));
    },
  });
  app.delete(path, {
    config: { permission: 'admin', transient: true },
    schema: { summary: 'Drop what was sent so far' },
    handler: async (_request, reply) => {
      await uploads.drop(updateUpload);
      return reply.code(204).send();
    },
  });
}
