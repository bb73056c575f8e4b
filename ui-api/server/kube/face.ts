/**
 * The Kubernetes face of a box without Kubernetes: kubectl, virtctl and what else speaks to a kube-apiserver find the
 * store's kinds where the cluster has them.
 *
 * Theory of operation: routes are made from the registry (served.ts) and declare the roles that `/v1` asks for, so
 * sign-in, permissions, CSRF and audit are the API's own. Objects go to the store as they are (wire.ts): versions,
 * watches, finalizers and garbage are the store's, which has Kubernetes' rules already. What differs is manners: Status
 * in place of problems, `dryRun=All`, Tables, patches, field validation. Only what kubectl and virtctl need is here;
 * server-side apply, strategic merges and protobuf are refused with a sentence. In a cluster none of it is: there
 * kube-apiserver serves the CRDs, and front-proxy.ts the subresources.
 */
import type { FastifyRequest } from 'fastify';
import { CroftError } from '../../../appliance/errors.ts';
import type { AppContext, Server } from '../context.ts';
import { asCroftError } from '../plugins/problems.ts';
import { refuseHidden } from '../admission.ts';
import { getNamespace, listEvents, listNamespaces, namespaceOf } from './derived.ts';
import {
  aggregated,
  aggregatedType,
  coreVersions,
  groupAnswers,
  groupList,
  resourceLists,
  wantsAggregated,
} from './discovery.ts';
import { aboutOf, objectHandlers, paramsOf, queryOf } from './objects.ts';
import { openApiIndex, openApiOf } from './open-api.ts';
import { patchTypes } from '../json-patch.ts';
import { route, type Handler } from './route.ts';
import { hasStatus, rootOf, served, type Served } from './served.ts';
import { objectStatus, statusOf, type About } from './status.ts';
import { subresourceRoutes } from './subresource-routes.ts';
import { shapeOf } from './table.ts';
import type { OpenWatches } from './watch.ts';
import { isObject, type Json } from './wire.ts';

export function kubeFace(app: Server, context: AppContext): void {
  const open: OpenWatches = new Set();
  app.addHook('preClose', async () => {
    for (const watch of open) watch.abort();
  });
  app.register(async (instance) => {
    const scope = instance as unknown as Server;
    useKubeBodies(scope);
    useStatus(scope);
    discoveryRoutes(scope, context);
    derivedRoutes(scope, context);
    for (const of of served) objectRoutes(scope, of, context, open);
    subresourceRoutes(scope, context);
    // Whatever else is asked for is told so in Kubernetes' way.
    for (const url of ['/api/*', '/apis/*', '/openapi/*']) {
      for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const) route(scope, method, url, 'viewer', nothingHere);
    }
  });
}

const nothingHere: Handler = (request) => {
  throw new CroftError(
    'not-found',
    `the server could not find the requested resource (${request.method} ${request.url.split('?', 1)[0]})`,
  );
};

function objectRoutes(scope: Server, of: Served, context: AppContext, open: OpenWatches): void {
  const { kind, read, write } = of;
  const about = aboutOf(of);
  const on = objectHandlers(of, context, open);
  const root = rootOf(of);
  const all = `${root}/${kind.plural}`;
  const collection = kind.namespaced ? `${root}/namespaces/:namespace/${kind.plural}` : all;
  const one = `${collection}/:name`;
  route(scope, 'GET', all, read, on.list, about);
  if (collection !== all) route(scope, 'GET', collection, read, on.list, about);
  route(scope, 'GET', one, read, on.get, about);
  if (write === undefined) return;
  route(scope, 'POST', collection, write, on.create, about);
  route(scope, 'DELETE', collection, write, on.removeAll, about);
  route(scope, 'PUT', one, write, on.update('spec'), about);
  route(scope, 'PATCH', one, write, on.patch('spec'), about);
  route(scope, 'DELETE', one, write, on.remove, about);
  if (!hasStatus(of)) return;
  route(scope, 'GET', `${one}/status`, read, on.get, about);
  // What was observed is the box's to write; repairs are an administrator's.
  route(scope, 'PUT', `${one}/status`, 'admin', on.update('status'), about);
  route(scope, 'PATCH', `${one}/status`, 'admin', on.patch('status'), about);
}

