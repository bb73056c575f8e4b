/** A small stand-in for `/v1`: enough of it to prove what the CLI sends, waits for and prints. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';

export type Seen = {
  method: string;
  path: string;
  query: Record<string, string>;
  headers: IncomingMessage['headers'];
  body: unknown;
};
type Handler = (request: Seen, response: ServerResponse) => unknown;

export type FakeApi = {
  url: string;
  socketPath?: string;
  seen: Seen[];
  /** Objects by collection and name; a `states` list is walked through, one step a look. */
  objects: Record<string, Record<string, unknown>[]>;
  /** `'GET /v1/x'` → an answer of its own. */
  routes: Record<string, Handler>;
  /** Sent by `/v1/events`, which then stays open. */
  sendEvent(text: string): void;
  /** What the serial console does with what is typed. */
  onConsole: (typed: string, answer: (text: string) => void) => void;
  close(): Promise<void>;
};

export const vmNamed = (name: string, more: Record<string, unknown> = {}): Record<string, unknown> => ({
  kind: 'vm',
  id: `0190c0de-0000-7000-8000-${name.padStart(12, '0').slice(-12)}`,
  name,
  project: 'default',
  state: 'running',
  cpus: 1,
  memory: 268435456,
  image: 'tiny',
  firmware: 'bios',
  runStrategy: 'Always',
  disks: [{ name: 'root', size: 1073741824, pool: 'local', bus: 'virtio', device: 'vda' }],
  nics: [{ name: 'nic0', network: 'default', mac: '52:54:00:00:00:01', model: 'virtio', addresses: ['10.43.0.9'] }],
  addresses: ['10.43.0.9'],
  conditions: [],
  ...more,
});

const problem = (response: ServerResponse, status: number, code: string, detail: string, more: object = {}): void => {
  response.writeHead(status, { 'content-type': 'application/problem+json' });
  response.end(JSON.stringify({ status, code, detail, traceId: 'trace-1', errors: [], fix: [], ...more }));
};

export async function startFakeApi(listen: { socketPath?: string } = {}): Promise<FakeApi> {
  const streams = new Set<ServerResponse>();
  const consoles = new WebSocketServer({ noServer: true });
  const api: FakeApi = {
    url: '',
    socketPath: listen.socketPath,
    seen: [],
    objects: {},
    routes: {},
    sendEvent: (text) => {
      for (const stream of streams) stream.write(text);
    },
    onConsole: () => {},
    close: async () => {
      for (const client of consoles.clients) client.terminate();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };

  const server: Server = createServer((request, response) => {
    void readJson(request).then((body) => answer({ ...parse(request), body }, response));
  });

  function answer(request: Seen, response: ServerResponse): void {
    api.seen.push(request);
    const own = api.routes[`${request.method} ${request.path}`];
    if (own) return void own(request, response);
    if (request.path === '/v1/events') {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(': hello\n\n');
      streams.add(response);
      response.on('close', () => streams.delete(response));
      return;
    }
    if (request.path.endsWith('/console-tickets')) return json(response, 201, { ticket: 'once', url: '/v1/console?ticket=once' });
    const match = /^\/v1\/([a-z]+)(?:\/([^/]+))?(?:\/(.+))?$/.exec(request.path);
    const list = (api.objects[match?.[1] ?? ''] ??= []);
    const [name, action] = [match?.[2], match?.[3]];
    if (name === undefined && request.method === 'GET') return json(response, 200, { items: list });
    if (name === undefined && request.method === 'POST') {
      const created = { ...vmNamed(String((request.body as { name: string }).name)), ...(request.body as object) };
      if (request.query.dryRun === 'true') return json(response, 200, { dryRun: true, plan: [], result: created });
      list.push(created);
      return json(response, 201, created);
    }
    const found = list.find((object) => object.name === name || object.id === name);
    if (!found) return problem(response, 404, 'not-found', `There is no ${match?.[1]} ${name}.`, { fix: ['Check the name.'] });
    const states = found.states as string[] | undefined;
    if (states && request.method === 'GET') found.state = states.length > 1 ? states.shift() : states[0];
    if (request.method === 'DELETE' && action === undefined) {
      api.objects[match?.[1] ?? ''] = list.filter((object) => object !== found);
      response.writeHead(204).end();
      return;
    }
    return json(response, request.method === 'POST' ? 202 : 200, found);
  }

  server.on('upgrade', (request, socket, head) => {
    api.seen.push({ ...parse(request), body: undefined });
    consoles.handleUpgrade(request, socket, head, (client) => {
      client.on('message', (data) => api.onConsole(String(data), (text) => client.send(Buffer.from(text))));
    });
  });
  await new Promise<void>((resolve) => {
    if (listen.socketPath) server.listen(listen.socketPath, resolve);
    else server.listen(0, '127.0.0.1', resolve);
  });
  if (!listen.socketPath) api.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return api;
}

export function json(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

export { problem };

function parse(request: IncomingMessage): Omit<Seen, 'body'> {
  const url = new URL(request.url ?? '/', 'http://localhost');
  return {
    method: request.method ?? '',
    path: decodeURIComponent(url.pathname),
    query: Object.fromEntries(url.searchParams),
    headers: request.headers,
  };
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  if (text === '') return undefined;
  return /json/.test(request.headers['content-type'] ?? '') ? JSON.parse(text) : text;
}
