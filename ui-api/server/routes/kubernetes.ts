/** /v1/kubernetes: where kubectl finds a box without Kubernetes, and by which certificate it knows it. */
import { X509Certificate } from 'node:crypto';
import { parseListen, pathsOf } from '../../../appliance/config.ts';
import { CroftError } from '../../../appliance/errors.ts';
import { Kubernetes } from '../../schemas/kubernetes.ts';
import type { AppContext, Server } from '../context.ts';

/** `DNS:localhost, IP Address:127.0.0.1` → the names. */
const namesIn = (alternatives: string | undefined): string[] =>
  (alternatives ?? '').split(', ').flatMap((entry) => (entry === '' ? [] : [entry.slice(entry.indexOf(':') + 1)]));

export function kubernetesRoutes(app: Server, { config }: AppContext): void {
  app.get('/v1/kubernetes', {
    config: { permission: 'viewer' },
    schema: { summary: 'Where kubectl finds this box', response: { 200: Kubernetes } },
    handler: async () => {
      if (config.store === 'kubernetes') {
        throw new CroftError(
          'invalid-state',
          `This box is on Kubernetes: use that cluster's own kubeconfig, ${config.kubeconfig}.`,
        );
      }
      const listen = parseListen(config.listen);
      const { ensureCertificate } = await import('../certificate.ts');
      const { cert } = await ensureCertificate(pathsOf(config).keys, [listen.host]);
      const { host, port } = app.croft.address ?? listen;
      const named = ['0.0.0.0', '::'].includes(host) ? '127.0.0.1' : host;
      return {
        kind: 'kubernetes' as const,
        server: `https://${named.includes(':') ? `[${named}]` : named}:${port}`,
        ca: cert,
        names: namesIn(new X509Certificate(cert).subjectAltName),
      };
    },
  });
}