function discoveryRoutes(scope: Server, { version }: AppContext): void {
  const discovers =
    (core: boolean, plain: object): Handler =>
    (request, reply) =>
      wantsAggregated(request.headers.accept) ? reply.type(aggregatedType).send(aggregated(core)) : reply.send(plain);
  route(scope, 'GET', '/api', 'viewer', discovers(true, coreVersions));
  route(scope, 'GET', '/apis', 'viewer', discovers(false, groupList));
  for (const { path, answer } of [...groupAnswers, ...resourceLists]) route(scope, 'GET', path, 'viewer', () => answer);
  route(scope, 'GET', '/version', 'viewer', () => ({
    major: '1',
    minor: '36',
    gitVersion: `v1.36.0+croft.${version}`,
    gitTreeState: 'clean',
    platform: 'linux/amd64',
  }));
  route(scope, 'GET', '/openapi/v3', 'viewer', openApiIndex);
  route(scope, 'GET', '/openapi/v3/*', 'viewer', (request, reply) => {
    const found = openApiOf((request.params as { '*': string })['*']);
    return found ?? nothingHere(request, reply);
  });
}

function derivedRoutes(scope: Server, { events }: AppContext): void {
  const about: About = { group: '', kind: 'Namespace', plural: 'namespaces' };
  const shape = (request: FastifyRequest) => shapeOf(request.headers.accept, queryOf(request).includeObject);
  const collection = '/api/v1/namespaces';
  const nameOf = (request: FastifyRequest): string => paramsOf(request).name ?? '';
  route(scope, 'GET', collection, 'viewer', (request) => listNamespaces(request.store, shape(request)), about);
  route(scope, 'GET', `${collection}/:name`, 'viewer', (request) => getNamespace(request.store, nameOf(request)), about);
  const given = (body: unknown): Json => (isObject(body) && isObject(body.metadata) ? body.metadata : {});
  route(
    scope,
    'POST',
    collection,
    'operator',
    (request, reply) => {
      const metadata = given(request.body);
      return reply.code(201).send(namespaceOf(String(metadata.name ?? ''), metadata));
    },
    about,
  );
  route(
    scope,
    'PATCH',
    `${collection}/:name`,
    'operator',
    async (request) => {
      await getNamespace(request.store, nameOf(request));
      return namespaceOf(nameOf(request), given(request.body));
    },
    about,
  );
  const eventsAbout: About = { group: '', kind: 'Event', plural: 'events' };
  for (const url of ['/api/v1/events', `${collection}/:namespace/events`]) {
    const list: Handler = (request) => {
      const { namespace } = paramsOf(request);
      refuseHidden(namespace);
      if (queryOf(request).watch)
        throw new CroftError('invalid-input', 'Events can be listed here, not watched; /v1/events streams them.');
      return listEvents(events, namespace, queryOf(request).fieldSelector, shape(request));
    };
    route(scope, 'GET', url, 'viewer', list, eventsAbout);
  }
}

/** Patches are JSON; what isn't read here is refused by its own name. */
function useKubeBodies(scope: Server): void {
  const parse = scope.getDefaultJsonParser('error', 'error');
  scope.addContentTypeParser([patchTypes.json, patchTypes.strategic], { parseAs: 'string' }, (request, body, done) => {
    void parse(request, String(body), (error, value) =>
      error
        ? done(new CroftError('invalid-input', `The patch is not JSON: ${error.message}.`, { cause: error }))
        : done(null, value),
    );
  });
  const refused: [string, string][] = [
    [
      patchTypes.apply,
      'Server-side apply is not supported on a box without Kubernetes; use kubectl apply without --server-side.',
    ],
    ['application/apply-patch+cbor', 'Server-side apply is not supported on a box without Kubernetes.'],
    [
      'application/vnd.kubernetes.protobuf',
      'Protobuf is not read on a box without Kubernetes; write a manifest and send it with kubectl create -f or apply -f.',
    ],
  ];
  for (const [type, sentence] of refused) {
    scope.addContentTypeParser(type, { parseAs: 'string' }, (_request, _body, done) =>
      done(new CroftError('unsupported-media-type', sentence)),
    );
  }
}

/** Failures as Kubernetes' Status. */
function useStatus(scope: Server): void {
  scope.setErrorHandler((thrown, request, reply) => {
    const error = asCroftError(thrown, request);
    if (error.status >= 500) request.log.error({ err: error, cause: error.cause, traceId: request.id }, 'kubernetes face');
    request.failure = error.code;
    const about = request.routeOptions.config.kubernetes;
    const given = (request.body as { metadata?: { name?: unknown } } | undefined)?.metadata?.name;
    const { name = typeof given === 'string' ? given : undefined } = (request.params ?? {}) as { name?: string };
    const status =
      typeof about === 'object' ? objectStatus(error, { ...about, ...(name === undefined ? {} : { name }) }) : statusOf(error);
    if (error.code === 'unauthenticated') reply.header('www-authenticate', 'Bearer realm="croft"');
    return reply.code(status.code).type('application/json').send(status);
  });
}
