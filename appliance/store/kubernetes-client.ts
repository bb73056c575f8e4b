/**
 * Plain requests to a kube-apiserver as a kubeconfig says: JSON in and out, deadlines, 429 tried again, every failure
 * a CroftError. Watches are read at their consumer's pace, so a slow one costs no memory.
 */
import type { ClientRequest, IncomingMessage } from 'node:http';
import { Agent, request as httpsRequest, type RequestOptions } from 'node:https';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { CroftError, isCroftError, messageOf } from '../errors.ts';
import { readKubeconfig } from './kubeconfig.ts';
import { errorOfStatus, type KubeStatus } from './kubernetes-errors.ts';

export type KubeQuery = Record<string, string | number | boolean | undefined>;
export type KubeRequest = {
  method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  path: string;
  query?: KubeQuery;
  body?: unknown;
  /** Default application/json. */
  contentType?: string;
  /** What the request is about, for messages: `VirtualMachine default/web`. */
  about?: string;
};

export type KubeClient = {
  /** The answer's JSON. @throws CroftError by the answer's Status; `unavailable` when there is no answer */
  send<T>(request: KubeRequest): Promise<T>;
  /** The answer's lines, each as JSON, until it ends or `signal` aborts. @throws as send */
  lines<T>(request: KubeRequest, signal: AbortSignal): AsyncGenerator<T>;
  close(): void;
};

/** ms until an answer; a kube-apiserver itself gives up after 60 s. */
const deadline = 30_000;
/** ms without a line after which a watch is dead: a bookmark comes each minute, an end after at most 5. */
const silence = 330_000;
const attempts = 5;
/** ms: the longest wait before a 429 is tried again. */
const longestWait = 2_000;

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

function parsed<T>(text: string, about: string): T {
  try {
    return JSON.parse(text) as T;
  } catch (cause) {
    throw new CroftError('unavailable', `${about}: the API server answered no JSON.`, { cause });
  }
}

/** @throws CroftError `invalid-input` when the file is no kubeconfig */
export function createKubeClient(kubeconfig: string): KubeClient {
  const access = readKubeconfig(kubeconfig);
  const { server } = access;
  const agent = new Agent({ keepAlive: true, maxSockets: 256 });
  const unreachable = (cause: unknown): CroftError =>
    new CroftError('unavailable', `The Kubernetes API at ${server} does not answer: ${messageOf(cause)}.`, { cause });

  async function open(request: KubeRequest, signal?: AbortSignal): Promise<IncomingMessage> {
    const url = new URL(server.replace(/\/$/, '') + request.path);
    for (const [key, value] of Object.entries(request.query ?? {})) {
      if (value !== undefined) url.searchParams.set(key, String(value));
    }
    const body = request.body === undefined ? undefined : JSON.stringify(request.body);
    const options: RequestOptions = {
      method: request.method ?? 'GET',
      headers: {
        accept: 'application/json',
        ...(body === undefined
          ? {}
          : { 'content-type': request.contentType ?? 'application/json', 'content-length': Buffer.byteLength(body) }),
      },
    };
    await access.apply(options);
    options.agent = agent;
    if (signal) options.signal = signal;
    return new Promise((resolve, reject) => {
      const sent: ClientRequest = httpsRequest(url, options, (response) => {
        sent.setTimeout(signal ? silence : deadline);
        resolve(response);
      });
      sent.setTimeout(deadline, () => sent.destroy(new Error(`silence for ${(signal ? silence : deadline) / 1000} s`)));
      sent.once('error', reject);
      sent.end(body);
    });
  }

  /** Throttled requests did nothing, so any may be sent again. */
  async function answered(request: KubeRequest, signal?: AbortSignal): Promise<IncomingMessage> {
    for (let attempt = 1; ; attempt++) {
      const response = await open(request, signal).catch((cause: unknown) => {
        throw unreachable(cause);
      });
      const { statusCode = 0 } = response;
      if (statusCode < 300) return response;
      const text = await textOf(response).catch((cause: unknown) => {
        throw unreachable(cause);
      });
      if (statusCode === 429 && attempt < attempts && !signal?.aborted) {
        const wait = Math.min(longestWait, 1000 * Number(response.headers['retry-after'] ?? 0.2));
        await delay(wait, undefined, signal ? { signal } : {}).catch(() => undefined); // Aborted: the next request says so.
        continue;
      }
      throw errorOfStatus(statusCode, statusFrom(text), request.about ?? request.path);
    }
  }

  return {
    async send<T>(request: KubeRequest): Promise<T> {
      const response = await answered(request);
      const text = await textOf(response).catch((cause: unknown) => {
        throw unreachable(cause);
      });
      return parsed<T>(text, request.about ?? request.path);
    },

    async *lines<T>(request: KubeRequest, signal: AbortSignal): AsyncGenerator<T> {
      if (signal.aborted) return;
      let response: IncomingMessage | undefined;
      try {
        response = await answered(request, signal);
        let failure: unknown;
        response.once('error', (error) => {
          failure = error;
        });
        for await (const line of createInterface({ input: response, crlfDelay: Infinity })) {
          if (signal.aborted) return;
          if (line !== '') yield parsed<T>(line, request.about ?? request.path);
        }
        if (failure && !signal.aborted) throw unreachable(failure);
      } catch (error) {
        if (signal.aborted) return;
        throw error instanceof CroftError ? error : unreachable(error);
      } finally {
        response?.destroy();
      }
    },

    close: () => agent.destroy(),
  };
}

/** A Status object where the answer is one; proxies answer plain text. */
function statusFrom(text: string): KubeStatus {
  try {
    const status = JSON.parse(text) as KubeStatus;
    if (typeof status === 'object' && status !== null) return status;
  } catch {
    // Said as text below.
  }
  return { message: text.trim().slice(0, 300) };
}

/** An object as a manifest has it. */
export type Manifest = { kind: string; metadata: { name: string; labels?: Record<string, string> }; [field: string]: unknown };

/**
 * Creates an object, or merges it into the one that is there: lists are replaced whole, so they are exactly as written,
 * and fields of others stay. @throws CroftError as send
 */
export async function applyObject(client: KubeClient, collection: string, body: Manifest): Promise<void> {
  const { kind, metadata } = body;
  const about = `${kind} ${metadata.name}`;
  try {
    await client.send({ method: 'POST', path: collection, body, about });
  } catch (error) {
    if (!isCroftError(error, 'already-exists')) throw error;
    const path = `${collection}/${metadata.name}`;
    await client.send({ method: 'PATCH', path, body, contentType: 'application/merge-patch+json', about });
  }
}
