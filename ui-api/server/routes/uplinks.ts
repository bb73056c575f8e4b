/** /v1/uplinks. A change may carry `confirmWithin`: unless it is confirmed in time, the box undoes it by itself. */
import { Type, type Static } from 'typebox';
import { CroftError } from '../../../appliance/errors.ts';
import { idLabel, newId } from '../../../appliance/resources/identity.ts';
import {
  confirmBefore,
  specBefore,
  uplink,
  wrongUplink,
  type Uplink as UplinkObject,
} from '../../../appliance/resources/uplink.ts';
import { editObject } from '../../../appliance/store/edit.ts';
import type { ResourceStore } from '../../../appliance/store/store.ts';
import { ChangeQuery, NameParams, strict } from '../../schemas/common.ts';
import { ConfirmWithin, Uplink, UplinkCreate, UplinkPatch } from '../../schemas/uplinks.ts';
import type { Server } from '../context.ts';
import { keyOf, mustFind } from '../lookup.ts';
import { tag } from '../preconditions.ts';
import { patchLabels } from '../projections/common.ts';
import { projectUplink } from '../projections/objects.ts';
import { checkName, refuseField } from '../projections/vm-draft.ts';
import { changeQuery, collectionRoutes, patchObject } from './collection.ts';

const confirmQuery = Type.Object({ ...ChangeQuery, confirmWithin: ConfirmWithin }, strict);

/** What the fields mean together. @throws CroftError `invalid-input` */
export function checkUplinkSpec(spec: UplinkObject['spec']): void {
  const wrong = wrongUplink(spec);
  if (wrong) refuseField(`/${wrong.field}`, wrong.message);
}

/** Marks of a change that waits for its confirmation. A change upon one that waits keeps what was confirmed last. */
function pending(draft: UplinkObject | undefined, seconds: number): Record<string, string> {
  const before = draft ? (draft.metadata.annotations?.[specBefore] ?? JSON.stringify(draft.spec)) : '';
  return { [confirmBefore]: new Date(Date.now() + seconds * 1000).toISOString(), [specBefore]: before };
}

/** Seconds for whoever changes the way by which the machine is reached, and may not reach it after that. */
const defaultConfirm = 120;

export async function createUplink(
  store: ResourceStore,
  { name, labels, ...spec }: Static<typeof UplinkCreate>,
  _project?: string,
  confirmWithin?: number,
) {
  checkUplinkSpec(spec);
  const within = confirmWithin ?? (spec.moveAddresses ? defaultConfirm : undefined);
  const annotations = within === undefined ? undefined : pending(undefined, within);
  return await store.create(uplink, {
    metadata: {
      name: checkName(name),
      labels: { ...labels, [idLabel]: newId() },
      ...(annotations ? { annotations } : {}),
    },
    spec,
  });
}

/** Fields set to null go back to their default (RFC 7396). */
const merged = (spec: UplinkObject['spec'], patch: Record<string, unknown>): UplinkObject['spec'] =>
  Object.fromEntries(Object.entries({ ...spec, ...patch }).filter(([, value]) => value !== null)) as UplinkObject['spec'];

/** Merges into the spec, and marks what undoes itself unless confirmed. @throws CroftError `invalid-input` */
export function changeUplink(draft: UplinkObject, patch: Record<string, unknown>, confirmWithin?: number): void {
  const next = merged(draft.spec, patch);
  const risky = next.moveAddresses || draft.spec.moveAddresses;
  const within = confirmWithin ?? (risky ? defaultConfirm : undefined);
  if (within !== undefined) draft.metadata.annotations = { ...draft.metadata.annotations, ...pending(draft, within) };
  draft.spec = next;
  checkUplinkSpec(draft.spec);
}

export function uplinkRoutes(app: Server): void {
  collectionRoutes(app, {
    path: '/v1/uplinks',
    kind: uplink,
    out: Uplink,
    project: projectUplink,
    read: 'viewer',
    write: 'admin',
  });

  app.post('/v1/uplinks', {
    config: { permission: 'admin' },
    schema: { summary: 'Create an uplink', querystring: confirmQuery, body: UplinkCreate, response: { 201: Uplink } },
    handler: async ({ store, body, query }, reply) => {
      const created = await createUplink(store, body, undefined, query.confirmWithin);
      tag(reply, created).code(201).header('location', `/v1/uplinks/${body.name}`);
      return projectUplink(created);
    },
  });

  app.patch('/v1/uplinks/:name', {
    config: { permission: 'admin' },
    schema: {
      summary: 'Change an uplink (merge patch)',
      params: NameParams,
      querystring: confirmQuery,
      body: UplinkPatch,
      response: { 200: Uplink },
    },
    handler: async (request, reply) => {
      const { labels, ...patch } = request.body as Static<typeof UplinkPatch> & Record<string, unknown>;
      const { confirmWithin } = request.query;
      const changed = await patchObject(request, uplink, request.params.name, (draft) => {
        changeUplink(draft, patch, confirmWithin);
        draft.metadata.labels = patchLabels(draft.metadata.labels, labels);
      });
      tag(reply, changed);
      return projectUplink(changed);
    },
  });

  app.post('/v1/uplinks/:name/confirm', {
    config: { permission: 'admin' },
    schema: {
      summary: 'Keep a change that would undo itself',
      params: NameParams,
      querystring: changeQuery,
      response: { 200: Uplink },
    },
    handler: async ({ store, params }, reply) => {
      // Without If-Match: what is confirmed is what stands, and it undoes itself soon.
      const found = await mustFind(store, uplink, params.name);
      const changed = await editObject(store, uplink, keyOf(found), (draft) => {
        const { [confirmBefore]: deadline, [specBefore]: _spec, ...rest } = draft.metadata.annotations ?? {};
        if (deadline === undefined) {
          throw new CroftError('invalid-state', `No change of the uplink ${draft.metadata.name} waits for a confirmation.`);
        }
        draft.metadata.annotations = rest;
      });
      if (!changed) throw new CroftError('not-found', `The uplink ${found.metadata.name} was taken away meanwhile.`);
      tag(reply, changed);
      return projectUplink(changed);
    },
  });
}
