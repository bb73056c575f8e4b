/** What there is: plain lists, and aggregated discovery (KEP-3352) for clients that ask for it. Pure. */
import { subresourceGroup, subresourceResources, subresourceVersions } from './subresources.ts';
import { groupVersions, hasStatus, verbsOf, type Served } from './served.ts';

/** A resource as `APIResourceList` has it. */
type Listed = {
  name: string;
  singularName: string;
  namespaced: boolean;
  kind: string;
  verbs: string[];
  shortNames?: readonly string[];
  categories?: readonly string[];
};
type Version = { group: string; version: string; resources: Listed[] };

const listed = (of: Served): Listed[] => {
  const { kind, singular, categories } = of;
  const main: Listed = {
    name: kind.plural,
    singularName: singular,
    namespaced: kind.namespaced,
    kind: kind.kind,
    verbs: verbsOf(of),
    ...(kind.shortNames.length > 0 ? { shortNames: kind.shortNames } : {}),
    ...(categories.length > 0 ? { categories } : {}),
  };
  const status: Listed = { ...main, name: `${kind.plural}/status`, singularName: '', verbs: ['get', 'patch', 'update'] };
  delete status.shortNames;
  delete status.categories;
  return hasStatus(of) ? [main, status] : [main];
};

/** Not in the store: projects are what objects are in, events are the box's own. */
const derived: Listed[] = [
  {
    name: 'namespaces',
    singularName: 'namespace',
    namespaced: false,
    kind: 'Namespace',
    verbs: ['create', 'get', 'list', 'patch'],
    shortNames: ['ns'],
  },
  { name: 'events', singularName: 'event', namespaced: true, kind: 'Event', verbs: ['list'], shortNames: ['ev'] },
];

const versions: readonly Version[] = [
  ...groupVersions().map(({ group, version, kinds }) => ({
    group,
    version,
    resources: [...kinds.flatMap(listed), ...(group === '' ? derived : [])],
  })),
  ...subresourceVersions.map((version) => ({ group: subresourceGroup, version, resources: subresourceResources })),
];

const groupVersionOf = ({ group, version }: Version): string => (group === '' ? version : `${group}/${version}`);
const groups = Map.groupBy(versions, ({ group }) => group);

function apiGroup(group: string) {
  const of = (groups.get(group) ?? []).map((one) => ({ groupVersion: groupVersionOf(one), version: one.version }));
  return { name: group, versions: of, preferredVersion: of[0] };
}

/** `/apis/<group>/<version>` and `/api/v1`. */
export const resourceLists = versions.map((one) => ({
  path: one.group === '' ? `/api/${one.version}` : `/apis/${groupVersionOf(one)}`,
  answer: { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: groupVersionOf(one), resources: one.resources },
}));

const named = [...groups.keys()].filter((group) => group !== '');
/** `/apis/<group>`. */
export const groupAnswers = named.map((group) => ({
  path: `/apis/${group}`,
  answer: { kind: 'APIGroup', apiVersion: 'v1', ...apiGroup(group) },
}));
export const groupList = { kind: 'APIGroupList', apiVersion: 'v1', groups: named.map(apiGroup) };
export const coreVersions = { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [] };

export const aggregatedType = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';
export const wantsAggregated = (accept: string | undefined): boolean =>
  (accept ?? '').split(',').some((wish) => wish.includes('as=APIGroupDiscoveryList') && /;v=v2(;|$)/.test(wish.trim()));

function aggregatedVersion({ group, version, resources }: Version) {
  const responseKind = (kind: string) => ({ group, version, kind });
  const below = Map.groupBy(
    resources.filter(({ name }) => name.includes('/')),
    ({ name }) => name.split('/')[0] as string,
  );
  const mains = resources.filter(({ name }) => !name.includes('/'));
  const known = new Set(mains.map(({ name }) => name));
  // Of subresources.kubevirt.io: the objects themselves are another group's.
  const withoutOwn = [...below.keys()]
    .filter((name) => !known.has(name))
    .map((name): Listed => ({ name, singularName: '', namespaced: true, kind: '', verbs: [] }));
  return {
    version,
    freshness: 'Current',
    resources: [...mains, ...withoutOwn].map((main) => ({
      resource: main.name,
      responseKind: main.kind === '' ? null : responseKind(main.kind),
      singularResource: main.singularName,
      scope: main.namespaced ? 'Namespaced' : 'Cluster',
      verbs: main.verbs,
      ...(main.shortNames ? { shortNames: main.shortNames } : {}),
      ...(main.categories ? { categories: main.categories } : {}),
      subresources: (below.get(main.name) ?? []).map(({ name, kind, verbs }) => ({
        subresource: name.split('/').slice(1).join('/'),
        responseKind: kind === '' ? null : responseKind(kind),
        verbs,
      })),
    })),
  };
}

/** For `/api` (core) and `/apis` (all else). */
export const aggregated = (core: boolean) => ({
  kind: 'APIGroupDiscoveryList',
  apiVersion: 'apidiscovery.k8s.io/v2',
  metadata: {},
  items: [...groups]
    .filter(([group]) => (group === '') === core)
    .map(([group, of]) => ({ metadata: { name: group }, versions: of.map(aggregatedVersion) })),
});
