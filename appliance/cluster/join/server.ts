/**
 * Where a new box knocks: HTTPS on the cluster address, with a certificate that its token names by fingerprint. One
 * request, answered with all the box needs; who has no valid token learns nothing and changes nothing.
 */
import { X509Certificate } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { Type, type Static } from 'typebox';
import { Value } from 'typebox/value';
import { CroftError, isCroftError, messageOf } from '../../errors.ts';
import { writeFileAtomic } from '../../host/files.ts';
import type { Logger } from '../../host/logger.ts';
import { selfSigned } from '../../host/self-signed.ts';
import { node } from '../../resources/croft-kinds.ts';
import type { ResourceStore } from '../../store/store.ts';
import { preflight, roleForJoin, type JoinRequest, type Problem } from './preflight.ts';
import { useToken } from './tokens.ts';

export const joinPort = 8448;

const Knock = Type.Object({
  id: Type.String({ maxLength: 100 }),
  secret: Type.String({ maxLength: 100 }),
  request: Type.Object({
    boxId: Type.String({ minLength: 8, maxLength: 100 }),
    name: Type.String({ maxLength: 100 }),
    address: Type.String({ maxLength: 100 }),
    version: Type.String({ maxLength: 100 }),
    witness: Type.Boolean(),
    time: Type.Number(),
  }),
});
export type Knock = Static<typeof Knock>;

export type JoinAnswer = {
  role: 'voter' | 'agent';
  /** `https://ADDRESS:6443` and k3s' own token. */
  k3s: { url: string; token: string };
  /** Leads to this box's API server; a voter has its own soon. */
  kubeconfig: string;
};
export type JoinReply = { answer: JoinAnswer } | { problems: Problem[] } | { error: string };

export type JoinServerOptions = {
  store: ResourceStore;
  address: string;
  /** Directory of keys. */
  keys: string;
  version: string;
  kubeconfig: string;
  /** k3s' token for nodes. @throws CroftError `unavailable` on a box that has none */
  nodeToken: () => Promise<string>;
  logger: Logger;
};

const day = 86_400_000;
const greatestBody = 16_384;

async function certificate(keys: string, address: string): Promise<{ key: string; cert: string }> {
  const path = join(keys, 'join.json');
  try {
    return JSON.parse(await readFile(path, 'utf8')) as { key: string; cert: string };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const [notBefore, notAfter] = [new Date(Date.now() - day), new Date(Date.now() + 3650 * day)];
  const made = selfSigned({ commonName: 'croft-join', names: [{ type: 'ip', value: address }], notBefore, notAfter });
  await mkdir(keys, { recursive: true });
  await writeFileAtomic(path, JSON.stringify(made), 0o600);
  return made;
}

/** SHA-256 of a PEM certificate, hex. */
export const fingerprintOf = (pem: string): string => new X509Certificate(pem).fingerprint256.replaceAll(':', '').toLowerCase();

/** @throws CroftError `in-use` when the port is taken */
export async function startJoinServer(options: JoinServerOptions): Promise<{ fingerprint: string; close: () => Promise<void> }> {
  const { address, keys, logger } = options;
  const tls = await certificate(keys, address);
  const server = createServer({ ...tls, minVersion: 'TLSv1.3', requestTimeout: 10_000 }, (request, response) => {
    answer(options, request)
      .catch((error: unknown): JoinReply => {
        if (!isCroftError(error)) logger.error({ err: error }, 'a join was not answered');
        return { error: isCroftError(error) ? error.message : 'The box could not answer; see its log.' };
      })
      .then((reply) => {
        response.writeHead('answer' in reply ? 200 : 403, { 'content-type': 'application/json' });
        response.end(JSON.stringify(reply));
      })
      .catch((error: unknown) => logger.warn({ error: messageOf(error) }, 'a box that knocked went away'));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(new CroftError('in-use', `${address}:${joinPort} cannot be listened on: ${cause.message}`)),
    );
    server.listen(joinPort, address, resolve);
  });
  return {
    fingerprint: fingerprintOf(tls.cert),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  let text = '';
  for await (const chunk of request) {
    text += String(chunk);
    if (text.length > greatestBody) throw new CroftError('too-large', 'That is no join request.');
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new CroftError('invalid-input', 'That is no join request.');
  }
}

async function answer(options: JoinServerOptions, incoming: IncomingMessage): Promise<JoinReply> {
  const { store, version, address, kubeconfig, nodeToken, logger } = options;
  const knock = await bodyOf(incoming);
  // Before anything else is waited for: the clocks are compared by it.
  const arrived = Date.now();
  if (!Value.Check(Knock, knock)) throw new CroftError('invalid-input', 'That is no join request.');
  const request: JoinRequest = knock.request;
  const repeated = await useToken(store, knock.id, knock.secret, request.boxId);
  const members = (await store.list(node, { consistent: true })).items;
  const problems = preflight(request, members, arrived, version, repeated);
  if (problems.length > 0) return { problems };
  const role = roleForJoin(members.filter(({ metadata }) => metadata.name !== request.name));
  logger.info({ box: request.name, address: request.address, role, witness: request.witness }, 'a box joins');
  const config = (await readFile(kubeconfig, 'utf8')).replace(/server: .*/, `server: https://${address}:6443`);
  return { answer: { role, k3s: { url: `https://${address}:6443`, token: await nodeToken() }, kubeconfig: config } };
}
