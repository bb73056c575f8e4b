/** Create, read, change, delete and watch of one kind, as kube-apiserver has it for custom resources. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { CroftError, isCroftError } from '../../../appliance/errors.ts';
import { describe } from '../../../appliance/resources/kind.ts';
import type { Resource } from '../../../appliance/resources/meta.ts';
import { mustGet } from '../../../appliance/store/edit.ts';
import { matchesFields, parseFieldSelector, parseLabelSelector } from '../../../appliance/store/selectors.ts';
import type { AppContext } from '../context.ts';
import { admit, admitDeletion, isHidden, orphanDependents, refuseHidden, shortenGrace } from '../admission.ts';
import { isPlainMerge, jsonPatch, mergePatch, patchTypes } from '../json-patch.ts';
import type { Served } from './served.ts';
import { success, type About } from './status.ts';
import { shaped, shapedList, shapeOf } from './table.ts';
import { streamWatch, type OpenWatches } from './watch.ts';
import { asBefore, incoming, isObject, outgoing, type FieldValidation, type Json } from './wire.ts';

export type Query = Record<string, string | undefined>;
type Params = { namespace?: string; name?: string };
export type KubeRequest = FastifyRequest & { params: unknown; query: unknown };
/** What a patch is made of: the object it changes, and where it stands. */
type Half = 'spec' | 'status';

export const paramsOf = (request: FastifyRequest): Params => request.params as Params;
/** A parameter that is given twice counts once, as its first. */
export const queryOf = (request: FastifyRequest): Query =>
  Object.fromEntries(Object.entries(request.query as Json).map(([key, value]) => [key, String([value].flat()[0])]));

const isSet = (text: string | undefined): boolean => text !== undefined && text !== 'false' && text !== '0';

/** @throws CroftError `invalid-input` */
function wholeNumber(query: Query, field: string): number | undefined {
  const text = query[field];
  if (text === undefined || text === '' || text === '0') return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new CroftError('invalid-input', `${field}: ${JSON.stringify(text.slice(0, 40))} must be a whole number.`);
}

function validationOf({ fieldValidation = 'Warn' }: Query): FieldValidation {
  if (fieldValidation === 'Strict' || fieldValidation === 'Warn' || fieldValidation === 'Ignore') return fieldValidation;
  throw new CroftError(
    'invalid-input',
    `fieldValidation: ${JSON.stringify(fieldValidation.slice(0, 40))} must be Strict, Warn or Ignore.`,
  );
}

/** Tells the client of fields that were dropped (RFC 7234 §5.5; kubectl prints it). */
function warn(reply: FastifyReply, mode: FieldValidation, dropped: readonly string[]): void {
  if (mode !== 'Warn' || dropped.length === 0) return;
  reply.header(
    'warning',
    dropped.slice(0, 20).map((path) => `299 - "unknown field \\"${path.replaceAll(/[^\w.[\]/-]/g, '?')}\\""`),
  );
}

export const aboutOf = ({ kind, group }: Served, name?: string): About => ({
  group,
  kind: kind.kind,
  plural: kind.plural,
  ...(name === undefined ? {} : { name }),
});

/** Retries of a patch that names no version, when another change came between. */
const patchAttempts = 5;

