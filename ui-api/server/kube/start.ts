/** The Kubernetes face of a box in a cluster: its listener for the API server, and the objects that lead there. */
import { aggregatedHost, readClusterFacts, registerApiService } from '../../../appliance/cluster/api-service.ts';
import type { Logger } from '../../../appliance/host/logger.ts';
import { selfSigned } from '../../../appliance/host/self-signed.ts';
import { listenForFrontProxy } from './front-proxy.ts';
import { subresourceGroup, subresourceVersions, type SubresourceContext } from './subresources.ts';

export type KubeFaceOptions = { kubeconfig: string; nodeName: string; context: SubresourceContext; logger: Logger };

/** Beside the API's 8440; only kube-apiserver's own certificate gets in. */
const facePort = 8447;
const day = 24 * 3600_000;
/** A new key and certificate at each start; a service that runs longer than this without a restart has other trouble. */
const lifetime = 3 * 365 * day;

/** @throws CroftError `unavailable` without aggregation, `in-use` */
export async function startKubeFace({
  kubeconfig,
  nodeName,
  context,
  logger,
}: KubeFaceOptions): Promise<{ close: () => Promise<void> }> {
  const { address, requestHeader } = await readClusterFacts(kubeconfig, nodeName);
  const now = Date.now();
  const tls = selfSigned({
    commonName: aggregatedHost,
    names: [{ type: 'dns', value: aggregatedHost }],
    notBefore: new Date(now - day),
    notAfter: new Date(now + lifetime),
  });
  const listener = await listenForFrontProxy({ host: address, port: facePort, tls, requestHeader, context, logger });
  try {
    await registerApiService({
      kubeconfig,
      address,
      port: listener.port,
      ca: tls.cert,
      group: subresourceGroup,
      versions: subresourceVersions,
    });
  } catch (error) {
    await listener.close();
    throw error;
  }
  return listener;
}
