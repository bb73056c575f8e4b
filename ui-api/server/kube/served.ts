/**
 * The kinds that the solo face serves: the registry's, with the roles that `/v1` asks for the same. A table; routes,
 * discovery and OpenAPI are made from it.
 */
import { secret } from '../../../appliance/resources/core-kinds.ts';
import { node, storagePool, token, user } from '../../../appliance/resources/croft-kinds.ts';
import { Type } from 'typebox';
import { defineKind, type Kind } from '../../../appliance/resources/kind.ts';
import { fence } from '../../../appliance/resources/peer-kinds.ts';
import { kinds } from '../../../appliance/resources/registry.ts';
import { uplink } from '../../../appliance/resources/uplink.ts';
import type { Permission } from '../context.ts';

export type Served = {
  kind: Kind;
  /** '' for core. */
  group: string;
  version: string;
  singular: string;
  categories: readonly string[];
  read: Permission;
  /** Absent: written through `/v1` only, or by the box itself. */
  write: Permission | undefined;
};

type Roles = Pick<Served, 'read' | 'write'>;

const special = new Map<Kind, Roles>([
  // Viewers read no secrets, as in Kubernetes' own role `view`.
  [secret, { read: 'operator', write: 'operator' }],
  [storagePool, { read: 'viewer', write: 'admin' }],
  [uplink, { read: 'viewer', write: 'admin' }],
  // Passwords and tokens' secrets come and go with them, which only /v1 does.
  [user, { read: 'admin', write: undefined }],
  [token, { read: 'admin', write: undefined }],
  [node, { read: 'viewer', write: undefined }],
  [fence, { read: 'viewer', write: undefined }],
]);

function servedAs(kind: Kind): Served {
  const [group, version] = kind.apiVersion.includes('/')
    ? (kind.apiVersion.split('/') as [string, string])
    : ['', kind.apiVersion];
  return {
    kind,
    group,
    version,
    singular: kind.kind.toLowerCase(),
    categories: group === 'kubevirt.io' ? ['all'] : [],
    ...(special.get(kind) ?? { read: 'viewer', write: 'operator' }),
  };
}

export const served: readonly Served[] = (kinds as readonly Kind[]).map(servedAs);

/** Not in the store (derived.ts), but described as the others are: kubectl wants to know a kind that it writes. */
export const namespaces: Served = {
  ...servedAs(
    defineKind({
      apiVersion: 'v1',
      kind: 'Namespace',
      plural: 'namespaces',
      shortNames: ['ns'],
      namespaced: false,
      home: 'core',
      spec: Type.Object({}),
      status: Type.Object({}),
    }),
  ),
};

/** Status is a subresource of ours; of core kinds it is the box's alone. */
export const hasStatus = ({ kind, write }: Served): boolean => kind.home === 'ours' && write !== undefined;

/** `/apis/kubevirt.io/v1`, `/api/v1`. */
export const rootOf = ({ group, version }: Pick<Served, 'group' | 'version'>): string =>
  group === '' ? `/api/${version}` : `/apis/${group}/${version}`;

/** The groups with their versions, in the registry's order, core first. */
export function groupVersions(): { group: string; version: string; kinds: Served[] }[] {
  const found = Map.groupBy(served, ({ group, version }) => `${group}/${version}`);
  return [...found.values()]
    .map((of) => ({ group: (of[0] as Served).group, version: (of[0] as Served).version, kinds: of }))
    .toSorted((a, b) => Number(a.group !== '') - Number(b.group !== ''));
}

export const verbsOf = ({ write }: Served): string[] =>
  write === undefined
    ? ['get', 'list', 'watch']
    : ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];
