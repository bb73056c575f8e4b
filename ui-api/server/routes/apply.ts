/**
 * POST /v1/apply: documents with apiVersion + kind are manifests, with kind alone flat objects of `/v1`. Each is
 * created, changed to match, or left alone; together they are not a transaction: the answer tells each one's fate.
 */
import type { FastifyRequest } from 'fastify';
import { Type, type TSchema } from 'typebox';
import { CroftError } from '../../../appliance/errors.ts';
import { image, network, storagePool } from '../../../appliance/resources/croft-kinds.ts';
import { dataVolume, type DataVolume } from '../../../appliance/resources/data-volume.ts';
import { idLabel, newId } from '../../../appliance/resources/identity.ts';
import { clusterInstancetype, clusterPreference, instancetype, preference } from '../../../appliance/resources/instancetype.ts';
import type { Kind, Of } from '../../../appliance/resources/kind.ts';
import type { ObjectMeta, Resource } from '../../../appliance/resources/meta.ts';
import { uplink } from '../../../appliance/resources/uplink.ts';
import { virtualMachine } from '../../../appliance/resources/virtual-machine.ts';
import { editObject } from '../../../appliance/store/edit.ts';
import type { ResourceStore } from '../../../appliance/store/store.ts';
import { ChangeQuery, strict } from '../../schemas/common.ts';
import { ImageCreate, NetworkCreate, PoolCreate, VolumeCreate } from '../../schemas/objects.ts';
import { UplinkCreate } from '../../schemas/uplinks.ts';
import { VmCreate } from '../../schemas/vm.ts';
import { admit } from '../admission.ts';
import type { Server } from '../context.ts';
import { defaultProject } from '../lookup.ts';
import { checkInput } from '../plugins/validation.ts';
import { matchersOf } from '../projections/instancetypes.ts';
import { patchVm } from '../projections/vm-changes.ts';
import { projectImage, projectNetwork, projectPool, projectUplink, projectVolume } from '../projections/objects.ts';
import { uncaptured, viewVm } from '../views.ts';
import { createImage, refuseFileOfBox } from './images.ts';
import { checkNetworkSpec, createNetwork } from './networks.ts';
import { createPool } from './pools.ts';
import { changeUplink, createUplink } from './uplinks.ts';
import { createVm } from './vms.ts';
import { createVolume } from './volumes.ts';

type Json = Record<string, unknown>;
type Outcome = { kind: string; name: string; project?: string; result: 'created' | 'changed' | 'unchanged' };

/** Kinds a manifest may have: what belongs to people, not what the box derives from it. */
const manifestKinds: readonly Kind[] = [
  virtualMachine,
  network,
  uplink,
  image,
  dataVolume,
  storagePool,
  clusterInstancetype,
  instancetype,
  clusterPreference,
  preference,
];

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);
const same = (a: unknown, b: unknown): boolean => JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
const sorted = (value: unknown): unknown =>
  Array.isArray(value)
    ? value.map(sorted)
    : isObject(value)
      ? Object.fromEntries(
          Object.keys(value)
            .sort()
            .map((key) => [key, sorted(value[key])]),
        )
      : value;

