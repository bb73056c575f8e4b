/** Who asks: local root by the unix socket, an API token, or a console session. In this order; the first that is given decides. */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { ResourceStore } from '../../appliance/store/store.ts';
import type { ApiRecords } from '../server/records.ts';
import type { Principal } from './roles.ts';
import { sessionOf, verifySession } from './sessions.ts';
import { createTokenVerifier } from './tokens.ts';

export type Authenticator = (request: IncomingMessage) => Principal | undefined | Promise<Principal | undefined>;

const localRoot: Principal = Object.freeze({ name: 'root', role: 'admin', via: 'socket' });

export function createAuthenticator(store: ResourceStore, box: ApiRecords, localSockets: WeakSet<Socket>): Authenticator {
  const verifyToken = createTokenVerifier(store);
  return ({ socket, headers: { authorization, cookie } }) => {
    // Only root may enter the socket's directory (0700).
    if (localSockets.has(socket)) return localRoot;
    if (authorization !== undefined) {
      const bearer = /^Bearer +(\S+)$/i.exec(authorization)?.[1];
      return bearer === undefined ? undefined : verifyToken(bearer);
    }
    const session = cookie === undefined ? undefined : sessionOf(cookie);
    return session === undefined ? undefined : verifySession(store, box, session);
  };
}
