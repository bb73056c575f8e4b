/** How a request reaches the API. The browser uses `fetchTransport`, Node programs node-transport.ts. */
import { isAbort, Unreachable } from './problem.ts';

export type HttpRequest = {
  method: string;
  /** Path and query, `/v1/vms?limit=5`. */
  path: string;
  headers: Record<string, string>;
  body?: string | Uint8Array | AsyncIterable<Uint8Array>;
  signal?: AbortSignal;
};

/** `headers` has lower-case names. `chunks` must be read to its end, or the request aborted. */
export type HttpAnswer = { status: number; headers: Record<string, string>; chunks: AsyncIterable<Uint8Array> };

/** @throws Unreachable when there is no answer; the signal's AbortError */
export type Transport = (request: HttpRequest) => Promise<HttpAnswer>;

/** Over `fetch`. `baseUrl` is empty for same-origin, as in the console. */
export const fetchTransport =
  (baseUrl = ''): Transport =>
  async ({ method, path, headers, body, signal }) => {
    let response: Response;
    try {
      response = await fetch(`${baseUrl.replace(/\/$/, '')}${path}`, {
        method,
        headers,
        signal: signal ?? null,
        ...(body === undefined
          ? {}
          : { body: body as RequestInit['body'], ...(typeof body === 'string' ? {} : { duplex: 'half' }) }),
      });
    } catch (error) {
      if (isAbort(error)) throw error;
      throw new Unreachable(baseUrl || 'the API', error);
    }
    return {
      status: response.status,
      headers: Object.fromEntries(response.headers.entries()),
      chunks: response.body ? readAll(response.body.getReader()) : none(),
    };
  };

async function* readAll(reader: { read(): Promise<{ done: boolean; value?: Uint8Array }>; cancel(): Promise<void> }) {
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      if (value) yield value;
    }
  } finally {
    await reader.cancel();
  }
}

// oxlint-disable-next-line require-yield -- an empty body
async function* none(): AsyncGenerator<Uint8Array> {}
