/**
 * The transport of Node programs: a unix socket (local root, no sign-in), HTTP, or HTTPS with an own CA or with one
 * pinned certificate (trust on first use). fetch() offers none of these without a further package, and node:http also
 * starts faster.
 */
import { request as requestHttp, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as requestHttps } from 'node:https';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { PeerCertificate } from 'node:tls';
import { isAbort, Unreachable } from './problem.ts';
import type { HttpRequest, Transport } from './transport.ts';

export type Endpoint = {
  /** `http://127.0.0.1:8440`; ignored with `socketPath`. */
  baseUrl?: string;
  socketPath?: string;
  /** PEM of the authority to trust instead of the system's. */
  ca?: string;
  /** SHA-256 fingerprint (`AA:BB:…`) of the only certificate accepted; needs that certificate as `ca`. */
  fingerprint?: string;
};

/** Words for an endpoint, for messages. */
export const describeEndpoint = (endpoint: Endpoint): string => endpoint.socketPath ?? endpoint.baseUrl ?? 'nowhere';

/** TLS options of an endpoint; also used by the console's WebSocket. */
export function tlsOptions({ ca, fingerprint }: Endpoint): RequestOptions & Record<string, unknown> {
  if (!ca) return {};
  if (!fingerprint) return { ca };
  return {
    ca,
    // A pinned certificate is trusted as itself: who signed it, and for which name, is not asked.
    allowPartialTrustChain: true,
    checkServerIdentity: (_host: string, certificate: PeerCertificate) =>
      certificate.fingerprint256 === fingerprint
        ? undefined
        : new Error(
            `its certificate is ${certificate.fingerprint256}, not the trusted ${fingerprint}. Sign in again if it was replaced.`,
          ),
  };
}

/** @throws TypeError on a `baseUrl` that is no URL */
export function nodeTransport(endpoint: Endpoint): Transport {
  const base = endpoint.socketPath ? undefined : new URL(endpoint.baseUrl ?? '');
  const send = base?.protocol === 'https:' ? requestHttps : requestHttp;
  const options: RequestOptions = endpoint.socketPath
    ? { socketPath: endpoint.socketPath, host: 'localhost' }
    : { host: base?.hostname.replace(/^\[|\]$/g, ''), port: base?.port || undefined, ...tlsOptions(endpoint) };

  const once = ({ method, path, headers, body, signal }: HttpRequest): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const length = typeof body === 'string' ? { 'content-length': String(Buffer.byteLength(body)) } : {};
      let answered = false;
      const outgoing = send({ ...options, method, path, headers: { ...headers, ...length }, signal }, (incoming) => {
        answered = true;
        resolve(incoming);
      });
      outgoing.on('error', (error) => reject(outgoing.reusedSocket ? new StaleConnection(error) : error));
      if (body === undefined || typeof body === 'string' || body instanceof Uint8Array) outgoing.end(body);
      else {
        pipeline(Readable.from(body), outgoing).catch((error: unknown) => {
          // An early answer (413, 401) closes the request while the body is still flowing: the answer counts.
          if (!answered) reject(error);
        });
      }
    });

  return async (request) => {
    const where = describeEndpoint(endpoint);
    const { body, signal } = request;
    const again = (error: unknown) => {
      const repeatable = body === undefined || typeof body === 'string' || body instanceof Uint8Array;
      if (error instanceof StaleConnection && repeatable && !signal?.aborted) return once(request);
      throw error;
    };
    const answer = await once(request)
      .catch(again)
      .catch((error: unknown) => {
        throw failure(where, error, signal);
      });
    return {
      status: answer.statusCode ?? 0,
      headers: Object.fromEntries(Object.entries(answer.headers).map(([name, value]) => [name, String(value)])),
      chunks: readChunks(answer, where, signal),
    };
  };
}

/**
 * A kept connection had ended meanwhile (the service was restarted). Such a request is sent once more: all of `/v1` may be
 * repeated, POSTs by their Idempotency-Key.
 */
class StaleConnection extends Error {
  constructor(cause: Error) {
    super(cause.message, { cause });
  }
}

function failure(where: string, error: unknown, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted) return signal.reason;
  if (isAbort(error)) return error;
  return new Unreachable(where, error instanceof StaleConnection ? error.cause : error);
}

async function* readChunks(answer: IncomingMessage, where: string, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of answer) yield chunk as Uint8Array;
  } catch (error) {
    throw failure(where, error, signal);
  } finally {
    // Read to its end it is already done; left early (a stream no longer wanted) the connection is given up.
    if (!answer.complete) answer.destroy();
  }
}
