/** The product's K3s on a lab node, with what only this machine asks for: cgroup v1 and a cgroup root of the node's own. */
import { join } from 'node:path';
import type { K3sPlan } from '../../appliance/cluster/k3s-config.ts';
import { K3s } from '../../appliance/cluster/k3s.ts';
import { silentLogger } from '../../appliance/host/logger.ts';
import type { LabNode } from './lab-node.ts';

/** Two calls for one node make two supervisors of one k3s, as a restarted croftd does. */
export const labK3s = (node: LabNode, plan: Pick<K3sPlan, 'role' | 'nodeName'> & Partial<K3sPlan>): K3s =>
  new K3s({
    binary: join(node.directory, 'bin/k3s'),
    configFile: join(node.directory, 'etc/config.yaml'),
    runDir: join(node.directory, 'run'),
    supervisor: 'process',
    cgroupRoot: node.cgroupRoot,
    enter: node.enter,
    logger: silentLogger(),
    plan: {
      nodeIp: node.ip,
      dataDir: join(node.directory, 'k3s'),
      kubeconfig: join(node.directory, 'etc/k3s.yaml'),
      kubeletArgs: ['fail-cgroupv1=false', `cgroup-root=${node.cgroupRoot}`],
      ...plan,
    },
  });

/** The body of a GET from inside the node's namespaces, within 3 s. */
export async function getInside(node: LabNode, url: string): Promise<string> {
  const code = `fetch(${JSON.stringify(url)}, { signal: AbortSignal.timeout(3000) }).then(async (r) => console.log(await r.text()))`;
  return (await node.run([process.execPath, '-e', code])).stdout.trim();
}

/** Says how long `work` took. */
export async function timed<T>(what: string, work: () => Promise<T>): Promise<T> {
  const start = performance.now();
  const result = await work();
  console.log(`${what}: ${((performance.now() - start) / 1000).toFixed(1)} s`);
  return result;
}
