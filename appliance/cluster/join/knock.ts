/** The new box's side of the one request: it speaks only to a certificate that its token names. */
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:tls';
import { CroftError, isCroftError, messageOf } from '../../errors.ts';
import type { JoinRequest } from './preflight.ts';
import type { JoinAnswer, JoinReply } from './server.ts';
import type { JoinToken } from './token.ts';

const timeout = 15_000;

/** Asks the boxes of the token one after the other. @throws CroftError `unavailable`, `forbidden`, `invalid-state` with the fixes */
export async function knock(token: JoinToken, request: Omit<JoinRequest, 'time'>): Promise<JoinAnswer> {
  const silent: string[] = [];
  for (const box of token.boxes) {
    let reply: JoinReply;
    try {
      const { id, secret } = token;
      reply = await post(box, () => JSON.stringify({ id, secret, request: { ...request, time: Date.now() } }));
    } catch (error) {
      // A box that isn't who it should be is no reason to try harder elsewhere with the same secret.
      if (isCroftError(error, 'forbidden')) throw error;
      silent.push(`${box.address}: ${messageOf(error)}`);
      continue;
    }
    if ('answer' in reply) return reply.answer;
    if ('error' in reply)
      throw new CroftError('forbidden', reply.error, { fix: ['Make a new token with `croft node join-token`.'] });
    throw new CroftError('invalid-state', reply.problems.map(({ problem }) => problem).join(' '), {
      fix: reply.problems.map(({ fix }) => fix),
    });
  }
  throw new CroftError('unavailable', `No box of the cluster answers (${silent.join('; ')}).`);
}

/** The secret is sent only once the certificate has been compared; the time is that of sending. */
function post({ address, port, fingerprint }: JoinToken['boxes'][number], body: () => string): Promise<JoinReply> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port, rejectUnauthorized: false, minVersion: 'TLSv1.3' });
    socket.setTimeout(timeout, () => socket.destroy(new Error('no answer in time')));
    socket.once('error', reject);
    socket.once('secureConnect', () => {
      const shown = socket.getPeerX509Certificate()?.fingerprint256.replaceAll(':', '').toLowerCase();
      if (shown !== fingerprint) {
        socket.destroy();
        reject(
          new CroftError('forbidden', `${address}:${port} is not the box that the token names: its certificate is another.`),
        );
        return;
      }
      const sent = httpsRequest({ createConnection: () => socket, method: 'POST', path: '/join', host: address }, (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += String(chunk)));
        response.once('error', reject);
        response.once('end', () => {
          socket.destroy();
          try {
            resolve(JSON.parse(text) as JoinReply);
          } catch {
            reject(new Error('it answered no JSON'));
          }
        });
      });
      sent.once('error', reject);
      sent.end(body());
    });
  });
}
