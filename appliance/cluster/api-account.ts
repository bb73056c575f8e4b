/**
 * The account under which the API, a process of its own on the appliance, reaches the cluster. It may do what its
 * routes do and no more: Croft's kinds, Secrets, and the objects that lead kubectl to it. Nothing of pods, nodes'
 * specs or roles. Its token lives a month and is renewed by the box each day; a client re-reads it from its file.
 */
import { chmod, chown, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { stringify } from 'yaml';
import { writeFileAtomic } from '../host/files.ts';
import type { Logger } from '../host/logger.ts';
import { systemNamespace } from '../resources/core-kinds.ts';
import { customKinds } from '../store/crds.ts';
import { readKubeconfig } from '../store/kubeconfig.ts';
import { applyObject, createKubeClient, type KubeClient } from '../store/kubernetes-client.ts';

const accountName = 'croft-api';
/** Seconds a token is good for. */
const tokenLife = 30 * 24 * 3600;
/** ms between renewals. */
const renewEvery = 24 * 3600_000;

const change = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection'];

/** What the API's account may do. Pure. */
export function apiAccountRules() {
  const groups = new Map<string, string[]>();
  for (const kind of customKinds()) {
    const group = kind.apiVersion.split('/')[0] as string;
    groups.set(group, [...(groups.get(group) ?? []), kind.plural, `${kind.plural}/status`]);
  }
  return [
    ...[...groups].map(([group, resources]) => ({ apiGroups: [group], resources, verbs: change })),
    {
      apiGroups: [''],
      resources: ['secrets', 'configmaps', 'persistentvolumeclaims', 'persistentvolumeclaims/status', 'services'],
      verbs: change,
    },
    { apiGroups: [''], resources: ['namespaces', 'nodes', 'pods', 'events'], verbs: ['get', 'list', 'watch'] },
    { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: change },
    // The API server asks for it where an EndpointSlice names an address itself.
    { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices/restricted'], verbs: ['create'] },
    { apiGroups: ['apiregistration.k8s.io'], resources: ['apiservices'], verbs: ['get', 'create', 'patch', 'update'] },
    { apiGroups: ['authorization.k8s.io'], resources: ['subjectaccessreviews'], verbs: ['create'] },
  ];
}

export type ApiAccountOptions = {
  /** The administrator's kubeconfig. */
  admin: string;
  /** The kubeconfig to write; the token is beside it. */
  target: string;
  owner: { uid: number; gid: number };
  logger: Logger;
};

/**
 * Makes the account, writes its kubeconfig, and keeps its token fresh until `stop`.
 * @throws CroftError `unavailable` when the cluster does not answer
 */
export async function keepApiAccount({ admin, target, owner, logger }: ApiAccountOptions): Promise<{ stop(): Promise<void> }> {
  const client = createKubeClient(admin);
  const token = join(dirname(target), 'token');
  try {
    await makeAccount(client);
    await mkdir(dirname(target), { recursive: true });
    await chmod(dirname(target), 0o711);
    await writeToken(client, token, owner);
    await writeOwned(target, kubeconfigText(admin, token), owner);
  } catch (error) {
    client.close();
    throw error;
  }
  const timer = setInterval(() => {
    writeToken(client, token, owner).catch((error: unknown) => logger.warn({ err: error }, 'the API’s token was not renewed'));
  }, renewEvery);
  return {
    stop: async () => {
      clearInterval(timer);
      client.close();
    },
  };
}

async function makeAccount(client: KubeClient): Promise<void> {
  const rbac = '/apis/rbac.authorization.k8s.io/v1';
  const roleName = `croft:${accountName}`;
  await applyObject(client, `/api/v1/namespaces/${systemNamespace}/serviceaccounts`, {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: accountName },
  });
  const rules = apiAccountRules();
  const role = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name: roleName }, rules };
  await applyObject(client, `${rbac}/clusterroles`, role);
  await applyObject(client, `${rbac}/clusterrolebindings`, {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: roleName },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: roleName },
    subjects: [{ kind: 'ServiceAccount', name: accountName, namespace: systemNamespace }],
  });
}

async function writeToken(client: KubeClient, path: string, owner: ApiAccountOptions['owner']): Promise<void> {
  const { status } = await client.send<{ status: { token: string } }>({
    method: 'POST',
    path: `/api/v1/namespaces/${systemNamespace}/serviceaccounts/${accountName}/token`,
    body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: tokenLife } },
    about: `token of ${accountName}`,
  });
  await writeOwned(path, status.token, owner);
}

function kubeconfigText(admin: string, token: string): string {
  const { server, ca } = readKubeconfig(admin);
  const name = 'croft';
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': name,
    clusters: [{ name, cluster: { server, ...(ca ? { 'certificate-authority-data': ca.toString('base64') } : {}) } }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    // Read anew by each request, so that a renewed token is taken up.
    users: [{ name, user: { 'auth-provider': { name: 'tokenFile', config: { tokenFile: token } } } }],
  });
}

async function writeOwned(path: string, text: string, { uid, gid }: ApiAccountOptions['owner']): Promise<void> {
  await writeFileAtomic(path, text, 0o400);
  await chown(path, uid, gid);
}