async function applyManifest(
  { store, principal }: Pick<FastifyRequest, 'store' | 'principal'>,
  document: Json,
  project: string,
): Promise<Outcome> {
  const kind = manifestKinds.find((candidate) => candidate.kind === document.kind);
  if (!kind)
    throw new CroftError(
      'invalid-input',
      `kind: ${JSON.stringify(document.kind)} cannot be applied; there are ${manifestKinds.map((one) => one.kind).join(', ')}.`,
    );
  if (document.apiVersion !== kind.apiVersion) {
    throw new CroftError(
      'invalid-input',
      `apiVersion: ${JSON.stringify(document.apiVersion)} must be ${kind.apiVersion} for a ${kind.kind}.`,
    );
  }
  if (!isObject(document.metadata) || typeof document.metadata.name !== 'string') {
    throw new CroftError('invalid-input', `metadata.name: is missing in a ${kind.kind}.`);
  }
  const given = document.metadata as ObjectMeta;
  const namespace = kind.namespaced ? (given.namespace ?? project) : undefined;
  const about = { kind: kind.kind, name: given.name, project: namespace };
  const before = await store.get(kind, given.name, namespace);
  const wished = { ...document, metadata: { ...given, namespace } } as unknown as Resource;
  await admit({ store, principal }, kind, wished, before);
  let isChanged = false;
  if (!before) {
    const { labels, annotations } = given;
    const metadata = { name: given.name, namespace, annotations, labels: { ...labels, [idLabel]: labels?.[idLabel] ?? newId() } };
    await store.create(kind, { metadata, spec: document.spec } as Parameters<typeof store.create>[1]);
    return { ...about, result: 'created' };
  }
  await editObject(store, kind, { name: given.name, namespace }, (draft) => {
    draft.spec = document.spec as never;
    if (given.labels) draft.metadata.labels = { ...draft.metadata.labels, ...given.labels, ...idOf(draft) };
    if (given.annotations) draft.metadata.annotations = { ...draft.metadata.annotations, ...given.annotations };
    isChanged = !same(draft, before);
    return isChanged ? undefined : false;
  });
  return { ...about, result: isChanged ? 'changed' : 'unchanged' };
}

/** The id is given once. */
const idOf = (object: Resource): Record<string, string> => {
  const id = object.metadata.labels?.[idLabel];
  return id === undefined ? {} : { [idLabel]: id };
};

/** A flat kind: its request's schema, what it looks like, how it is made and which of its fields may change. */
type FlatKind = {
  schema: TSchema;
  find: (
    store: ResourceStore,
    name: string,
    project: string,
  ) => Promise<{ view: Json; change?: (wish: Json) => Promise<void> } | undefined>;
  create: (store: ResourceStore, body: never, project: string) => Promise<unknown>;
};

/** A change of some spec fields that the wish names. */
function changeSpec<K extends Kind>(
  store: ResourceStore,
  kind: K,
  object: Of<K>,
  check: (spec: Of<K>['spec']) => void = () => undefined,
  change: (draft: Of<K>, fields: Json) => void = (draft, fields) => {
    draft.spec = { ...(draft.spec as object), ...fields } as Of<K>['spec'];
  },
) {
  return async ({ labels, ...fields }: Json): Promise<void> => {
    await editObject(store, kind, object.metadata, (draft) => {
      change(draft, fields);
      check(draft.spec);
      if (isObject(labels)) draft.metadata.labels = { ...(labels as Record<string, string>), ...idOf(draft) };
    });
  };
}

const flatKinds: Record<string, FlatKind> = {
  vm: {
    schema: VmCreate,
    create: createVm,
    find: async (store, name, project) => {
      const vm = await store.get(virtualMachine, name, project);
      if (!vm) return undefined;
      const changeable = new Set([
        'cpus',
        'memory',
        'size',
        'machine',
        'kernelBoot',
        'runStrategy',
        'startOrder',
        'nics',
        'labels',
      ]);
      return {
        view: await viewVm(store, vm),
        change: async (wish) => {
          const fixed = Object.keys(wish).filter((field) => !changeable.has(field));
          if (fixed.length > 0) throw fixedFields('vm', name, fixed);
          const nics = Array.isArray(wish.nics)
            ? wish.nics.filter(isObject).map(({ name: nic, network: to }) => ({ name: nic, network: to }))
            : undefined;
          const patch = { ...wish, ...(nics ? { nics } : {}) } as Parameters<typeof patchVm>[1];
          const { instancetype: type } = await matchersOf(store, { size: patch.size }, project);
          const types = await uncaptured(store, vm);
          await editObject(store, virtualMachine, vm.metadata, (draft) => patchVm(draft, patch, { type, types }));
        },
      };
    },
  },
  image: {
    schema: ImageCreate,
    create: createImage,
    find: async (store, name) => {
      const found = await store.get(image, name);
      return found && { view: projectImage(found) };
    },
  },
  network: {
    schema: NetworkCreate,
    create: createNetwork,
    find: async (store, name) => {
      const found = await store.get(network, name);
      return found && { view: projectNetwork(found), change: changeSpec(store, network, found, checkNetworkSpec) };
    },
  },
  uplink: {
    schema: UplinkCreate,
    create: createUplink,
    find: async (store, name) => {
      const found = await store.get(uplink, name);
      return found && { view: projectUplink(found), change: changeSpec(store, uplink, found, undefined, changeUplink) };
    },
  },
  pool: {
    schema: PoolCreate,
    create: createPool,
    find: async (store, name) => {
      const found = await store.get(storagePool, name);
      return found && { view: projectPool(found) };
    },
  },
  volume: {
    schema: VolumeCreate,
    create: createVolume,
    find: async (store, name, project) => {
      const found: DataVolume | undefined = await store.get(dataVolume, name, project);
      return found && { view: projectVolume({ dataVolume: found }) };
    },
  },
};

