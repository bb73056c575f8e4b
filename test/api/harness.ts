/** A running API on the real SQLite stores and a pretended box, with clients of each role, all on port 0 and in a temporary directory. */
import { mkdtempSync, mkdirSync, rmSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, type Duplex } from 'node:stream';
import { loadConfig } from '../../appliance/config.ts';
import { ensureInstancetypes } from '../../appliance/defaults.ts';
import { CroftError } from '../../appliance/errors.ts';
import { silentLogger } from '../../appliance/host/logger.ts';
import { type History, type Range, type SeriesName, seriesNames, tiers } from '../../appliance/metrics/series.ts';
import type { BoxPort, VmKey, VmUsage } from '../../appliance/ports.ts';
import { node, token } from '../../appliance/resources/croft-kinds.ts';
import { openBoxStore } from '../../appliance/store/box/box-store.ts';
import { editStatus } from '../../appliance/store/edit.ts';
import { startExports } from '../../appliance/vm/export/exports.ts';
import { openSqliteStore } from '../../appliance/store/sqlite.ts';
import { createUploads } from '../../storage/images/uploads.ts';
import { issueTokenSecret } from '../../ui-api/auth/tokens.ts';
import type { Role } from '../../ui-api/auth/roles.ts';
import { ensureCertificate } from '../../ui-api/server/certificate.ts';
import { createApp } from '../../ui-api/server/app.ts';
import { listen } from '../../ui-api/server/listen.ts';

export type Reply<T = Record<string, unknown>> = { status: number; headers: Headers; body: T };

export type Call = {
  body?: unknown;
  headers?: Record<string, string>;
  /** Whose token; `none`: no sign-in. Default admin. */
  as?: Role | 'none';
  /** Sends If-Match: *. */
  any?: boolean;
};

/** What the pretended box was asked. */
export type PortCalls = { acted: { vm: VmKey; action: string }[]; consoles: Duplex[]; running: boolean; stats: VmUsage[] };

export type Harness = Awaited<ReturnType<typeof startApi>>;

export async function startApi({ signInsPerMinute = 1000 } = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'croft-api-'));
  mkdirSync(join(directory, 'run'), { mode: 0o700 });
  const store = openSqliteStore({ path: join(directory, 'store.db') });
  const box = openBoxStore(join(directory, 'box.db'));
  const calls: PortCalls = { acted: [], consoles: [], running: true, stats: [] };
  mkdirSync(join(directory, 'image-work'));
  const uploads = createUploads({ directory: join(directory, 'image-work'), maxSize: 2 ** 40, reserve: 0 });
  const exports = await startExports({
    store,
    volumes: {
      resolve: async () => ({ pending: 'There are no disks here.' }),
      pool: (name) => {
        throw new CroftError('not-found', `There is no pool ${name} here.`);
      },
      filesOf: async () => [],
    },
    tasks: box.tasks,
    directory: join(directory, 'exports'),
    logger: silentLogger(),
  });
  const app = createApp({
    store,
    box,
    port: pretendedBox(calls),
    uploads,
    exports,
    tasks: box.tasks,
    events: box.events,
    config: loadConfig({ data: directory, run: join(directory, 'run') }, {}),
    logger: silentLogger(),
    version: '0.0.0-test',
    signInsPerMinute,
  });
  const unixSocket = join(directory, 'run', 'api.sock');
  const loopbackTls = () => ensureCertificate(join(directory, 'keys'));
  const { url } = await listen(app, { tcp: { host: '127.0.0.1', port: 0 }, loopbackTls, unixSocket });
  const base = url as string;
  const tokens = {} as Record<Role, string>;
  for (const role of ['viewer', 'operator', 'admin'] as const) {
    await store.create(token, { metadata: { name: `test-${role}` }, spec: { role } });
    tokens[role] = await issueTokenSecret(store, `test-${role}`);
  }
  await ensureInstancetypes(store);
  await store.create(node, { metadata: { name: 'n1' }, spec: {} });
  await editStatus(store, node, { name: 'n1' }, (draft) => {
    draft.status = { version: '0.0.0-test', cpus: 2, memory: 2 ** 32 };
  });

  async function call<T = Record<string, unknown>>(
    method: string,
    path: string,
    { body, headers = {}, as = 'admin', any = false }: Call = {},
  ): Promise<Reply<T>> {
    const answer = await fetch(base + path, {
      method,
      redirect: 'manual',
      headers: {
        ...(as === 'none' ? {} : { authorization: `Bearer ${tokens[as]}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(any ? { 'if-match': '*' } : {}),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await answer.text();
    const isJson = /json/.test(answer.headers.get('content-type') ?? '');
    return { status: answer.status, headers: answer.headers, body: (isJson && text !== '' ? JSON.parse(text) : text) as T };
  }

  /** Over the unix socket, as local root. */
  const callLocally = (method: string, path: string): Promise<{ status: number; body: string }> =>
    new Promise((resolve, reject) => {
      const outgoing = httpRequest({ socketPath: unixSocket, method, path }, (answer) => {
        let body = '';
        answer.on('data', (chunk) => (body += chunk));
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body }));
      });
      outgoing.on('error', reject);
      outgoing.end();
    });

  return {
    app,
    store,
    box,
    base,
    tokens,
    calls,
    uploads,
    call,
    callLocally,
    unixSocket,
    directory,
    async stop() {
      await app.close();
      await exports.stop();
      await uploads.stop();
      await store.close();
      await box.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function pretendedHistory(range: Range): History {
  const { step, slots } = tiers[range];
  const values = Array<number | null>(slots)
    .fill(null)
    .fill(1.5, slots - 2);
  return {
    range,
    start: 0,
    step,
    ...(Object.fromEntries(seriesNames.map((name) => [name, values])) as Record<SeriesName, number[]>),
  };
}

/** A guest that echoes on its console and remembers what was done to it. */
function pretendedBox(calls: PortCalls): BoxPort {
  const mustRun = (): void => {
    if (!calls.running) throw new CroftError('invalid-state', 'The guest does not run; start it first.');
  };
  return {
    act: async (vm, action) => {
      mustRun();
      calls.acted.push({ vm, action });
    },
    openConsole: async () => {
      mustRun();
      const stream = new PassThrough();
      calls.consoles.push(stream);
      return stream;
    },
    screenshot: async () => {
      mustRun();
      return Buffer.from('89504e470d0a1a0a', 'hex');
    },
    explain: async () => ({ state: 'stopped', sentence: 'It was never started.', next: ['Start it.'], evidence: [] }),
    stats: async () => calls.stats,
    guestLists: async () => ({
      users: [{ name: 'root', loginTime: 1_700_000_000 }],
      filesystems: [{ name: 'vda1', mountpoint: '/', type: 'ext4', usedBytes: 10, totalBytes: 100 }],
    }),
    history: async (_subject, range) => pretendedHistory(range),
    recentUse: async () => ({}),
    nics: async () => [
      { name: 'eth0', mtu: 1500, addresses: ['192.0.2.10/24'], refusal: 'interfaces: eth0 has the address 192.0.2.10/24.' },
      { name: 'eth1', mtu: 1500, addresses: [], link: true, speed: 10_000 },
    ],
    onSample: () => () => undefined,
    cluster: {
      status: async () => ({ state: 'none', words: 'This box works alone: its resources are in its own database.' }),
      init: async () => {
        throw new CroftError('invalid-state', 'The pretended box stays alone.');
      },
    },
    capacity: async () => ({ memoryFree: 2 ** 31, memoryTotal: 2 ** 32, cpus: 2 }),
  };
}
