/**
 * Makes kube-apiserver serve `subresources.kubevirt.io` from this box: an APIService that leads to a Service without a
 * selector, whose one endpoint is the box's own address. With several boxes the last to start serves; the objects are
 * written anew at each start.
 */
import { CroftError } from '../errors.ts';
import { systemNamespace } from '../resources/core-kinds.ts';
import { applyObject, createKubeClient } from '../store/kubernetes-client.ts';

export const aggregatedService = 'croft-subresources';
/** The name that the API server expects in the certificate. */
export const aggregatedHost = `${aggregatedService}.${systemNamespace}.svc`;

export type ClusterFacts = {
  /** The node's address in the cluster. */
  address: string;
  requestHeader: { ca: string; allowedNames: string[] };
};

type ConfigMap = { data?: Record<string, string> };
type NodeObject = { status?: { addresses?: { type: string; address: string }[] } };

/** @throws CroftError `unavailable` when the cluster has no aggregation or doesn't know this node */
export async function readClusterFacts(kubeconfig: string, nodeName: string): Promise<ClusterFacts> {
  const client = createKubeClient(kubeconfig);
  try {
    const node = await client.send<NodeObject>({ path: `/api/v1/nodes/${nodeName}`, about: `Node ${nodeName}` });
    const address = node.status?.addresses?.find(({ type }) => type === 'InternalIP')?.address;
    if (address === undefined) throw new CroftError('unavailable', `Node ${nodeName} has no InternalIP.`);
    const path = '/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication';
    const { data = {} } = await client.send<ConfigMap>({ path, about: 'the request-header CA' });
    const ca = data['requestheader-client-ca-file'];
    if (!ca) throw new CroftError('unavailable', 'The API server has no request-header CA: aggregation is off.');
    return { address, requestHeader: { ca, allowedNames: JSON.parse(data['requestheader-allowed-names'] ?? '[]') as string[] } };
  } finally {
    client.close();
  }
}

export type Registration = {
  kubeconfig: string;
  address: string;
  port: number /** PEM. */;
  ca: string;
  group: string;
  versions: readonly string[];
};

/** Idempotent. */
export async function registerApiService({ kubeconfig, address, port, ca, group, versions }: Registration): Promise<void> {
  const client = createKubeClient(kubeconfig);
  const core = `/api/v1/namespaces/${systemNamespace}`;
  try {
    await applyObject(client, `${core}/services`, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: aggregatedService },
      spec: { ports: [{ name: 'https', port: 443, targetPort: port, protocol: 'TCP' }] },
    });
    await applyObject(client, `/apis/discovery.k8s.io/v1/namespaces/${systemNamespace}/endpointslices`, {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: aggregatedService, labels: { 'kubernetes.io/service-name': aggregatedService } },
      addressType: address.includes(':') ? 'IPv6' : 'IPv4',
      endpoints: [{ addresses: [address], conditions: { ready: true } }],
      ports: [{ name: 'https', port, protocol: 'TCP' }],
    });
    for (const [index, version] of versions.entries()) {
      await applyObject(client, '/apis/apiregistration.k8s.io/v1/apiservices', {
        apiVersion: 'apiregistration.k8s.io/v1',
        kind: 'APIService',
        metadata: { name: `${version}.${group}` },
        spec: {
          group,
          version,
          groupPriorityMinimum: 1000,
          versionPriority: 20 - index,
          service: { name: aggregatedService, namespace: systemNamespace, port: 443 },
          caBundle: Buffer.from(ca).toString('base64'),
        },
      });
    }
  } finally {
    client.close();
  }
}
