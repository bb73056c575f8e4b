/**
 * ClusterRoles for our kinds, with upstream's names, aggregated into Kubernetes' own admin, edit and view (kubevirt
 * pkg/virt-operator/resource/generate/rbac/cluster.go): who may edit a project may run its VMs. Pure.
 */
import { customKinds } from './crds.ts';

type Rule = { apiGroups: string[]; resources: string[]; verbs: string[] };

const look = ['get', 'list', 'watch'];
const change = [...look, 'create', 'update', 'patch', 'delete', 'deletecollection'];

/** Kinds of a project, by group; kinds of the box are the cluster administrator's. */
function projectKinds(): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const kind of customKinds().filter(({ namespaced }) => namespaced)) {
    const group = kind.apiVersion.split('/')[0] as string;
    groups.set(group, [...(groups.get(group) ?? []), kind.plural]);
  }
  return groups;
}

const subresources = (resources: string[], verbs: string[]): Rule => ({
  apiGroups: ['subresources.kubevirt.io'],
  resources,
  verbs,
});
const seen = [
  ...['guestosinfo', 'userlist', 'filesystemlist', 'vnc/screenshot'].map((verb) => `virtualmachineinstances/${verb}`),
  'virtualmachines/expand-spec',
];
/** Worked out for the one who asks; nothing is kept. */
const workedOut = ['expand-vm-spec'];
const streams = ['console', 'vnc', 'portforward'].map((verb) => `virtualmachineinstances/${verb}`);
const steered = [
  ...['start', 'stop', 'restart', 'migrate', 'addvolume', 'removevolume'].map((verb) => `virtualmachines/${verb}`),
  ...['pause', 'unpause', 'softreboot', 'reset', 'freeze', 'unfreeze', 'addvolume', 'removevolume'].map(
    (verb) => `virtualmachineinstances/${verb}`,
  ),
];

const rulesFor = (verbs: string[]): Rule[] =>
  [...projectKinds()].map(([group, resources]) => ({ apiGroups: [group], resources, verbs }));

const role = (name: 'admin' | 'edit' | 'view', rules: Rule[]) => ({
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'ClusterRole',
  metadata: {
    name: `kubevirt.io:${name}`,
    labels: { 'app.kubernetes.io/managed-by': 'croft', [`rbac.authorization.k8s.io/aggregate-to-${name}`]: 'true' },
  },
  rules,
});

export function clusterRoles() {
  const steering = [
    subresources(seen, ['get']),
    subresources([...streams, 'virtualmachines/portforward'], ['get']),
    subresources([...steered, ...workedOut], ['update']),
  ];
  return [
    role('admin', [...rulesFor(change), ...steering]),
    role('edit', [...rulesFor(change), ...steering]),
    role('view', [...rulesFor(look), subresources(seen, ['get']), subresources(workedOut, ['update'])]),
  ];
}