const fixedFields = (kind: string, name: string, fields: string[]): CroftError =>
  new CroftError(
    'invalid-input',
    `${kind} ${name}: ${fields.join(', ')} cannot be changed by apply; make it anew, or use its own route.`,
  );

async function applyFlat(store: ResourceStore, document: Json, project: string): Promise<Outcome> {
  const { kind: kindName, ...body } = document;
  const kind = typeof kindName === 'string' ? flatKinds[kindName] : undefined;
  if (!kind || typeof kindName !== 'string') {
    throw new CroftError(
      'invalid-input',
      `kind: ${JSON.stringify(kindName)} cannot be applied; there are ${Object.keys(flatKinds).join(', ')}, and manifests with apiVersion.`,
    );
  }
  const { name } = body;
  if (typeof name !== 'string') throw new CroftError('invalid-input', `name: is missing in a ${kindName}.`);
  const where = typeof body.project === 'string' ? body.project : project;
  const about = { kind: kindName, name, ...(kindName === 'vm' || kindName === 'volume' ? { project: where } : {}) };
  const found = await kind.find(store, name, where);
  if (!found) {
    checkInput(kind.schema, body);
    await kind.create(store, body as never, where);
    return { ...about, result: 'created' };
  }
  // What `show` printed and nobody touched says nothing: read-only fields too.
  const wish = Object.fromEntries(
    Object.entries(body).filter(([field, value]) => field !== 'project' && !same(value, found.view[field])),
  );
  if (Object.keys(wish).length === 0) return { ...about, result: 'unchanged' };
  if (!found.change) throw fixedFields(kindName, name, Object.keys(wish));
  checkInput(kind.schema, { ...requiredOf(kind.schema, found.view), ...wish, name });
  await found.change(wish);
  return { ...about, result: 'changed' };
}

/** What the schema asks for and the object has: a partial document is checked as if it were whole. */
const requiredOf = (schema: TSchema, view: Json): Json =>
  Object.fromEntries(((schema as { required?: string[] }).required ?? []).map((field) => [field, view[field]]));

/** Kinds that their own routes keep to administrators. */
const ofAdmin: ReadonlySet<unknown> = new Set(['pool', storagePool.kind, 'uplink', uplink.kind]);

export function applyRoutes(app: Server): void {
  const One = Type.Object({}, { additionalProperties: true });
  app.post('/v1/apply', {
    config: { permission: 'operator' },
    schema: {
      summary: 'Create or change what the documents describe',
      querystring: Type.Object({ ...ChangeQuery }, strict),
      body: Type.Union([Type.Array(One, { minItems: 1, maxItems: 500 }), One]),
      response: {
        200: Type.Object({
          items: Type.Array(
            Type.Object({
              kind: Type.String(),
              name: Type.String(),
              project: Type.Optional(Type.String()),
              result: Type.String(),
            }),
          ),
        }),
      },
    },
    handler: async ({ store, body, query, principal }) => {
      const documents = (Array.isArray(body) ? body : [body]) as Json[];
      const project = query.project ?? defaultProject;
      const items: Outcome[] = [];
      for (const document of documents) {
        if (ofAdmin.has(document.kind) && principal?.role !== 'admin') {
          throw new CroftError('forbidden', 'Pools and uplinks need the role admin.');
        }
        if (document.kind === 'image') refuseFileOfBox(principal, document.source);
        const outcome =
          document.apiVersion === undefined
            ? applyFlat(store, document, project)
            : applyManifest({ store, principal }, document, project);
        items.push(await outcome);
      }
      return { items };
    },
  });
}
