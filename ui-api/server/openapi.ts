/** OpenAPI 3.1 from the routes' own schemas: one source for validation, types and description. Pure. */
import type { TSchema } from 'typebox';
import * as common from '../schemas/common.ts';
import * as objects from '../schemas/objects.ts';
import * as vms from '../schemas/vm.ts';
import type { Permission } from './context.ts';

export type DescribedRoute = {
  method: string;
  url: string;
  permission: Permission;
  /** Described by /openapi/v3, as Kubernetes does, not here. */
  kubernetes?: boolean;
  summary?: string;
  params?: TSchema;
  querystring?: TSchema;
  body?: TSchema;
  response?: Record<string, TSchema>;
};
export type RouteList = DescribedRoute[];

type Json = Record<string, unknown>;
type Named = Map<unknown, string>;

const isObjectSchema = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && (value as Json).type === 'object';

/** Exported object schemas get names under components; what is used elsewhere refers to them. */
function namedSchemas(): Named {
  const all = [...Object.entries(common), ...Object.entries(objects), ...Object.entries(vms)];
  // The order of a module's exports depends on who loads it.
  const entries = all.toSorted(([a], [b]) => (a < b ? -1 : 1));
  return new Map(entries.filter(([, value]) => isObjectSchema(value)).map(([name, schema]) => [schema, name]));
}

/** A schema as plain JSON, with named parts replaced by references. `top` itself is written out. */
function plain(value: unknown, named: Named, top = false): unknown {
  if (Array.isArray(value)) return value.map((item) => plain(item, named));
  if (typeof value !== 'object' || value === null) return value;
  const name = named.get(value);
  if (name !== undefined && !top) return { $ref: `#/components/schemas/${name}` };
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => key !== 'secret')
      .map(([key, inner]) => [key, plain(inner, named)]),
  );
}

function parameters(route: DescribedRoute, named: Named): Json[] {
  const of = (schema: TSchema | undefined, place: 'path' | 'query'): Json[] => {
    const { properties = {}, required = [] } = (schema ?? {}) as { properties?: Json; required?: string[] };
    return Object.entries(properties).map(([name, property]) => ({
      name,
      in: place,
      required: place === 'path' || required.includes(name),
      schema: plain(property, named),
    }));
  };
  const given = of(route.params, 'path');
  const inPath = [...route.url.matchAll(/:(\w+)/g)].map(([, name]) => name as string);
  const missing = inPath
    .filter((name) => !given.some((parameter) => parameter.name === name))
    .map((name) => ({ name, in: 'path', required: true, schema: { type: 'string' } }));
  return [...given, ...missing, ...of(route.querystring, 'query')];
}

const operationId = ({ method, url }: DescribedRoute): string =>
  `${method.toLowerCase()}${url
    .replace(/^\/v1/, '')
    .split(/[/:.-]+/)
    .filter(Boolean)
    .map((part) => part[0]?.toUpperCase() + part.slice(1))
    .join('')}`;

function operation(route: DescribedRoute, named: Named): Json {
  const problem = {
    description: 'Problem',
    content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
  };
  const responses: Json = Object.fromEntries(
    Object.entries(route.response ?? {}).map(([status, schema]) => [
      status,
      { description: 'Done', content: { 'application/json': { schema: plain(schema, named) } } },
    ]),
  );
  if (route.response === undefined) responses[route.method === 'DELETE' ? '204' : '200'] = { description: 'Done' };
  const inputs = parameters(route, named);
  return {
    operationId: operationId(route),
    ...(route.summary === undefined ? {} : { summary: route.summary }),
    'x-permission': route.permission,
    ...(route.permission === 'open' ? { security: [] } : {}),
    ...(inputs.length > 0 ? { parameters: inputs } : {}),
    ...(route.body === undefined
      ? {}
      : {
          requestBody: {
            content: {
              [route.method === 'PATCH' ? 'application/merge-patch+json' : 'application/json']: {
                schema: plain(route.body, named),
              },
            },
          },
        }),
    responses: { ...responses, default: problem },
  };
}

export function describeApi(routes: RouteList, version: string): Json {
  const named = namedSchemas();
  const paths: Record<string, Json> = {};
  const own = routes.filter(({ kubernetes }) => !kubernetes);
  const sorted = own.sort((a, b) => (a.url === b.url ? a.method.localeCompare(b.method) : a.url.localeCompare(b.url)));
  for (const route of sorted) {
    const path = route.url.replace(/:(\w+)/g, '{$1}');
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(route, named) };
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Croft', version, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    security: [{ bearer: [] }, { session: [] }],
    paths,
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer' },
        session: { type: 'apiKey', in: 'cookie', name: 'croft_session' },
      },
      schemas: Object.fromEntries([...named].map(([schema, name]) => [name, plain(schema, named, true)])),
    },
  };
}
