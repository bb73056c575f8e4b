/** The client for Node programs: over the box's unix socket, HTTP or HTTPS. */
import { createClient, type Client } from './client.ts';
import { nodeTransport, type Endpoint } from './node-transport.ts';

/** Signed in by `token`, or by `session` (the cookie of a console session). @throws TypeError on a `baseUrl` that is no URL */
export const createNodeClient = (
  endpoint: Endpoint & { token?: string; session?: string },
  onStale?: (since: string) => void,
): Client =>
  createClient({
    ...(onStale ? { onStale } : {}),
    transport: nodeTransport(endpoint),
    token: endpoint.token,
    // A change by cookie needs the second header too: it says that no foreign page made us send it.
    headers: endpoint.session ? { cookie: endpoint.session, 'x-croft-csrf': '1' } : {},
  });
