/** Trust on first use: which certificate a host shows, asked of the person once, pinned afterwards. */
import { connect } from 'node:tls';
import { Unreachable } from '../client/problem.ts';

export type ShownCertificate = {
  fingerprint: string;
  pem: string /** True when the system already trusts it for this host. */;
  trusted: boolean;
};

/** ms for the handshake. */
const patience = 10_000;

/** Shakes hands and says nothing. @throws Unreachable */
export function shownCertificate(baseUrl: string): Promise<ShownCertificate> {
  const url = new URL(baseUrl);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return new Promise((resolve, reject) => {
    // Nothing is sent over this connection: it only shows the certificate.
    const socket = connect({
      host,
      port: Number(url.port || 443),
      servername: /^[\d.:]+$/.test(host) ? undefined : host,
      rejectUnauthorized: false,
    });
    socket.setTimeout(patience, () => socket.destroy(new Error('no answer in time')));
    socket.once('error', (error) => reject(new Unreachable(baseUrl, error)));
    socket.once('secureConnect', () => {
      const { fingerprint256, raw } = socket.getPeerCertificate();
      const pem = `-----BEGIN CERTIFICATE-----\n${raw.toString('base64').replaceAll(/(.{64})/g, '$1\n')}\n-----END CERTIFICATE-----\n`;
      resolve({ fingerprint: fingerprint256, pem, trusted: socket.authorized });
      socket.destroy();
    });
  });
}