export function objectHandlers(of: Served, context: AppContext, open: OpenWatches) {
  const { kind } = of;

  const find = async (request: FastifyRequest): Promise<Resource> => {
    const { name = '', namespace } = paramsOf(request);
    refuseHidden(namespace);
    return await mustGet(request.store, kind, name, namespace);
  };

  async function list(request: FastifyRequest, reply: FastifyReply) {
    const query = queryOf(request);
    const { namespace } = paramsOf(request);
    refuseHidden(namespace);
    const { labelSelector, fieldSelector, resourceVersion, resourceVersionMatch } = query;
    const shape = shapeOf(request.headers.accept, query.includeObject);
    parseLabelSelector(labelSelector);
    const fields = parseFieldSelector(fieldSelector);
    if (isSet(query.watch)) {
      await streamWatch(
        request,
        reply,
        {
          kind,
          namespace,
          labelSelector,
          resourceVersion,
          sendInitialEvents: query.sendInitialEvents === undefined ? undefined : isSet(query.sendInitialEvents),
          bookmarks: isSet(query.allowWatchBookmarks),
          timeoutSeconds: wholeNumber(query, 'timeoutSeconds'),
          shape,
          accepts: (object) => !isHidden(object) && matchesFields(fields, object.metadata),
          about: aboutOf(of),
        },
        context,
        open,
      );
      return reply;
    }
    const limit = wholeNumber(query, 'limit');
    const page = await request.store.list(kind, {
      namespace,
      labelSelector,
      fieldSelector,
      consistent: true,
      ...(limit === undefined ? {} : { limit }),
      ...(query.continue ? { continue: query.continue } : {}),
    });
    if (resourceVersionMatch === 'Exact' && resourceVersion !== page.resourceVersion)
      throw new CroftError(
        'expired',
        `Version ${resourceVersion} is not the present one, ${page.resourceVersion}; others are not kept.`,
      );
    const metadata = { resourceVersion: page.resourceVersion, ...(page.continue ? { continue: page.continue } : {}) };
    return shapedList(
      kind,
      page.items.filter((item) => !isHidden(item)),
      metadata,
      shape,
    );
  }

  async function get(request: FastifyRequest) {
    return shaped(kind, await find(request), shapeOf(request.headers.accept, queryOf(request).includeObject));
  }

  async function create(request: FastifyRequest, reply: FastifyReply) {
    const { namespace } = paramsOf(request);
    refuseHidden(namespace);
    const mode = validationOf(queryOf(request));
    const { object, dropped } = incoming(kind, request.body, { namespace }, mode);
    warn(reply, mode, dropped);
    await admit(request, kind, object);
    reply.code(201);
    return outgoing(kind, await request.store.create(kind, object));
  }

  async function write(request: FastifyRequest, half: Half, before: Resource, object: Resource): Promise<Json> {
    if (half === 'status') return outgoing(kind, await request.store.updateStatus(kind, object));
    const wished = asBefore(before, object);
    await admit(request, kind, wished, before);
    return outgoing(kind, await request.store.update(kind, wished));
  }

  const update = (half: Half) => async (request: FastifyRequest, reply: FastifyReply) => {
    const before = await find(request);
    const mode = validationOf(queryOf(request));
    const { object, dropped } = incoming(kind, request.body, paramsOf(request), mode);
    warn(reply, mode, dropped);
    return await write(request, half, before, object);
  };

  const patch = (half: Half) => async (request: FastifyRequest, reply: FastifyReply) => {
    const mode = validationOf(queryOf(request));
    for (let attempt = 1; ; attempt++) {
      const before = await find(request);
      const patched = applyPatch(request, outgoing(kind, before));
      const { object, dropped } = incoming(kind, patched, paramsOf(request), mode);
      const version = object.metadata.resourceVersion ?? before.metadata.resourceVersion;
      object.metadata = { ...object.metadata, resourceVersion: version };
      try {
        const after = await write(request, half, before, object);
        warn(reply, mode, dropped);
        return after;
      } catch (error) {
        const isOurs = version === before.metadata.resourceVersion;
        if (!isCroftError(error, 'conflict') || !isOurs || attempt === patchAttempts) throw error;
      }
    }
  };

  function applyPatch(request: FastifyRequest, now: Json): unknown {
    const type = (request.headers['content-type'] ?? '').split(';')[0]?.trim();
    if (type === patchTypes.json) return jsonPatch(now, request.body);
    if (type === patchTypes.merge) return mergePatch(now, request.body);
    // kubectl patches kinds of its own only so; without lists it is the same as a merge patch.
    if (type === patchTypes.strategic && kind.home === 'core' && isPlainMerge(request.body)) return mergePatch(now, request.body);
    throw new CroftError(
      'unsupported-media-type',
      `${type || 'A patch without a content type'} is not supported for ${kind.plural}; send ${patchTypes.merge} or ${patchTypes.json} (kubectl patch --type merge).`,
    );
  }

  async function removeOne(request: FastifyRequest, object: Resource): Promise<Resource> {
    const options = { ...queryOf(request), ...(isObject(request.body) ? request.body : {}) } as Json;
    const { uid, resourceVersion } = (isObject(options.preconditions) ? options.preconditions : {}) as Record<string, string>;
    const { store } = request;
    await admitDeletion(store, kind, object);
    const policy = options.propagationPolicy;
    if (policy !== undefined && !['Background', 'Foreground', 'Orphan'].includes(String(policy)))
      throw new CroftError(
        'invalid-input',
        `propagationPolicy: ${JSON.stringify(policy)} must be Background, Foreground or Orphan.`,
      );
    const grace = options.gracePeriodSeconds === undefined ? undefined : Number(options.gracePeriodSeconds);
    if (grace !== undefined && !(Number.isSafeInteger(grace) && grace >= 0))
      throw new CroftError(
        'invalid-input',
        `gracePeriodSeconds: ${JSON.stringify(options.gracePeriodSeconds)} must be a whole number.`,
      );
    // Looked at before what goes with it is touched; the store looks again.
    if (
      (uid ?? object.metadata.uid) !== object.metadata.uid ||
      (resourceVersion ?? object.metadata.resourceVersion) !== object.metadata.resourceVersion
    )
      throw new CroftError('conflict', `${describe(object)} is not the one that the preconditions name.`);
    if (policy === 'Orphan') await orphanDependents(store, object);
    if (grace !== undefined) await shortenGrace(store, kind, object, grace);
    const { name, namespace } = object.metadata;
    // A version that was asked for still counts, unless we changed the object ourselves meanwhile.
    const version = resourceVersion === undefined || grace !== undefined ? {} : { resourceVersion };
    const gone = await store.delete(kind, name, namespace, request.plan ? {} : { uid: object.metadata.uid, ...version });
    return gone ?? object;
  }

  async function remove(request: FastifyRequest) {
    const gone = await removeOne(request, await find(request));
    const { name, uid, deletionTimestamp } = gone.metadata;
    return deletionTimestamp === undefined ? success(aboutOf(of, name), uid) : outgoing(kind, gone);
  }

  async function removeAll(request: FastifyRequest) {
    const { labelSelector, fieldSelector } = queryOf(request);
    const { namespace } = paramsOf(request);
    refuseHidden(namespace);
    const { items, resourceVersion } = await request.store.list(kind, {
      namespace,
      labelSelector,
      fieldSelector,
      consistent: true,
    });
    const gone: Resource[] = [];
    for (const item of items.filter((one) => !isHidden(one))) gone.push(await removeOne(request, item));
    return shapedList(kind, gone, { resourceVersion }, shapeOf(undefined, undefined));
  }

  return { list, get, create, update, patch, remove, removeAll };
}
