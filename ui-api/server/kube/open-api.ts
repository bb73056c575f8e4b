/**
 * OpenAPI v3 as kubectl asks for it: an index, and per group version the schemas (for `explain`) with one PATCH operation
 * per kind, whose `fieldValidation` tells kubectl that the server checks fields itself. Made from the CRDs'
 * schemas. Pure.
 */
import { structural } from '../../../appliance/store/crds.ts';
import { secret } from '../../../appliance/resources/core-kinds.ts';
import type { Kind } from '../../../appliance/resources/kind.ts';
import { patchTypes } from '../json-patch.ts';
import { groupVersions, namespaces, rootOf, type Served } from './served.ts';
import type { Json } from './wire.ts';

const metaName = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta';
const text = { type: 'string' };
const texts = { type: 'object', additionalProperties: text };

const objectMeta = {
  type: 'object',
  description: 'Name, labels and the like, as Kubernetes has them.',
  properties: {
    name: text,
    generateName: text,
    namespace: text,
    uid: text,
    resourceVersion: text,
    generation: { type: 'integer', format: 'int64' },
    creationTimestamp: { ...text, format: 'date-time' },
    deletionTimestamp: { ...text, format: 'date-time' },
    labels: texts,
    annotations: texts,
    finalizers: { type: 'array', items: text },
    ownerReferences: { type: 'array', items: { type: 'object' } },
  },
};

/** `kubevirt.io` → `io.kubevirt`. */
const schemaName = ({ group, version, kind }: Served): string =>
  [...(group === '' ? ['core', 'k8s', 'io'] : group.split('.')).toReversed(), version, kind.kind].join('.');

function schemaOf({ kind, group, version }: Served): Json {
  const own =
    kind === (secret as Kind)
      ? { type: text, data: texts, stringData: texts }
      : { spec: structural(kind.spec), status: structural(kind.status) };
  return {
    type: 'object',
    properties: { apiVersion: text, kind: text, metadata: { allOf: [{ $ref: `#/components/schemas/${metaName}` }] }, ...own },
    'x-kubernetes-group-version-kind': [{ group, version, kind: kind.kind }],
  };
}

const parameter = (name: string) => ({ name, in: 'query', schema: text });

function operations(of: Served): [string, Json] {
  const { kind, group, version } = of;
  const schema = { $ref: `#/components/schemas/${schemaName(of)}` };
  const answer = { 200: { description: 'OK', content: { 'application/json': { schema } } } };
  const gvk = { 'x-kubernetes-group-version-kind': { group, version, kind: kind.kind } };
  const scope = kind.namespaced ? '/namespaces/{namespace}' : '';
  const patch = {
    'x-kubernetes-action': 'patch',
    ...gvk,
    parameters: ['dryRun', 'fieldManager', 'fieldValidation'].map(parameter),
    requestBody: {
      content: { [patchTypes.merge]: { schema: { type: 'object' } }, [patchTypes.json]: { schema: { type: 'array' } } },
    },
    responses: answer,
  };
  const get = { 'x-kubernetes-action': 'get', ...gvk, responses: answer };
  return [`${rootOf(of)}${scope}/${kind.plural}/{name}`, of.write === undefined ? { get } : { get, patch }];
}

const documents = new Map<string, Json>();

/** `/openapi/v3`: which documents there are. */
export const openApiIndex = () => ({
  paths: Object.fromEntries(
    groupVersions().map((one) => [rootOf(one).slice(1), { serverRelativeURL: `/openapi/v3${rootOf(one)}` }]),
  ),
});

/** The document of a group version, by its path `apis/kubevirt.io/v1`; undefined when there is none. */
export function openApiOf(path: string): Json | undefined {
  const found = groupVersions().find((one) => rootOf(one).slice(1) === path);
  if (!found) return undefined;
  let document = documents.get(path);
  if (!document) {
    const kinds = found.group === '' ? [...found.kinds, namespaces] : found.kinds;
    document = {
      openapi: '3.0.0',
      info: { title: 'Croft', version: found.version },
      paths: Object.fromEntries(kinds.map(operations)),
      components: {
        schemas: { ...Object.fromEntries(kinds.map((of) => [schemaName(of), schemaOf(of)])), [metaName]: objectMeta },
      },
    };
    documents.set(path, document);
  }
  return document;
}
