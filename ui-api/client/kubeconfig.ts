/** A kubeconfig for a box without Kubernetes, for the command line and the console alike. Pure. */
import type { Kubernetes } from './types.ts';

export type KubeconfigWish = {
  /** Address by which the box was reached; absent: as it sees itself. */
  reached?: string | undefined;
  token: string;
  /** Project that kubectl works in. */
  namespace: string;
};

export function kubeconfigOf({ server, ca, names }: Kubernetes, { reached, token, namespace }: KubeconfigWish) {
  const address = (reached ?? server).replace(/^http:/, 'https:');
  const host = new URL(address).hostname.replace(/^\[|\]$/g, '');
  const [known] = names.includes(host) ? [] : names;
  const cluster = {
    server: address,
    'certificate-authority-data': btoa(ca),
    // Reached by a name that the certificate doesn't have: it is asked for by one that it has.
    ...(known === undefined ? {} : { 'tls-server-name': known }),
  };
  const name = 'croft';
  return {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster }],
    users: [{ name, user: { token } }],
    contexts: [{ name, context: { cluster: name, user: name, namespace } }],
    'current-context': name,
  };
}
