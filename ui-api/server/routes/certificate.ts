/** /v1/node/certificate: the box's TLS certificate; a new one is served from the next connection on. */
import { Type } from 'typebox';
import { parseListen, pathsOf } from '../../../appliance/config.ts';
import { Certificate as CertificateOut, CertificateBody } from '../../schemas/certificate.ts';
import { strict } from '../../schemas/common.ts';
import { certificateFacts, makeCertificate, readCertificate, replaceCertificate, type Certificate } from '../certificate.ts';
import type { AppContext, Server } from '../context.ts';

export function certificateRoutes(app: Server, { config, onCertificate }: AppContext): void {
  const path = '/v1/node/certificate';
  const { keys } = pathsOf(config);
  const { host, loopback } = parseListen(config.listen);
  const querystring = Type.Object({}, strict);

  const shown = (certificate: Certificate | undefined) => ({
    kind: 'certificate' as const,
    served: !loopback,
    names: [],
    ...(certificate ? certificateFacts(certificate.cert) : {}),
  });
  const serve = (certificate: Certificate) => {
    for (const listener of onCertificate) listener(certificate);
    return shown(certificate);
  };

  app.get(path, {
    config: { permission: 'viewer' },
    schema: { summary: 'The TLS certificate of this box', querystring, response: { 200: CertificateOut } },
    handler: async () => shown(await readCertificate(keys)),
  });

  app.put(path, {
    config: { permission: 'admin', secret: true, transient: true },
    schema: {
      summary: 'Serve an own certificate from now on',
      querystring,
      body: CertificateBody,
      response: { 200: CertificateOut },
    },
    handler: async ({ body }) => serve(await replaceCertificate(keys, body)),
  });

  app.delete(path, {
    config: { permission: 'admin', transient: true },
    schema: { summary: 'Make and serve a new self-signed one', querystring, response: { 200: CertificateOut } },
    handler: async () => serve(await makeCertificate(keys, [host])),
  });
}
