/**
 * CustomResourceDefinitions from the registry's schemas. Structural (apiextensions.k8s.io/v1): every field has one
 * type, so a union of number and text becomes `x-kubernetes-int-or-string`, literals become enums, and closed objects
 * are closed by pruning. Pure.
 *
 * Pruning drops unknown fields unless the client asks for `fieldValidation=Strict`, as kubectl does; what Croft itself
 * writes was checked against the schema before.
 */
import type { TSchema } from 'typebox';
import type { Kind } from '../resources/kind.ts';
import { kinds } from '../resources/registry.ts';
import { unsupportedFields } from '../resources/support.ts';

type Json = { [key: string]: unknown };
type Schema = {
  type?: string;
  properties?: Record<string, TSchema>;
  patternProperties?: Record<string, TSchema>;
  required?: string[];
  items?: TSchema;
  enum?: unknown[];
  const?: unknown;
  anyOf?: TSchema[];
};

/** Keywords that mean the same in both. */
const shared = ['minimum', 'maximum', 'minLength', 'maxLength', 'pattern', 'minItems', 'maxItems', 'description'] as const;

/** @throws Error for a schema that no structural one can say: a defect of the registry, found by its test */
export function structural(schema: TSchema): Json {
  const given = schema as Schema & Json;
  if (given.anyOf) return union(given.anyOf as (Schema & Json)[]);
  if (given.const !== undefined) return enumeration([given.const]);
  if (given.enum) return enumeration(given.enum);
  const common = Object.fromEntries(shared.flatMap((key) => (given[key] === undefined ? [] : [[key, given[key]]])));
  if (given.patternProperties) {
    const [values] = Object.values(given.patternProperties);
    return { ...common, type: 'object', additionalProperties: structural(values as TSchema) };
  }
  if (given.type === 'object') {
    const properties = Object.entries(given.properties ?? {}).map(([key, value]) => [key, structural(value)]);
    const required = given.required?.length ? { required: given.required } : {};
    return { ...common, type: 'object', properties: Object.fromEntries(properties), ...required };
  }
  if (given.type === 'array') return { ...common, type: 'array', items: structural(given.items as TSchema) };
  if (given.type === 'integer') return { ...common, type: 'integer', format: 'int64' };
  if (given.type === 'string' || given.type === 'boolean' || given.type === 'number') return { ...common, type: given.type };
  throw new Error(`no structural schema says ${JSON.stringify(schema)}`);
}

function enumeration(values: unknown[]): Json {
  const types = new Set(values.map((value) => typeof value));
  if (types.size !== 1) throw new Error(`an enum of several types is not structural: ${JSON.stringify(values)}`);
  return { type: [...types][0], enum: values };
}

function union(branches: (Schema & Json)[]): Json {
  if (branches.every((branch) => branch.const !== undefined)) return enumeration(branches.map((branch) => branch.const));
  const types = branches.map((branch) => branch.type).toSorted();
  if (types.join() === 'integer,string') return { 'x-kubernetes-int-or-string': true };
  throw new Error(`no structural schema says ${JSON.stringify(branches)}`);
}

/**
 * Lets fields through that upstream has and Croft refuses: pruned, they would vanish without a word; so they reach the
 * policy that names them (admission-policies.ts).
 */
function letThrough(kind: Kind, spec: Json): Json {
  for (const path of unsupportedFields(kind)) {
    const parts = path.split('.').slice(1);
    const name = parts.pop() as string;
    let here: Json | undefined = spec;
    for (const part of parts) {
      here = (here?.properties as Record<string, Json> | undefined)?.[part.replace('[]', '')];
      if (part.endsWith('[]')) here = here?.items as Json | undefined;
    }
    // Below another refused field there is nothing to add to.
    const properties = here?.properties as Record<string, Json> | undefined;
    if (properties && !(name in properties)) properties[name] = { 'x-kubernetes-preserve-unknown-fields': true };
  }
  return spec;
}

/** Printer columns have JSON types of their own; what isn't a plain value is shown as text. */
function columnType(root: Json, path: string): string {
  let here: Json | undefined = root;
  for (const part of path.split('.').filter(Boolean)) here = (here?.properties as Record<string, Json> | undefined)?.[part];
  const type = here?.type;
  return type === 'integer' || type === 'boolean' || type === 'number' ? type : 'string';
}

/** Kinds that a cluster gets as custom resources. */
export const customKinds = (): Kind[] => (kinds as readonly Kind[]).filter((kind) => kind.home === 'ours');

export function crdOf(kind: Kind) {
  const [group, version] = kind.apiVersion.split('/') as [string, string];
  const schema: Json = {
    type: 'object',
    required: ['spec'],
    properties: {
      spec: letThrough(kind, structural(kind.spec)),
      status: { ...structural(kind.status), 'x-kubernetes-preserve-unknown-fields': true },
    },
  };
  const columns = [
    ...kind.columns.map(({ header, path, wide }) => ({
      name: header,
      jsonPath: path,
      type: columnType(schema, path),
      ...(wide ? { priority: 1 } : {}),
    })),
    { name: 'AGE', jsonPath: '.metadata.creationTimestamp', type: 'date' },
  ];
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${kind.plural}.${group}`, labels: { 'app.kubernetes.io/managed-by': 'croft' } },
    spec: {
      group,
      scope: kind.namespaced ? 'Namespaced' : 'Cluster',
      names: {
        plural: kind.plural,
        singular: kind.kind.toLowerCase(),
        kind: kind.kind,
        listKind: `${kind.kind}List`,
        shortNames: kind.shortNames,
        ...(group === 'kubevirt.io' ? { categories: ['all'] } : {}),
      },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: columns,
          schema: { openAPIV3Schema: schema },
        },
      ],
    },
  };
}
