/** Who asks: local root by the unix socket, an API token, or a console session. In this order; the first that is given decides. */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { ResourceStore } from '../../appliance/store/store.ts';
import type { ApiRecords } from '../server/records.ts';
import type { Principal } from './roles.ts';
import { cookieName, verifySession } from './sessions.ts';
import { createTokenVerifier } from './tokens.ts';

export type Credentials = { raw: IncomingMessage; cookies: Record<string, string | undefined> };
export type Authenticator = (credentials: Credentials) => Principal | undefined | Promise<Principal | undefined>;

const localRoot: Principal = Object.freeze({ name: 'root', role: 'admin', via: 'socket' });

export function createAuthenticator(store: ResourceStore, box: ApiRecords, localSockets: WeakSet<Socket>): Authenticator {
  const verifyToken = createTokenVerifier(store);
  return ({ raw, cookies }) => {
    // Only root may enter the socket's directory (0700).
    if (localSockets.has(raw.socket)) return localRoot;
    const { authorization } = raw.headers;
    if (authorization !== undefined) {
      const bearer = /^Bearer +(\S+)$/i.exec(authorization)?.[1];
      return bearer === undefined ? undefined : verifyToken(bearer);
    }
    const cookie = cookies[cookieName];
    return cookie ? verifySession(store, box, cookie) : undefined;
  };
}
