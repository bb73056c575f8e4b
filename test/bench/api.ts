/** Requests under load (autocannon inside the box's namespace) and one by one. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { TestBox } from '../helpers/box.ts';
import { type Figure, quantile } from './figures.ts';
import { request } from './request.ts';

const home = join(import.meta.dirname, '../..');
const seconds = 4;

async function perSecond(box: TestBox, url: string, token?: string): Promise<number> {
  const cannon = join(home, 'node_modules/autocannon/autocannon.js');
  const headers = token ? ['-H', `authorization=Bearer ${token}`] : [];
  const { stdout } = await box.inside([process.execPath, cannon, '-j', '-n', '-d', `${seconds}`, '-c', '8', ...headers, url], {
    timeout: 60_000,
  });
  const { requests, non2xx, errors } = JSON.parse(stdout) as { requests: { average: number }; non2xx: number; errors: number };
  if (non2xx + errors > 0) throw new Error(`${url}: ${non2xx} refused, ${errors} failed`);
  return requests.average;
}

export async function measureRead(box: TestBox, name: string, rounds: number): Promise<Figure> {
  const token = /croft_\S+/.exec((await box.croft(['token', 'create', 'bench', '--role', 'viewer'])).stdout)?.[0];
  if (!token) throw new Error('no token was made');
  const empty = spawn('ip', ['netns', 'exec', box.namespace, process.execPath, join(import.meta.dirname, 'empty-route.ts')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [ours, against]: [number[], number[]] = [[], []];
  try {
    await new Promise<void>((resolve, reject) => {
      empty.stdout.once('data', () => resolve());
      empty.once('exit', (code) => reject(new Error(`the empty route ended with ${code}`)));
    });
    for (let round = 0; round < rounds; round++) {
      ours.push(await perSecond(box, `${box.url}/v1/vms/${name}`, token));
      against.push(await perSecond(box, 'http://127.0.0.1:8441/'));
    }
  } finally {
    empty.removeAllListeners('exit').kill('SIGKILL');
  }
  return {
    name: 'Authenticated `GET /v1/vms/{name}`',
    ours,
    against,
    againstName: 'an empty fastify route',
    unit: 'requests/s',
    goal: '≥ 0.8×',
    how: `autocannon, 8 connections, ${rounds} rounds of ${seconds} s each. The token is checked and the access decided on each request. Load generator and server share the cores.`,
  };
}

export async function measureList(socket: string, vms: number, requests: number): Promise<Figure> {
  const times: number[] = [];
  for (let round = 0; round < requests; round++) {
    const from = performance.now();
    const { items } = await request<{ items: unknown[] }>(socket, 'GET', `/v1/vms?limit=${vms}`);
    times.push(performance.now() - from);
    if (items.length !== vms) throw new Error(`the list has ${items.length} of ${vms} VMs`);
  }
  return {
    name: `List of ${vms} VMs, P99`,
    ours: [quantile(times, 0.99)],
    unit: 'ms',
    goal: '≤ 50 ms',
    how: `${requests} requests one after the other over the unix socket, in one page; the median was ${quantile(times, 0.5).toFixed(0)} ms.`,
  };
}
